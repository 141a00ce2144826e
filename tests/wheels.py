"""A file in two wheels, each with a half, as the presets' models lie on a package index."""

import hashlib
import io
import zipfile
from pathlib import Path

from mt.archives import Archive

NAMES = ["one-1.0-py3-none-any.whl", "two-1.0-py3-none-any.whl"]


def halves(cache: Path, content: bytes) -> tuple[Archive, ...]:
    """Put both into the folder where downloads are kept, and pin them."""
    middle = len(content) // 2
    archives = []
    for name, part in zip(NAMES, (content[:middle], content[middle:]), strict=True):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("data/part", part)
        (cache / name).write_bytes(out.getvalue())
        archives.append(Archive(name[:3], "1.0", name, hashlib.sha256(out.getvalue()).hexdigest(), "data/part"))
    return tuple(archives)
