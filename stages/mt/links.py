"""A file in a second place, without a second copy of its bytes where the file system can."""

import shutil
from pathlib import Path


def link(source: Path, target: Path) -> None:
    """Put the file behind `source` at `target`: a hard link, or a copy where there can be none; never a symbolic link.

    What is linked is one file in two places: replace it, as `mt.files.replacing` does, and never write into it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except FileExistsError:
        raise
    except OSError:  # another file system, another owner, or too many links
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path) -> None:
    """Put every file under the folder `source` at its place under `target`; see `link`."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            link(path, target / path.relative_to(source))
