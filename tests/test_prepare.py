"""The stage that cleans, splits and decontaminates."""

import json
import os
import random
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from mt.errors import InputError
from mt.near import Index
from mt.params import load
from mt.partition import REASONS, Corpora, Prepare
from mt.partition import split as split_by
from mt.prompt import Languages
from mt.segments import Segment, read_segments, write_segments
from mt.tally import Tally
from mt.text import key
from prepare import Params, Paths, run

ROOT = Path(__file__).parents[1]
PREPARE = Prepare(
    seed=1,
    train=8,
    dev=3,
    test=5,
    mono=8,
    comet=6,
    min_chars=4,
    max_chars=200,
    max_words=60,
    min_length_ratio=0.2,
    max_length_ratio=1.2,
    ngram=3,
    near_duplicate=0.4,
    contained=0.7,
    contained_ngrams=8,
    rejected_sample=3,
)
PARAMS = Params(Languages("en", "ja"), ("cut", "own"), PREPARE)
UNDOCUMENTED = [reason for reason in REASONS if reason != "same_document"]
"""What is counted where no segment names a document."""
KANA = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん"
TEST = {
    "id": "own:1",
    "src": "The abbot of the temple planted an old plum tree beside the pond.",
    "tgt": "寺の住職は池のほとりに古い梅の木を植えた。",
}


def pairs(number: int) -> list[Segment]:
    """Pairs that are not alike: words of random letters, from a fixed seed."""
    chance = random.Random(number)
    return [
        {
            "id": f"t:{i}",
            "src": " ".join("".join(chance.choices("abcdefghijklmnoprstuvwyz", k=6)) for _ in range(4)),
            "tgt": "".join(chance.choices(KANA, k=14)),
        }
        for i in range(number)
    ]


def corpora(number: int = 60, mono: list[Segment] | None = None) -> Corpora:
    return Corpora(pairs(number), mono, {"own": [TEST]})


def sized(**sizes: int) -> Params:
    return replace(PARAMS, prepare=replace(PREPARE, **sizes))


def split(whole: Corpora, params: Params) -> tuple[dict[str, list[Segment]], dict[str, Tally]]:
    return split_by(whole, params.languages, params.testsets, params.prepare)


def names(splits: dict[str, list[Segment]]) -> dict[str, list[str]]:
    return {name: [segment["id"] for segment in segments] for name, segments in splits.items()}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    files = {
        name: tmp_path / "out" / f"{name}.jsonl" for name in ("train", "dev", "mono", "mono_refs", "comet", "pool")
    }
    made = Paths(raw=tmp_path / "raw", tests=tmp_path / "out/tests", counts=tmp_path / "out/counts.json", **files)
    write_segments(made.raw / "parallel.jsonl", pairs(60))
    write_segments(made.raw / "tests/own.jsonl", [TEST])
    return made


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_files_hold_their_keys_and_sizes(paths: Paths) -> None:
    run(paths, PARAMS)
    found = {name: lines(getattr(paths, name)) for name in ("train", "dev", "comet", "mono", "mono_refs", "pool")}
    sizes = {name: len(segments) for name, segments in found.items()}
    assert sizes == {"train": 8, "dev": 3, "comet": 6, "mono": 8, "mono_refs": 8, "pool": 60 - 5 - 8 - 3 - 6 - 8}
    assert {name: set(segments[0]) for name, segments in found.items()} == {
        "train": {"id", "src", "tgt"},
        "dev": {"id", "src", "tgt"},
        "comet": {"id", "src", "tgt"},
        "mono": {"id", "tgt"},
        "mono_refs": {"id", "src"},
        "pool": {"id", "src", "tgt"},
    }
    assert [s["id"] for s in found["mono"]] == [s["id"] for s in found["mono_refs"]]
    assert len(lines(paths.tests / "cut.jsonl")) == 5
    assert lines(paths.tests / "own.jsonl") == [TEST]
    assert {p.name for p in paths.train.parent.iterdir()} == {
        *(f"{name}.jsonl" for name in found),
        "tests",
        "counts.json",
    }


def test_counts_are_a_waterfall(paths: Paths) -> None:
    broken = [
        {"id": "x:1", "src": "????", "tgt": "！！！！"},
        {"id": "x:2", "src": "abc", "tgt": "あいうえお"},
        {"id": "x:3", "src": "word " * 12, "tgt": "あいうえお"},
        {"id": "x:4", "src": "a " * 61, "tgt": "あいうえおかきくけこ" * 4},
        {**pairs(60)[0], "id": "x:5"},
        {"id": "x:6", "src": TEST["src"].upper(), "tgt": "まったくちがう、ながいながいぶんです。"},
    ]
    write_segments(paths.raw / "parallel.jsonl", pairs(60) + broken)
    run(paths, PARAMS)
    counts = json.loads(paths.counts.read_text(encoding="utf-8"))
    assert set(counts) == {"parallel", "splits"}
    waterfall = counts["parallel"]
    once = ("empty", "chars", "length_ratio", "words", "same_pair", "near_test")
    assert waterfall["dropped"] == {reason: int(reason in once) for reason in UNDOCUMENTED}
    assert waterfall["reasons"] == UNDOCUMENTED
    assert (waterfall["read"], waterfall["kept"]) == (66, 60)
    assert {r["id"]: r["near"] for r in waterfall["rejected"] if "near" in r}["x:6"] == "own:1"
    assert counts["splits"]["tests/cut"]["segments"] == 5
    assert counts["splits"]["train"]["length_ratio"]["median"] == pytest.approx(14 / 27, abs=1e-3)
    assert set(counts["splits"]) == {"tests/own", "tests/cut", "dev", "comet", "train", "mono", "pool"}


def test_documents_are_kept_in_the_files_and_their_rest_is_counted(paths: Paths) -> None:
    told = [{**segment, "doc": f"d{i // 4}"} for i, segment in enumerate(pairs(60))]
    write_segments(paths.raw / "parallel.jsonl", told)
    run(paths, PARAMS)
    found = {name: lines(getattr(paths, name)) for name in ("train", "dev", "comet", "mono", "pool")}
    found["cut"] = lines(paths.tests / "cut.jsonl")
    for name, segments in found.items():
        assert list(segments[0]) == ["id", *(() if name == "mono" else ("src",)), "tgt", "doc"]
    assert list(lines(paths.mono_refs)[0]) == ["id", "src"]
    assert [s["id"] for s in found["train"][:4]] == [s["id"] for s in told if s["doc"] == found["train"][0]["doc"]]
    # Of documents of 4, test's 5, dev's 3 and comet's 6 leave 3, 1 and 2; train's 8 and mono's 8 leave none.
    waterfall = json.loads(paths.counts.read_text(encoding="utf-8"))["parallel"]
    assert waterfall["dropped"] == {**dict.fromkeys(REASONS, 0), "same_document": 3 + 1 + 2}
    assert waterfall["reasons"] == list(REASONS)
    assert waterfall["kept"] == 60 - 6


def test_no_text_stands_in_two_places() -> None:
    crowd = pairs(60) + [{**s, "id": f"u:{i}", "src": s["src"] + "!"} for i, s in enumerate(pairs(60))]
    crowd += [{**s, "id": f"v:{i}", "tgt": "ほかのぶん" + s["tgt"][::-1]} for i, s in enumerate(pairs(60))]
    splits, tallies = split(Corpora(crowd, None, {"own": [TEST]}), PARAMS)
    drawn = [segment for segments in splits.values() for segment in segments]
    for side in ("src", "tgt"):
        keys = [key(segment[side]) for segment in drawn]
        assert len(set(keys)) == len(keys)
    assert {segment["id"] for segment in drawn} <= {"own:1", *(segment["id"] for segment in crowd)}
    assert tallies["parallel"].kept + sum(tallies["parallel"].dropped.values()) == len(crowd)


def test_nothing_near_to_a_test_segment_is_left_on_either_side() -> None:
    splits, _ = split(corpora(), PARAMS)
    index = Index(3, 0.4, 0.7, 8)
    for segment in splits["tests/own"] + splits["tests/cut"]:
        index.add(segment["id"], segment["src"])
        index.add(segment["id"], segment["tgt"])
    for name in ("train", "dev", "comet", "mono", "pool"):
        assert all(index.find(segment[side]) is None for segment in splits[name] for side in ("src", "tgt"))


LEAKS = {
    "exact": (TEST["src"], TEST["tgt"]),
    "case": (TEST["src"].upper(), "ぜんぜんちがう、べつのながいぶんです。"),
    "width": (
        "".join(chr(ord(c) + 0xFEE0) if c != " " else c for c in TEST["src"]),
        "ぜんぜんちがう、べつのながいぶんです。",
    ),
    "punctuation": (
        TEST["src"].replace(" planted", ", planted").replace(".", "!"),
        "ぜんぜんちがう、べつのながいぶんです。",
    ),
    "one word changed": (TEST["src"].replace("plum", "cherry"), "ぜんぜんちがう、べつのながいぶんです。"),
    "prefix": ("The abbot of the temple planted an old plum", "ぜんぜんちがう、べつのながいぶんです。"),
    "reordered": (
        "Beside the pond the abbot of the temple planted an old plum tree.",
        "ぜんぜんちがう、べつのながいぶんです。",
    ),
    "translation only": ("Some words that never stood in any test sentence.", TEST["tgt"]),
    "translation, one word changed": (
        "Some words that never stood in any test sentence.",
        TEST["tgt"].replace("梅", "桜"),
    ),
    "sides exchanged": ("Some words, some more, in " + TEST["tgt"], "ぜんぜんちがう、べつのながいぶんです。"),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_planted_leak_reaches_no_split(leak: tuple[str, str]) -> None:
    planted = {"id": "leak", "src": leak[0], "tgt": leak[1]}
    splits, tallies = split(Corpora([planted, *pairs(60)], None, {"own": [TEST]}), PARAMS)
    assert "leak" not in {name for split_ids in names(splits).values() for name in split_ids}
    assert tallies["parallel"].dropped == {"near_test": 1}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_leak_of_a_test_set_cut_from_the_corpus_reaches_no_split(leak: tuple[str, str]) -> None:
    # Drawn as a test segment itself, or dropped because the other was; never both, and never used for training.
    planted = {"id": "leak", "src": leak[0], "tgt": leak[1]}
    whole = Corpora([planted, {**TEST, "id": "orig"}, *pairs(60)], None, {})
    for seed in range(3):
        splits, _ = split(whole, replace(sized(seed=seed, test=25, dev=1, comet=1, train=1, mono=1), testsets=("cut",)))
        found = names(splits)
        if {"leak", "orig"} & set(found["tests/cut"]):
            assert len({"leak", "orig"} & {id_ for ids in found.values() for id_ in ids}) == 1


def test_monolingual_text_of_its_own_is_cleaned_cut_and_kept_clear_of_tests(paths: Paths) -> None:
    mono = [{"id": f"m:{i}", "tgt": s["tgt"][::-1]} for i, s in enumerate(pairs(12))]
    leaks = [
        {"id": "m:test", "tgt": TEST["tgt"].replace("梅", "桜")},
        {"id": "m:same", "tgt": mono[0]["tgt"] + "。"},
        {"id": "m:short", "tgt": "あ"},
    ]
    write_segments(paths.raw / "mono.jsonl", [*mono, *leaks])
    run(paths, PARAMS)
    found = lines(paths.mono)
    assert len(found) == 8
    assert {segment["id"] for segment in found} <= {*(s["id"] for s in mono), "m:same"}
    assert lines(paths.mono_refs) == []
    counts = json.loads(paths.counts.read_text(encoding="utf-8"))["mono"]
    assert counts["dropped"] == {
        **dict.fromkeys(UNDOCUMENTED, 0),
        "chars": 1,
        "same_tgt": 1,
        "near_test": 1,
        "not_needed": 4,
    }
    assert (counts["read"], counts["kept"]) == (15, 8)


def test_the_order_of_the_input_does_not_matter() -> None:
    whole = corpora()
    reverse = replace(whole, parallel=whole.parallel[::-1])
    assert split(whole, PARAMS)[0] == split(reverse, PARAMS)[0]


@pytest.mark.parametrize(
    ("size", "number", "same"),
    [
        ("train", 16, ("tests/cut", "dev", "comet", "mono")),
        ("mono", 16, ("tests/cut", "dev", "comet", "train")),
        ("comet", 30, ("tests/cut", "dev")),
        ("dev", 20, ("tests/cut",)),
        ("test", 25, ()),
    ],
)
def test_another_size_leaves_the_splits_before_it_as_they_were(size: str, number: int, same: tuple[str, ...]) -> None:
    before, after = split(corpora(), PARAMS)[0], split(corpora(), sized(**{size: number}))[0]
    assert all(after[name] == before[name] for name in same)
    grown = "tests/cut" if size == "test" else size
    assert len(after[grown]) == number
    assert after[grown][: len(before[grown])] == before[grown]


def test_in_a_large_corpus_another_test_size_moves_little() -> None:
    whole = corpora(600)
    before, after = names(split(whole, PARAMS)[0]), names(split(whole, sized(test=20))[0])
    for name in ("dev", "comet", "train", "mono"):
        assert len(set(before[name]) - set(after[name])) <= 1


def test_one_pair_less_moves_no_other() -> None:
    whole = corpora()
    before = names(split(whole, PARAMS)[0])
    lost = before["train"][2]
    after = names(split(replace(whole, parallel=[s for s in whole.parallel if s["id"] != lost]), PARAMS)[0])
    assert all(after[name] == before[name] for name in before if name not in ("train", "pool"))
    assert [id_ for id_ in after["train"] if id_ in before["train"]] == [id_ for id_ in before["train"] if id_ != lost]
    assert len(after["train"]) == len(before["train"])


def test_another_seed_splits_otherwise() -> None:
    one, other = names(split(corpora(), PARAMS)[0]), names(split(corpora(), sized(seed=2))[0])
    assert all(one[name] != other[name] for name in ("tests/cut", "dev", "comet", "train", "mono"))


@pytest.mark.parametrize("size", ["test", "dev", "comet", "train", "mono"])
def test_too_few_pairs_are_an_error_with_the_numbers(paths: Paths, size: str) -> None:
    with pytest.raises(
        InputError, match=rf"prepare\.{size}: 61 segments are wanted, but of the \d+ that are left only"
    ):
        run(paths, sized(**{size: 61}))
    assert not paths.train.parent.exists()


def test_an_overlong_test_segment_is_an_error(paths: Paths) -> None:
    write_segments(paths.raw / "tests/own.jsonl", [TEST, {"id": "own:2", "src": ". " * 100_000, "tgt": "猫。"}])
    with pytest.raises(InputError, match=r"own\.jsonl:2: 'src' has 200,000 characters, more than 32 times prepare\."):
        run(paths, PARAMS)
    assert not paths.train.parent.exists()


def test_an_overlong_pair_is_dropped_by_its_length(paths: Paths) -> None:
    whole = read_segments(paths.raw / "parallel.jsonl", ("src", "tgt"))
    write_segments(
        paths.raw / "parallel.jsonl", [*whole, {"id": "dots", "src": "A line.", "tgt": ". " * 100_000 + "x"}]
    )
    run(paths, PARAMS)
    rejected = json.loads(paths.counts.read_text())["parallel"]["rejected"]
    assert next(one["reason"] for one in rejected if one["id"] == "dots") == "chars"


def test_a_test_segment_that_is_empty_once_normal_is_an_error(paths: Paths) -> None:
    write_segments(paths.raw / "tests/own.jsonl", [TEST, {"id": "own:2", "src": "Fine.", "tgt": "\u200b\u00ad"}])
    with pytest.raises(InputError, match=r"own\.jsonl:2: 'tgt' shows nothing"):
        run(paths, PARAMS)


def test_a_test_segment_without_letters_is_kept(paths: Paths) -> None:
    cheer = {"id": "own:2", "src": "🙌", "tgt": "🙌"}
    write_segments(paths.raw / "tests/own.jsonl", [TEST, cheer])
    run(paths, PARAMS)
    assert cheer in lines(paths.tests / "own.jsonl")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": 0}, "train is 0; write 1 or more"),
        ({"ngram": 0}, "ngram is 0"),
        ({"near_duplicate": 0.0}, "near_duplicate is 0.0; write a share"),
        ({"contained": 1.5}, "contained is 1.5"),
        ({"rejected_sample": -1}, "rejected_sample is -1"),
        ({"max_chars": 2}, "max_chars is 2"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prepare(**{**asdict(PREPARE), **values})


@pytest.mark.parametrize("preset", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_are_understood(preset: Path) -> None:
    assert load(Params, preset, {}).prepare.train > 0


def test_the_hash_seed_of_python_changes_no_byte(paths: Paths, tmp_path: Path) -> None:
    out = paths.train.parent
    sizes = ["test: 5", "dev: 3", "comet: 6", "train: 8", "mono: 8"]
    text = (ROOT / "presets/embedded.yaml").read_text(encoding="utf-8").replace("[tatoeba, kyoto]", "[cut, own]")
    head, section = text.split("\nprepare:\n")
    for size in sizes:
        name = size.split(":")[0]
        section = "\n".join(
            f"  {size}" if line.startswith(f"  {name}: ") and i < 8 else line
            for i, line in enumerate(section.split("\n"))
        )
    params = tmp_path / "params.yaml"
    params.write_text(f"{head}\nprepare:\n{section}", encoding="utf-8")
    flags = [part for name, path in asdict(paths).items() for part in (f"--{name.replace('_', '-')}", str(path))]
    written = []
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, str(ROOT / "stages/prepare.py"), "--params", str(params), *flags],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        written.append({p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert written[0] == written[1]


def test_preparing_without_a_test_set_is_refused() -> None:
    with pytest.raises(ValueError, match="testsets: names none; write at least one"):
        replace(PARAMS, testsets=())
