"""The stage that fetches the corpora."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import corpus_requests
from corpus_requests import WIKICORPUS
from fetch_corpora import Corpora, Params, Paths, run
from mt.corpora import Corpus, NamedCorpus
from mt.errors import InputError
from mt.params import load
from mt.prompt import Languages

ROOT = Path(__file__).parents[1]
LANGUAGES = Languages("en", "ja")


def corpus(path: Path | None) -> Corpus:
    return corpus_requests.corpus("tsv" if path else "parallel", path=str(path) if path else None)


def named(name: str, path: Path | None) -> NamedCorpus:
    return corpus_requests.named(name, "tsv" if path else "parallel", path=str(path) if path else None)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    local = tmp_path / "local"
    local.mkdir()
    (local / "pairs.tsv").write_text("a\tあ\nb\t\nc\tう\n", encoding="utf-8")
    (local / "mono.tsv").write_text("え\nお\n", encoding="utf-8")
    (local / "test.tsv").write_text("t\tて\n", encoding="utf-8")
    return Paths(local, tmp_path / "raw")


def params(paths: Paths, mono: bool, *tests: tuple[str, bool]) -> Params:
    corpora = Corpora(
        parallel=corpus(paths.local / "pairs.tsv"),
        mono=corpus(paths.local / "mono.tsv" if mono else None),
        tests=tuple(named(name, paths.local / "test.tsv" if own else None) for name, own in tests),
        wikicorpus=WIKICORPUS,
        rejected_sample=5,
    )
    return Params(LANGUAGES, corpora, tuple(name for name, _ in tests))


def segments(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_every_corpus_with_a_source_of_its_own_gets_a_file(paths: Paths) -> None:
    run(paths, params(paths, True, ("news", True), ("cut", False)))
    assert sorted(str(p.relative_to(paths.out)) for p in paths.out.rglob("*.*")) == [
        "counts.json",
        "mono.jsonl",
        "parallel.jsonl",
        "tests/news.jsonl",
    ]
    assert segments(paths.out / "parallel.jsonl") == [
        {"id": "pairs:1", "src": "a", "tgt": "あ"},
        {"id": "pairs:3", "src": "c", "tgt": "う"},
    ]
    assert segments(paths.out / "mono.jsonl") == [{"id": "mono:1", "tgt": "え"}, {"id": "mono:2", "tgt": "お"}]
    assert segments(paths.out / "tests/news.jsonl") == [{"id": "test:1", "src": "t", "tgt": "て"}]


def test_counts_say_what_became_of_every_segment(paths: Paths) -> None:
    run(paths, params(paths, False, ("news", True), ("cut", False)))
    counts = json.loads((paths.out / "counts.json").read_text(encoding="utf-8"))
    assert counts["parallel"] == {
        "source": "tsv",
        "read": 3,
        "kept": 2,
        "dropped": {"empty_tgt": 1},
        "rejected": [{"reason": "empty_tgt", "id": "pairs:2", "src": "b", "tgt": ""}],
    }
    nothing = {"source": "parallel", "read": 0, "kept": 0, "dropped": {}, "rejected": []}
    assert (counts["mono"], counts["tests"]["cut"]) == (nothing, nothing)
    assert counts["tests"]["news"]["kept"] == 1


def test_documents_are_passed_on(paths: Paths) -> None:
    line = '{"id": "x", "src": "a", "tgt": "あ", "doc": "d", "note": 1}\n'
    (paths.local / "pairs.jsonl").write_text(line, encoding="utf-8")
    before = params(paths, False, ("cut", False))
    parallel = corpus_requests.corpus("jsonl", path=str(paths.local / "pairs.jsonl"))
    run(paths, replace(before, corpora=replace(before.corpora, parallel=parallel)))
    assert segments(paths.out / "parallel.jsonl") == [{"id": "x", "src": "a", "tgt": "あ", "doc": "d"}]


def test_one_broken_corpus_leaves_no_output(paths: Paths) -> None:
    (paths.local / "test.tsv").write_text("t\t\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"test\.tsv:1: 'tgt' is empty"):
        run(paths, params(paths, True, ("news", True)))
    assert [p.name for p in paths.out.parent.iterdir()] == ["local"]


def test_a_second_run_replaces_the_first(paths: Paths) -> None:
    run(paths, params(paths, True, ("news", True)))
    run(paths, params(paths, False, ("cut", False)))
    assert sorted(p.name for p in paths.out.iterdir()) == ["counts.json", "parallel.jsonl"]


@pytest.mark.parametrize(
    ("tests", "testsets", "message"),
    [
        (("a", "b"), ("a",), r"corpora\.tests names \['a', 'b'\] but testsets \['a'\]"),
        (("a", "b"), ("b", "a"), r"write the same, in one order"),
        (("a", "a"), ("a", "a"), r"a name stands twice"),
        ((), (), r"testsets: names none"),
    ],
)
def test_test_sets_are_named_the_same_twice(tests: tuple[str, ...], testsets: tuple[str, ...], message: str) -> None:
    own = tuple(named(name, None) for name in tests)
    corpora = Corpora(5, corpus(Path("pairs.tsv")), corpus(None), own, WIKICORPUS)
    with pytest.raises(ValueError, match=message):
        Params(LANGUAGES, corpora, testsets)


def test_the_parallel_corpus_has_a_source() -> None:
    with pytest.raises(ValueError, match=r"parallel\.source: "):
        Corpora(5, corpus(None), corpus(None), (), WIKICORPUS)


@pytest.mark.parametrize("preset", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_are_understood(preset: Path) -> None:
    assert load(Params, preset, {}).testsets
