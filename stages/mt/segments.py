"""Segments in JSON Lines: one object a line, UTF-8, LF line ends only, never two parallel files."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mt.errors import InputError
from mt.files import replacing
from mt.values import parsed

MAX_LINE_BYTES = 1 << 20
"""The longest line that is read or written, its LF included."""

TEXTS = ("src", "tgt", "doc", "hyp")
"""Keys that hold text wherever they are there, asked for or not."""

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


def stream_segments(path: Path, texts: tuple[str, ...]) -> Iterator[Segment]:
    """Yield the segments of a file of any size, each checked when its turn comes.

    Two with one id are not refused: to know, every id would have to be kept. A file may hold none.

    Args:
        path: a JSON Lines file.
        texts: the keys that must hold non-empty text.

    Raises:
        InputError: as `read_segments`.
    """
    for number, line in decoded_lines(path):
        try:
            segment = parsed(line)
            if "\\u" in line:
                json.dumps(segment, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{path}:{number}: holds half a surrogate pair, which is no UTF-8; correct its escapes"
            ) from error
        except ValueError as error:
            raise InputError(f"{path}:{number}: not JSON ({error}); write one JSON object a line") from error
        _check(segment, texts, f"{path}:{number}")
        yield segment


def write_segments(path: Path, segments: Iterable[Segment], allow_empty: bool = False) -> None:
    """Write segments, whole or not at all, in their order.

    Raises:
        InputError: there is no segment and `allow_empty` is false, one is too long, or the disk is full.
    """
    with replacing(path) as partial:
        with partial.open("wb") as file:
            for segment in segments:
                line = json.dumps(segment, ensure_ascii=False, allow_nan=False).encode() + b"\n"
                if len(line) > MAX_LINE_BYTES:
                    raise InputError(
                        f"{path}: the segment {segment.get('id')!r:.100} takes {len(line)} bytes, more than "
                        f"{MAX_LINE_BYTES}; split its text, or take it out of its source"
                    )
                file.write(line)
        if not partial.stat().st_size and not allow_empty:
            raise InputError(f"{path}: nothing is left to write; loosen what drops segments, or give more of them")


def decoded_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line's number, from 1, and its text without the LF, or the byte order mark that some editors put.

    Other line separators of Unicode stay inside the text. A last line without LF counts. No more of the file is in
    memory than one line.

    Raises:
        InputError: there is no such file, or a line is not UTF-8 or too long.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is no plain file; name one that is")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found; put the file there or run `dvc repro` to make it") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a file that can") from error
    with file:
        yield from decoded(file, str(path))


def decoded(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """As `decoded_lines`, of an open file that messages call `name`; no line is read before it is asked for."""
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
        if len(line) > MAX_LINE_BYTES:
            raise InputError(f"{name}:{number}: is longer than {MAX_LINE_BYTES} bytes; write a segment a line")
        try:
            text = line.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}:{number}: byte {error.start + 1} is not UTF-8; convert the file, for example with iconv"
            ) from error
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _lines(path: Path, texts: tuple[str, ...]) -> Iterator[Segment]:
    seen: set[str] = set()
    for number, segment in enumerate(stream_segments(path, texts), start=1):
        if segment["id"] in seen:
            raise InputError(f"{path}:{number}: the id {segment['id']!r:.100} stands twice; give each segment its own")
        seen.add(segment["id"])
        yield segment


def _check(segment: Any, texts: tuple[str, ...], place: str) -> None:
    if not isinstance(segment, dict):
        raise InputError(f"{place}: not an object; write {{'id': …, 'src': …, 'tgt': …}}")
    for key in ("id", *texts):
        value = segment.get(key)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{place}: {key!r} is missing or empty; give it text or take the segment out")
    for key in TEXTS:
        if not isinstance(segment.get(key, ""), str):
            raise InputError(f"{place}: {key!r} is no text; write it as a string, or leave it out")
    for key in dict.fromkeys(("id", "src", "tgt", *texts)):
        if "\n" in segment.get(key, "") or "\r" in segment.get(key, ""):
            raise InputError(f"{place}: {key!r} holds a line break; make it one line")
