"""The leakage stage: every file that is learnt from is searched, and what is found above a bound is an error."""

import json
import random
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import leakage
from mt.errors import InputError
from mt.segments import Segment, read_segments, stream_segments, write_segments
from pipeline import module, stages

tool = module("tools/leaks.py")

KANA = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん"
TESTS = {
    "kyoto": [{"id": "k:1", "src": "The abbot planted an old plum tree.", "tgt": "住職は古い梅の木を植えた。"}],
    "short": [{"id": "s:1", "src": "Thank you very much indeed.", "tgt": "本当にありがとうございました。"}],
}
PARAMS = leakage.Params(3, 0.4, 0.7, 8, ("kyoto", "short"), leakage.Leakage(0.0, 5))
LAX = replace(PARAMS, leakage=leakage.Leakage(0.1, 5))
FILES = ("train", "dev", "mono", "comet", "pool", "bt", "ft_bt")
TRAINS = ("finetune", "comet_model", "trim_vocabulary", "backtranslate", "translate")
"""The scripts that train something, or prompt it."""


def pairs(name: str, number: int) -> list[Segment]:
    """Pairs like no other: words and kana of chance, from a fixed seed."""
    chance = random.Random(name)
    return [
        {
            "id": f"{name}:{i}",
            "src": " ".join("".join(chance.choices("abcdefghijklmnoprstuvwyz", k=6)) for _ in range(4)),
            "tgt": "".join(chance.choices(KANA, k=14)),
        }
        for i in range(number)
    ]


@pytest.fixture
def paths(tmp_path: Path) -> leakage.Paths:
    for name, segments in TESTS.items():
        write_segments(tmp_path / "tests" / f"{name}.jsonl", segments)
    for name in FILES:
        write_segments(file(tmp_path, name), [rest(name, segment) for segment in pairs(name, 10)])
    flat = {name: file(tmp_path, name) for name in FILES[:5]}
    systems, metrics, found = tmp_path / "systems", tmp_path / "metrics.json", tmp_path / "found.jsonl"
    return leakage.Paths(tests=tmp_path / "tests", **flat, systems=systems, metrics=metrics, found=found)


def file(folder: Path, name: str) -> Path:
    return folder / (f"systems/{name}.jsonl" if "bt" in name else f"{name}.jsonl")


def rest(name: str, segment: Segment) -> Segment:
    """A segment with the keys that it has in a file."""
    if name == "mono":
        return {"id": segment["id"], "tgt": segment["tgt"]}
    return {**segment, "origin": "synthetic", "logprob": -1.0} if "bt" in name else segment


def plant(paths: leakage.Paths, name: str, **texts: str) -> Path:
    """Put texts into the fourth segment of a file."""
    at = file(paths.tests.parent, name)
    segments = read_segments(at, ("tgt",))
    segments[3] |= texts
    write_segments(at, segments)
    return at


def metrics(paths: leakage.Paths) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(paths.metrics.read_text(encoding="utf-8"))
    return found


def test_clean_files_pass(paths: leakage.Paths) -> None:
    leakage.run(paths, PARAMS)
    assert list(metrics(paths)) == sorted(str(file(paths.tests.parent, name)) for name in FILES)
    for counts in metrics(paths).values():
        assert counts["segments"] == 10
        assert counts["leaks"] == 0
        assert {name: one["leaks"] for name, one in counts["testsets"].items()} == {"kyoto": 0, "short": 0}
    assert paths.found.read_bytes() == b""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("testset", TESTS)
def test_a_leak_in_any_file_is_an_error_that_shows_it(name: str, testset: str, paths: leakage.Paths) -> None:
    (test,) = TESTS[testset]
    at = plant(paths, name, tgt=test["tgt"])
    with pytest.raises(InputError) as error:
        leakage.run(paths, PARAMS)
    assert str(error.value) == (
        f"{at}: 10 % of the segments are near to a test segment, more than leakage.max_share 0 allows; {paths.found} "
        "shows which: take them out of what the file is made from, or raise the bound"
    )
    assert metrics(paths)[str(at)]["testsets"][testset]["side"] == {"src": 0, "tgt": 1, "both": 0}
    (row,) = stream_segments(paths.found, ("file", "text", "test_text"))
    assert row == {
        "file": str(at),
        "id": f"{name}:3",
        "side": "tgt",
        "text": test["tgt"],
        "testset": testset,
        "test_id": test["id"],
        "test_side": "tgt",
        "test_text": test["tgt"],
        "kind": "same",
        "jaccard": 1.0,
        "contained": 1.0,
    }


def test_a_bound_above_the_share_lets_it_pass(paths: leakage.Paths) -> None:
    at = plant(paths, "bt", src="The abbot planted an old pear tree.")
    leakage.run(paths, replace(PARAMS, leakage=replace(PARAMS.leakage, max_share=0.1)))
    assert metrics(paths)[str(at)]["share"] == 0.1
    assert [row["kind"] for row in stream_segments(paths.found, ())] == ["near"]
    with pytest.raises(InputError, match=r"bt.jsonl: 10 % .* more than leakage.max_share 0.09 allows"):
        leakage.run(paths, replace(PARAMS, leakage=replace(PARAMS.leakage, max_share=0.09)))


def test_the_worst_file_is_named(paths: leakage.Paths) -> None:
    plant(paths, "train", tgt=TESTS["kyoto"][0]["tgt"])
    write_segments(paths.dev, [TESTS["short"][0], *pairs("dev", 3)])
    with pytest.raises(InputError, match=r"dev.jsonl: 25 % "):
        leakage.run(paths, PARAMS)
    assert {row["file"] for row in stream_segments(paths.found, ())} == {str(paths.train), str(paths.dev)}


def test_two_runs_write_the_same_bytes(paths: leakage.Paths) -> None:
    plant(paths, "bt", src="Thank you very much.")
    leakage.run(paths, LAX)
    first = paths.metrics.read_bytes(), paths.found.read_bytes()
    leakage.run(paths, LAX)
    assert (paths.metrics.read_bytes(), paths.found.read_bytes()) == first


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("train", None, "train.jsonl: not found"),
        ("mono", b'{"id": "1", "tgt": "\xff"}\n', "mono.jsonl:1: byte 21 is not UTF-8"),
        ("bt", b'{"id": "1", "src": "a", "tgt": "b"}\n{"id": "2", "src": "a"', "bt.jsonl:2: not JSON"),
        ("ft_bt", b'{"id": "1", "tgt": "a"}\n', "ft_bt.jsonl:1: 'src' is missing or empty"),
        ("dev", b'{"id": "1", "src": "a", "tgt": 1}\n', "dev.jsonl:1: 'tgt' is missing or empty"),
        ("tests/short", b"", "short.jsonl: holds no segment"),
    ],
    ids=["missing", "not UTF-8", "cut off", "no source", "a number", "an empty test set"],
)
def test_what_cannot_be_read_is_an_error(name: str, content: bytes | None, says: str, paths: leakage.Paths) -> None:
    at = file(paths.tests.parent, name)
    at.unlink()
    if content is not None:
        at.write_bytes(content)
    with pytest.raises(InputError, match=says):
        leakage.run(paths, PARAMS)
    assert not paths.metrics.exists()


def test_no_system_at_all(paths: leakage.Paths) -> None:
    with pytest.raises(InputError, match="holds no training file; run `dvc repro merge`"):
        leakage.run(replace(paths, systems=paths.tests.parent / "nowhere"), PARAMS)


def test_memory_does_not_grow_with_the_file(paths: leakage.Paths) -> None:
    def peak(number: int) -> int:
        write_segments(paths.pool, pairs("pool", number))
        tracemalloc.start()
        leakage.run(paths, PARAMS)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)  # fills what is computed once
    small, large = peak(1000), peak(8000)
    assert large - small < paths.pool.stat().st_size / 20


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_share": -0.1}, "max_share is -0.1; write a share from 0 to 1"),
        ({"max_share": 1.5}, "max_share is 1.5; write a share from 0 to 1"),
        ({"sample": 0}, "sample is 0; write 1 or more"),
    ],
    ids=["below 0", "above 1", "no sample"],
)
def test_values_out_of_range_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(PARAMS.leakage, **change)


def test_everything_that_is_learnt_from_is_searched() -> None:
    searched = stages()["leakage"].deps
    for stage in stages().values():
        if Path(stage.script).stem in TRAINS:
            read = {dep for dep in stage.deps if dep.startswith("data/") and dep != "data/none"}
            learnt = {dep for dep in read if not dep.startswith("data/prepared/tests/")}
            assert {dep for dep in learnt if not {dep, str(Path(dep).parent)} & searched} == set(), stage.name


def test_the_table(paths: leakage.Paths, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plant(paths, "bt", src="Thank you very much.")
    leakage.run(paths, LAX)
    short = {Path(name).stem: counts for name, counts in metrics(paths).items() if "t.jsonl" in name}
    (tmp_path / "short.json").write_text(json.dumps(short), encoding="utf-8")
    tool.main([str(tmp_path / "short.json")])
    assert capsys.readouterr().out == (
        "file   segments  leaks  kyoto  short\n"
        "comet        10      0      0      0\n"
        "bt           10      1      0      1\n"
        "ft_bt        10      0      0      0\n"
    )


def test_the_tool_says_how_it_is_called() -> None:
    with pytest.raises(SystemExit, match=r"usage: leaks.py METRICS"):
        tool.main([])
    with pytest.raises(InputError, match="not found"):
        tool.main(["nowhere.json"])


def test_a_search_for_no_test_set_is_refused() -> None:
    with pytest.raises(ValueError, match="testsets: names none; write at least one"):
        replace(PARAMS, testsets=())


def test_a_side_that_is_no_text_is_refused(paths: leakage.Paths) -> None:
    row = json.dumps({"id": "m:1", "tgt": "猫だ。", "src": 5})
    paths.mono.write_text(row + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"mono\.jsonl:1: 'src' is no text"):
        leakage.run(paths, PARAMS)
