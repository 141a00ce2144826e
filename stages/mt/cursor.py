"""Binary files read with every bound checked."""

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mt.errors import InputError


class Cursor:
    """Reads on through bytes, little endian; whatever would pass their end is a ValueError."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def skip(self, count: int) -> int:
        """Pass so many bytes by, and give the place where they begin."""
        if not 0 <= count <= len(self.data) - self.at:
            raise ValueError(f"at byte {self.at}, {count} bytes are stated and {len(self.data) - self.at} are left")
        self.at += count
        return self.at - count

    def take(self, count: int) -> bytes:
        """The next bytes."""
        start = self.skip(count)
        return self.data[start : self.at]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """The next values, in the notation of `struct`."""
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        """The next `count` values."""
        return np.frombuffer(self.take(np.dtype(dtype).itemsize * count), dtype)


def mapped(path: Path) -> mmap.mmap:
    """A file's bytes, of which no more are in memory than are looked at.

    Raises:
        InputError: it is missing or cannot be read.
        ValueError: it is empty.
    """
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found; it is a member of the pinned archive") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file that can") from error
