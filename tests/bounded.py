"""Parsers in a process of their own, with little memory and little time: what hostile input must be content with."""

import os
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path

from pipeline import ROOT

SCRIPT = """
import resource
import sys
from pathlib import Path

{imports}
from mt.errors import InputError

with open("/proc/self/status", encoding="ascii") as status:
    used = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + ({megabytes} << 20),) * 2)
path = Path(sys.argv[1])
try:
    {call}
except InputError as error:
    print(error, end="")
else:
    print("read", end="")
"""


def outcome(imports: str, call: str, path: Path, megabytes: int, seconds: int = 60) -> str:
    """The message of the InputError that `call` on `path` ends with, or `read`.

    Args:
        imports: the statements that make the names in `call` known.
        call: a statement.
        path: the file that it reads.
        megabytes: that it may take above what the imports take; more is a MemoryError, and fails.
        seconds: that it may take.
    """
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(imports=imports, call=call, megabytes=megabytes), str(path)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "stages"), str(ROOT / "tests")]),
            "OPENBLAS_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def sparse(path: Path, size: int, start: bytes = b"") -> Path:
    """A file of that size which takes no room: NUL bytes after the first."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return path


def zeros(size: int) -> Iterator[bytes]:
    """So many NUL bytes, by the megabyte, all of them the same one."""
    yield from repeat(bytes(1 << 20), size >> 20)


def gzipped(path: Path, chunks: Iterable[bytes]) -> Path:
    """Write a .gz of the chunks, of which there may be more than memory holds."""
    packer = zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(packer.compress(chunk))
        file.write(packer.flush())
    return path


def tar_header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The block that goes before a member, whatever size it states."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)
