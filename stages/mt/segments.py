"""Segments in JSON Lines: one object a line, UTF-8, LF line ends only, never two parallel files."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import replacing

Segment = dict[str, Any]
"""`id` (unique in its file), `src` and `tgt` (text without line breaks), and what later stages add."""


def read_segments(path: Path, texts: tuple[str, ...], allow_empty: bool = False) -> list[Segment]:
    """Read every segment of a file and check it.

    Args:
        path: a JSON Lines file.
        texts: the keys that must hold non-empty text.
        allow_empty: whether a file without segments is fine.

    Raises:
        InputError: the file is missing, empty, not UTF-8, or a line is no such segment; names the file and the line.
    """
    segments = list(_lines(path, texts))
    if not segments and not allow_empty:
        raise InputError(f"{path}: holds no segment; the stage that writes it must keep at least one")
    return segments


def write_segments(path: Path, segments: Iterable[Segment], allow_empty: bool = False) -> None:
    """Write segments, whole or not at all, in their order.

    Raises:
        InputError: there is no segment and `allow_empty` is false, or the disk is full.
    """
    with replacing(path) as partial:
        with partial.open("w", encoding="utf-8", newline="") as file:
            for segment in segments:
                file.write(json.dumps(segment, ensure_ascii=False, allow_nan=False) + "\n")
        if not partial.stat().st_size and not allow_empty:
            raise InputError(f"{path}: nothing is left to write; loosen what drops segments, or give more of them")


def decoded_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line's number, from 1, and its text without the LF.

    Other line separators of Unicode stay inside the text. A last line without LF counts.

    Raises:
        InputError: the file is missing or a line is not UTF-8.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found; put the file there or run `dvc repro` to make it") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a file that can") from error
    with file:
        for number, line in enumerate(file, start=1):
            try:
                yield number, line.decode("utf-8").removesuffix("\n")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}:{number}: byte {error.start + 1} is not UTF-8; convert the file, for example with iconv"
                ) from error


def _lines(path: Path, texts: tuple[str, ...]) -> Iterator[Segment]:
    seen: set[str] = set()
    for number, line in decoded_lines(path):
        try:
            segment = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: not JSON ({error}); write one JSON object a line") from error
        _check(segment, texts, f"{path}:{number}")
        if segment["id"] in seen:
            raise InputError(f"{path}:{number}: the id {segment['id']!r} stands twice; give each segment its own")
        seen.add(segment["id"])
        yield segment


def _check(segment: Any, texts: tuple[str, ...], place: str) -> None:
    if not isinstance(segment, dict):
        raise InputError(f"{place}: not an object; write {{'id': …, 'src': …, 'tgt': …}}")
    for key in ("id", *texts):
        value = segment.get(key)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{place}: {key!r} is missing or empty; give it text or take the segment out")
        if "\n" in value or "\r" in value:
            raise InputError(f"{place}: {key!r} holds a line break; make it one line")
