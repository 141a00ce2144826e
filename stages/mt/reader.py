"""What a reader of corpora is asked and what it gives; `mt.corpora` lists the readers."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from mt.archives import Archive
from mt.errors import InputError
from mt.pins import check_sha256
from mt.prompt import Languages
from mt.segments import Segment


@dataclass(frozen=True)
class Source:
    """Where a corpus comes from: the name of a reader, and what that reader needs; null or [] for what it does not."""

    source: str
    path: str | None
    config: str | None
    split: str | None
    columns: tuple[str, ...]
    """The column of each text asked for: src and tgt, or tgt alone."""
    revision: str | None
    limit: int | None
    """At most so many segments are kept (`mt.corpora.read_corpus` says which), or all."""
    archives: tuple[Archive, ...]


@dataclass(frozen=True)
class WikiCorpus:
    """What the reader `wikicorpus` takes, for every corpus that names it.

    `url` is read where a corpus has no path, and `sha256` is that download's digest, or null. `categories`: the three
    letters that articles' names begin with, [] for all. `titles`: whether titles and headings are taken too.
    `max_malformed`: the share of articles that may be no well-formed XML.
    """

    url: str
    sha256: str | None
    categories: tuple[str, ...]
    titles: bool
    max_malformed: float

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        name = PurePosixPath(parts.path).name
        if parts.scheme not in ("https", "http") or not parts.hostname or not re.fullmatch(r"\w[\w.+-]*", name):
            raise ValueError(f"url: {self.url!r} must begin with https:// or http:// and end in a file's name")
        if self.sha256 is not None:
            check_sha256(self.sha256)
        if not 0 <= self.max_malformed <= 1:
            raise ValueError(f"max_malformed is {self.max_malformed}; write a share from 0 to 1")


@dataclass(frozen=True)
class Request:
    """What is asked of a reader.

    Attributes:
        corpus: the source.
        texts: the keys that a segment must hold: ("src", "tgt"), or ("tgt",) for monolingual text.
        complete: whether a segment without text on a side is an error, as in a test set; elsewhere it is dropped.
        local: the folder in which files of the user's own stand; DVC watches it.
        cache: the folder of downloads.
        languages: of src and tgt.
        wikicorpus: what the reader of that name takes.
    """

    corpus: Source
    texts: tuple[str, ...]
    complete: bool
    local: Path
    cache: Path
    languages: Languages
    wikicorpus: WikiCorpus


class Row(NamedTuple):
    """One segment of a source: where it stands, for messages; itself; and why it is dropped, if the reader drops it.

    A segment may have a key `doc` besides its id and its texts: the document that it comes from.
    """

    place: str
    segment: Segment
    drop: str | None = None


@dataclass(frozen=True)
class Reader:
    """A reading function and the keys of `Source` that it reads: those it needs, and those that may be null.

    A `stream` is read in its order, from its beginning, and no further than its corpus's limit.
    """

    read: Callable[[Request], Iterator[Row]]
    needs: tuple[str, ...]
    may: tuple[str, ...] = ()
    stream: bool = False


def local_path(request: Request) -> Path:
    """The file or folder at `path`, which must stand in the folder that DVC watches.

    Raises:
        InputError: it stands elsewhere.
    """
    path = Path(str(request.corpus.path))
    if ".." in path.parts or not path.absolute().is_relative_to(request.local.absolute()):
        raise InputError(f"{path}: stands outside {request.local}, so DVC would not see it change; move it there")
    return path


def row(place: str, segment: Segment, texts: tuple[str, ...]) -> Row:
    """A row that is dropped, as `empty_src` or `empty_tgt`, where a text is empty, in a test set too.

    For sources that are published as they are: nobody can give such a segment its text.
    """
    return Row(place, segment, next((f"empty_{key}" for key in texts if not segment[key]), None))


def sides(source: str, texts: Mapping[str, str], languages: Languages) -> dict[str, str]:
    """Src and tgt of a source that holds two languages (`texts`, by ISO 639-1 code), whichever is translated.

    Raises:
        InputError: it does not hold one of them.
    """
    if set(texts) != {languages.src, languages.tgt}:
        raise InputError(
            f"params.yaml: {source} holds {' and '.join(texts)}; languages are {languages.src} and {languages.tgt}: "
            "name another source, or these languages"
        )
    return {"src": texts[languages.src], "tgt": texts[languages.tgt]}
