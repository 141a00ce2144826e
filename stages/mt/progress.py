"""Finished parts of work that was cut off: numbers, kept until the stage that wants them has succeeded."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mt.claims import claimed, discard, discard_done, used
from mt.errors import InputError
from mt.files import remove
from mt.values import parsed

FILE = "parts.jsonl"
MAX_LINE_BYTES = 1 << 24
"""The longest line that is taken for a part."""


class Progress:
    """Parts by their names; each is written as soon as it is finished, a line of `[name, [number, ...]]`.

    From the first line on that a kill cut short, or that is damaged, a file of parts is thrown away.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._parts: dict[str, list[float]] = {}
        sound = 0
        if not file.is_file():
            remove(file)
        with self._opened() as lines:
            for line in iter(lambda: lines.readline(MAX_LINE_BYTES), b""):
                try:
                    name, numbers = _read(line)
                except ValueError:
                    break
                self._parts[name] = numbers
                sound += len(line)
            lines.truncate(sound)

    def part(self, name: str, size: int, make: Callable[[], list[float]]) -> list[float]:
        """The part of this name, so many numbers, made if it is not there yet."""
        if name not in self._parts or len(self._parts[name]) != size:
            self._parts[name] = make()
            with self._opened() as file:
                file.seek(0, os.SEEK_END)
                file.write(json.dumps([name, self._parts[name]]).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            used(self._file.parent)
        return self._parts[name]

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open to be read and written from its beginning."""
        try:
            with self._file.open("a+b") as file:
                file.seek(0)
                yield file
        except OSError as error:
            raise InputError(f"{self._file}: cannot be written ({error.strerror}); make room, and run again") from error


def _read(line: bytes) -> tuple[str, list[float]]:
    """One part; ValueError where the line is none, or is cut short."""
    match parsed(line.decode("utf-8")) if line.endswith(b"\n") else None:
        case [str(name), [*numbers]] if all(isinstance(number, float) for number in numbers):
            return name, numbers
    raise ValueError("no part")


@contextmanager
def progress(ingredients: Mapping[str, Any]) -> Iterator[Progress]:
    """The finished parts of the work that follows from `ingredients`; they are removed when the block ends well.

    Raises:
        InputError: the place for them cannot be written.
    """
    with claimed("progress", ingredients, _done) as folder:
        discard_done()
        yield Progress(folder / FILE)
        discard(folder)


def _done(folder: Path) -> int:
    """Bytes of finished parts."""
    file = folder / FILE
    return file.stat().st_size if file.is_file() else 0
