"""Corpora: named readers, each of which turns one kind of source into segments.

A reader is a function of a `Request` that yields a `Row` for everything it meets, what it drops too, and raises
InputError for what the user must mend. To add one, write the function in a module of its own and put it into `READERS`
with the keys of a corpus that it reads; what holds for every corpus (text on each side, an id of its own for each
segment, no line breaks, the limit) is seen to by `read_corpus`, and so is the counting.

`parallel` has no reader: such a test set or monolingual text is cut out of the parallel corpus by the stage `prepare`.
"""

import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

from mt.errors import InputError
from mt.hub_text import read_hf
from mt.own_files import read_jsonl, read_tsv
from mt.pins import COMMIT
from mt.reader import Reader, Request, Source
from mt.sacrebleu_sets import read_sacrebleu
from mt.segments import Segment
from mt.tally import Tally
from mt.tatoeba import read_tatoeba
from mt.wikicorpus import read_wikicorpus

PARALLEL = "parallel"
KEYS = ("path", "config", "split", "columns", "revision", "archives")
NAMED = ":<set>"

READERS = {
    "tatoeba": Reader(read_tatoeba, needs=("archives",)),
    "tsv": Reader(read_tsv, needs=("path",)),
    "jsonl": Reader(read_jsonl, needs=("path",)),
    "wikicorpus": Reader(read_wikicorpus, needs=(), may=("path",)),
    "hf": Reader(read_hf, needs=("path", "split", "columns"), may=("config", "revision"), stream=True),
    f"sacrebleu{NAMED}": Reader(read_sacrebleu, needs=()),
}
"""By source. Where a source ends in `:<set>`, a name stands there in params.yaml, and the reader finds it."""


@dataclass(frozen=True)
class Corpus(Source):
    """A source whose keys are those that its reader reads, and no more."""

    def __post_init__(self) -> None:
        reader = None if self.source == PARALLEL else _reader(self.source)
        needs, may = (reader.needs, reader.may) if reader else ((), ())
        for key in KEYS:
            nothing = "[]" if key in ("columns", "archives") else "null"
            if key in needs and not getattr(self, key):
                raise ValueError(f"{key}: the source {self.source} needs it; it is {nothing} here")
            if key not in needs + may and getattr(self, key):
                raise ValueError(f"{key}: the source {self.source} reads none; write {nothing}")
        if self.limit is not None and not reader:
            raise ValueError(f"limit: the source {self.source} reads none; write null, and a size under prepare")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}; write 1 or more, or null for all")
        if self.revision is not None and not COMMIT.fullmatch(self.revision):
            raise ValueError(f"revision: {self.revision!r} must be a commit's 40 lower-case hexadecimal digits")


@dataclass(frozen=True)
class NamedCorpus(Corpus):
    """A test set; its name is that of its files and of its stages in dvc.yaml."""

    name: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"[A-Za-z0-9_]+", self.name):
            raise ValueError(f"name: {self.name!r} becomes a file's name; write letters, digits and _ only")


def read_corpus(request: Request, tally: Tally) -> Iterator[Segment]:
    """Yield a corpus's segments in its order and count them; keys `id`, the texts asked for, and `doc` where known.

    Of more than the corpus's limit, a stream's first are kept, and nothing after them is read; of other sources
    `lowest` are.

    Raises:
        InputError: the source cannot be read, a segment is broken, an id stands twice, or nothing is kept.
    """
    corpus = request.corpus
    reader = _reader(corpus.source)
    segments = _sound(request, reader, tally)
    if corpus.limit is not None:
        stream = reader.stream
        segments = islice(segments, corpus.limit) if stream else iter(lowest(segments, corpus.limit, tally))
    for segment in segments:
        tally.keep()
        yield segment
    if not tally.kept:
        raise InputError(
            f"{corpus.path or corpus.source}: holds no segment with text"
            f" ({sum(tally.dropped.values())} were read); give at least one"
        )


def lowest(segments: Iterable[Segment], limit: int, tally: Tally) -> list[Segment]:
    """At most `limit` segments, those with the lowest SHA-256 of their ids, in their order.

    So that a larger limit keeps all that a smaller one keeps. The rest are dropped, as `over_limit`.
    """
    heap: list[tuple[int, int, Segment]] = []
    for position, segment in enumerate(segments):
        digest = int.from_bytes(hashlib.sha256(segment["id"].encode()).digest())
        heapq.heappush(heap, (-digest, position, segment))
        if len(heap) > limit:
            tally.drop("over_limit", heapq.heappop(heap)[2])
    return [segment for _, _, segment in sorted(heap, key=itemgetter(1))]


def _reader(source: str) -> Reader:
    kind = re.sub(":.+", NAMED, source)
    if kind not in READERS:
        raise ValueError(f"source: {source!r} is unknown; write one of {', '.join([*READERS, PARALLEL])}")
    return READERS[kind]


def _sound(request: Request, reader: Reader, tally: Tally) -> Iterator[Segment]:
    seen: set[str] = set()
    for place, segment, reason in reader.read(request):
        if reason is not None:
            tally.drop(reason, segment)
            continue
        _check(place, segment, request.texts)
        if segment["id"] in seen:
            raise InputError(f"{place}: the id {segment['id']!r:.100} stands twice; give each segment its own")
        seen.add(segment["id"])
        empty = [key for key in request.texts if not segment[key].strip()]
        if empty and request.complete:
            raise InputError(f"{place}: {empty[0]!r} is empty; give it text or take the segment out of the test set")
        if empty:
            tally.drop(f"empty_{empty[0]}", segment)
        else:
            yield segment


def _check(place: str, segment: Segment, texts: tuple[str, ...]) -> None:
    for key in ("id", *texts, *(("doc",) if "doc" in segment else ())):
        text = segment[key]
        if not isinstance(text, str):
            raise InputError(f"{place}: {key!r} is missing or is no text; write it as a string")
        if "\n" in text or "\r" in text:
            raise InputError(f"{place}: {key!r} holds a line break; make it one line")
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise InputError(f"{place}: {key!r} holds half a surrogate pair, which is no UTF-8; correct its escapes")
    for key in ("id", "doc"):
        if not segment.get(key, "-").strip():
            raise InputError(f"{place}: {key!r} is empty; give each {'segment' if key == 'id' else 'document'} its own")
