"""Requests to the readers of corpora, with nothing in them that a test does not name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mt.corpora import Corpus, NamedCorpus, read_corpus
from mt.prompt import Languages
from mt.reader import Request, WikiCorpus
from mt.segments import Segment
from mt.tally import Tally

PAIR = ("src", "tgt")
MONO = ("tgt",)
NOTHING = {"path": None, "config": None, "split": None, "columns": (), "revision": None, "limit": None, "archives": ()}
WIKICORPUS = WikiCorpus("http://127.0.0.1:9/wiki_corpus.tar.gz", None, (), False, 0.01)


def corpus(source: str, **keys: Any) -> Corpus:
    """A corpus of which only these keys are given."""
    return Corpus(source=source, **{**NOTHING, **keys})


def named(name: str, source: str, **keys: Any) -> NamedCorpus:
    """A test set of which only these keys are given."""
    return NamedCorpus(source=source, name=name, **{**NOTHING, **keys})


def request(
    asked: Corpus,
    folder: Path,
    texts: tuple[str, ...] = PAIR,
    complete: bool = False,
    languages: Sequence[str] = ("en", "ja"),
    wikicorpus: WikiCorpus = WIKICORPUS,
) -> Request:
    """A request with one folder for the user's files and for downloads."""
    return Request(asked, texts, complete, folder, folder, Languages(*languages), wikicorpus)


def read(asked: Request, sample: int = 3) -> tuple[list[Segment], Tally]:
    """The segments that are kept, and what became of all."""
    tally = Tally(sample)
    return list(read_corpus(asked, tally)), tally


def local(source: str, path: Path, texts: tuple[str, ...] = PAIR, complete: bool = False) -> Request:
    """A request for a file of the user's own."""
    return request(corpus(source, path=str(path)), path.parent, texts, complete)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file of the user's own."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
