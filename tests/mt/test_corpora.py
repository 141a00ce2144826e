"""The readers of corpora, and what is checked for all of them."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_requests import PAIR, corpus, local, named, read, request, write
from mt.archives import Archive
from mt.corpora import KEYS, READERS, lowest
from mt.errors import InputError
from mt.reader import Reader, Request, Row
from mt.tally import Tally


def test_segments_without_text_are_dropped_and_counted(tmp_path: Path) -> None:
    segments, tally = read(local("tsv", write(tmp_path, "own.tsv", "a\t\n \tい\nc\tう\n")))
    assert [segment["id"] for segment in segments] == ["own:3"]
    assert (tally.kept, tally.dropped) == (1, {"empty_tgt": 1, "empty_src": 1})


@pytest.mark.parametrize(("content", "side"), [("a\tあ\nb\t\n", "tgt"), ("a\tあ\n \tい\n", "src")])
def test_a_test_set_must_have_text_on_both_sides(tmp_path: Path, content: str, side: str) -> None:
    with pytest.raises(InputError, match=rf"own\.tsv:2: '{side}' is empty"):
        read(local("tsv", write(tmp_path, "own.tsv", content), complete=True))


ARCHIVE = Archive("pack", "1", "pack-1.tar.gz", "0" * 64, "pack-1/SENTENCES")


@given(st.binary(max_size=40), st.sampled_from(["tsv", "jsonl"]))
def test_any_bytes_are_segments_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, source: str
) -> None:
    path = write(tmp_path_factory.getbasetemp(), "own", data)
    with contextlib.suppress(InputError):
        segments, tally = read(local(source, path))
        assert tally.kept == len(segments) > 0
        assert all(segment[side].strip() for segment in segments for side in PAIR)


PIN = "0" * 39 + "a"


@pytest.mark.parametrize(
    ("source", "keys", "message"),
    [
        ("moon", {}, r"source: 'moon' is unknown; write one of .*tsv.*sacrebleu:<set>, parallel"),
        ("sacrebleu", {}, r"source: 'sacrebleu' is unknown"),
        ("sacrebleu:", {}, r"source: 'sacrebleu:' is unknown"),
        ("tsv:own", {}, r"source: 'tsv:own' is unknown"),
        ("tsv", {}, r"path: the source tsv needs it; it is null here"),
        ("tsv", {"path": "own.tsv", "revision": PIN}, r"revision: the source tsv reads none; write null"),
        ("tsv", {"path": "own.tsv", "columns": ("a",)}, r"columns: the source tsv reads none; write \[\]"),
        ("tsv", {"path": "own.tsv", "limit": 0}, r"limit is 0; write 1 or more, or null for all"),
        ("tatoeba", {}, r"archives: the source tatoeba needs it; it is \[\] here"),
        ("tatoeba", {"path": "own.tsv", "archives": (ARCHIVE,)}, r"path: the source tatoeba reads none"),
        ("parallel", {"archives": (ARCHIVE,)}, r"archives: the source parallel reads none; write \[\]"),
        ("parallel", {"limit": 5}, r"limit: the source parallel reads none; write null"),
        ("wikicorpus", {"split": "train"}, r"split: the source wikicorpus reads none"),
        ("sacrebleu:wmt24", {"path": "x"}, r"path: the source sacrebleu:wmt24 reads none"),
        ("hf", {"path": "org/name", "split": "train"}, r"columns: the source hf needs it; it is \[\] here"),
        ("hf", {"path": "org/name", "columns": ("text",)}, r"split: the source hf needs it"),
        ("hf", {"path": "o/n", "split": "train", "columns": ("t",), "revision": "main"}, r"revision: 'main' must be a"),
    ],
)
def test_a_corpus_gives_what_its_reader_reads_and_no_more(source: str, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corpus(source, **keys)


@pytest.mark.parametrize("name", ["", "a b", "../a", "a-b", "a.b", "京都"])
def test_a_test_sets_name_is_fit_for_files_and_stages(name: str) -> None:
    with pytest.raises(ValueError, match="name: "):
        named(name, "parallel")


def test_readers_read_keys_that_there_are_and_none_twice() -> None:
    for reader in READERS.values():
        assert set(reader.needs + reader.may) <= set(KEYS)
        assert not set(reader.needs) & set(reader.may)


def numbered(*numbers: int) -> list[dict[str, str]]:
    return [{"id": str(number)} for number in numbers]


def test_a_limit_keeps_the_ids_that_hash_lowest_in_their_order() -> None:
    # sha256sum gives 0 to 4 the first digits 5f, 6b, d4, 4e and 4b.
    tally = Tally(9)
    assert lowest(numbered(0, 1, 2, 3, 4), 3, tally) == numbered(0, 3, 4)
    assert (tally.dropped, [r["id"] for r in tally.report()["rejected"]]) == ({"over_limit": 2}, ["2", "1"])


@given(st.lists(st.integers(0, 99), unique=True), st.integers(1, 9), st.randoms())
def test_a_larger_limit_keeps_more_whatever_the_order(numbers: list[int], limit: int, chance: random.Random) -> None:
    kept = lowest(numbered(*numbers), limit, Tally(0))
    assert len(kept) == min(limit, len(numbers))
    assert all(one in lowest(numbered(*numbers), limit + 1, Tally(0)) for one in kept)
    chance.shuffle(numbers)
    assert sorted(s["id"] for s in lowest(numbered(*numbers), limit, Tally(0))) == sorted(s["id"] for s in kept)


def test_a_corpus_over_its_limit_is_cut_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "own.tsv", "".join(f"{n}\ta\tあ\n" for n in range(5)) + "x\t\tあ\n")
    segments, tally = read(request(corpus("tsv", path=str(path), limit=3), tmp_path))
    assert [segment["id"] for segment in segments] == ["0", "3", "4"]
    assert (tally.kept, tally.dropped) == (3, {"empty_src": 1, "over_limit": 2})


def test_a_limit_ends_the_reading_of_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    met = []

    def long(asked: Request) -> Iterator[Row]:
        for number in range(99):
            met.append(number)
            yield Row("here", {"id": str(number), "src": "a", "tgt": "あ"}, "odd" if number % 2 else None)

    monkeypatch.setitem(READERS, "long", Reader(long, needs=(), stream=True))
    segments, tally = read(request(corpus("long", limit=3), tmp_path))
    assert [segment["id"] for segment in segments] == ["0", "2", "4"]
    assert (met[-1], tally.kept, tally.dropped) == (4, 3, {"odd": 2})
