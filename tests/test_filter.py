"""The filter stage; its file name is a builtin's, so it is loaded by name."""

import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.errors import InputError
from mt.features import FEATURES
from mt.near import Index, Nearness
from mt.segments import write_segments

stage = importlib.import_module("filter")

LOOSE = stage.Filter(
    min_src_chars=1,
    max_echo=1.0,
    max_copy=1.0,
    min_src_script=0.0,
    min_tgt_script=0.0,
    min_src_language=0.0,
    min_tgt_language=0.0,
    max_repetition=1.0,
    min_length_ratio=0.0,
    max_length_ratio=1000.0,
    min_similarity=-1.0,
    min_logprob=-1000.0,
    rejected_sample=2,
)
GOOD = {
    "src_chars": 12.0,
    "length_ratio": 0.5,
    "src_script": 1.0,
    "tgt_script": 1.0,
    "src_language": 0.9,
    "tgt_language": 0.9,
    "copy": 0.0,
    "echo": 0.0,
    "repetition": 0.0,
    "similarity": 0.9,
    "logprob": -1.0,
}
STRICT = replace(
    LOOSE,
    max_echo=0.0,
    max_copy=0.5,
    min_src_script=0.5,
    min_tgt_script=0.5,
    min_src_language=0.5,
    min_tgt_language=0.5,
    max_repetition=0.5,
    min_length_ratio=0.2,
    max_length_ratio=1.2,
    min_similarity=0.8,
    min_logprob=-2.0,
)
NEARNESS = (3, 0.4, 0.7, 8)
PARAMS = stage.Params(*NEARNESS, ("short",), STRICT)
ORDER = (
    "min_src_chars",
    "max_echo",
    "max_copy",
    "min_src_script",
    "min_tgt_script",
    "min_src_language",
    "min_tgt_language",
    "max_repetition",
    "min_length_ratio",
    "max_length_ratio",
    "min_similarity",
    "min_logprob",
)
REASONS = ("near_test", *ORDER)
TEST = {"id": "t:1", "src": "Thank you very much indeed.", "tgt": "本当にありがとうございました。"}
values = st.fixed_dictionaries(
    {
        "src_chars": st.integers(0, 20).map(float),
        "length_ratio": st.floats(0.0, 3.0),
        "similarity": st.floats(-1.0, 1.0),
        "logprob": st.floats(-5.0, 0.0),
        **{name: st.floats(0.0, 1.0) for name in FEATURES[2:9]},
    }
)
settings = st.builds(
    lambda chars, ratio, similarity, logprob, shares: replace(
        LOOSE,
        min_src_chars=chars,
        min_length_ratio=ratio,
        max_length_ratio=ratio + 1,
        min_similarity=similarity,
        min_logprob=logprob,
        **dict(zip(ORDER[1:8], shares, strict=True)),
    ),
    st.integers(1, 5),
    st.floats(0.0, 1.0),
    st.floats(-1.0, 0.5),
    st.floats(-5.0, -1.0),
    st.lists(st.floats(0.0, 1.0), min_size=7, max_size=7),
)


def segments(
    scores: Sequence[dict[str, float]], oracles: Sequence[dict[str, float]] | None = None
) -> list[dict[str, Any]]:
    known = oracles if oracles is not None else [{}] * len(scores)
    rows = zip(scores, known, strict=True)
    return [{"id": f"m:{i}", "src": "a", "tgt": "猫", "scores": s, "oracle": o} for i, (s, o) in enumerate(rows)]


def held(*rows: dict[str, Any]) -> Index:
    """An index of test segments."""
    found = Nearness(*NEARNESS).index()
    for segment in rows:
        stage.add(segment, found)
    return found


def files(folder: Path, read: Sequence[dict[str, Any]]) -> Any:
    """The stage's paths, its inputs written."""
    write_segments(folder / "tests" / "short.jsonl", [TEST])
    scored = write(folder / "scored.jsonl", read)
    return stage.Paths(scored, folder / "tests", folder / "filtered.jsonl", folder / "filter.json")


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, []),
        ({"src_chars": 0.0, "similarity": 0.0}, ["min_src_chars", "min_similarity"]),
        ({"echo": 0.5}, ["max_echo"]),
        ({"copy": 0.51, "echo": 1.0}, ["max_echo", "max_copy"]),
        ({"copy": 0.5}, []),
        ({"src_script": 0.4}, ["min_src_script"]),
        ({"tgt_script": 0.4}, ["min_tgt_script"]),
        ({"src_language": 0.4}, ["min_src_language"]),
        ({"src_language": 0.5}, []),
        ({"tgt_language": 0.4}, ["min_tgt_language"]),
        ({"repetition": 0.6}, ["max_repetition"]),
        ({"length_ratio": 0.1}, ["min_length_ratio"]),
        ({"length_ratio": 1.3}, ["max_length_ratio"]),
        ({"logprob": -2.1, "similarity": 0.7}, ["min_similarity", "min_logprob"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else None,
)
def test_reasons_in_their_order(change: dict[str, float], reasons: list[str]) -> None:
    assert stage.failed({**GOOD, **change}, STRICT.thresholds()) == reasons


def test_the_order_is_the_documented_one_and_every_feature_has_a_threshold() -> None:
    assert tuple(LOOSE.thresholds()) == ORDER
    assert {stage.feature(reason) for reason in ORDER} == set(FEATURES)
    assert {field.name for field in fields(stage.Filter)} == {*ORDER, "rejected_sample"}


def test_counts_sample_and_oracle() -> None:
    bad = [{**GOOD, "echo": 1.0, "copy": 1.0}, {**GOOD, "copy": 0.9}, {**GOOD, "copy": 0.8}, {**GOOD, "copy": 0.7}]
    oracles = [
        {"chrf": 60.0, "similarity": 0.9},
        {"chrf": 10.0, "similarity": 0.5},
        {"chrf": 20.0, "similarity": 0.75},
        {},
        {},
    ]
    read = segments([GOOD, *bad], oracles)
    kept, counts = stage.select(read, held(), STRICT)
    assert kept == read[:1]
    assert (counts["read"], counts["kept"]) == (5, 1)
    assert counts["reasons"] == list(REASONS)
    assert counts["dropped"] == {**dict.fromkeys(REASONS, 0), "max_echo": 1, "max_copy": 3}
    assert counts["alone"] == {**dict.fromkeys(REASONS, 0), "max_echo": 1, "max_copy": 4}
    assert counts["rejected"] == [
        {"reason": "max_echo", "id": "m:1", "src": "a", "tgt": "猫", "value": 1.0, "threshold": 0.0},
        {"reason": "max_copy", "id": "m:2", "src": "a", "tgt": "猫", "value": 0.9, "threshold": 0.5},
        {"reason": "max_copy", "id": "m:3", "src": "a", "tgt": "猫", "value": 0.8, "threshold": 0.5},
    ]
    assert counts["oracle"] == {
        "kept": {"segments": 1, "chrf": 60.0, "similarity": 0.9},
        "dropped": {"segments": 2, "chrf": 15.0, "similarity": 0.625},
    }


@pytest.mark.parametrize(
    ("src", "near"),
    [
        ("Thank you very much indeed.", True),
        ("THANK YOU, VERY MUCH INDEED", True),
        ("Thank you very much.", True),
        ("本当にありがとうございました", True),
        ("My sister is better at chess than I am.", False),
        ("", False),
    ],
)
def test_what_a_model_wrote_like_a_test_segment_is_dropped(src: str, near: bool) -> None:
    (segment,) = segments([{**GOOD, "copy": 0.9}])
    kept, counts = stage.select([{**segment, "src": src}], held(TEST), STRICT)
    assert kept == []
    assert {reason: count for reason, count in counts["dropped"].items() if count} == {
        "near_test" if near else "max_copy": 1
    }
    assert (counts["alone"]["near_test"], counts["alone"]["max_copy"]) == (int(near), 1)
    if near:
        assert counts["rejected"] == [{"reason": "near_test", "id": "m:0", "src": src, "tgt": "猫", "near": "t:1"}]


def test_nothing_but_test_segments_is_an_error(tmp_path: Path) -> None:
    (segment,) = segments([GOOD])
    with pytest.raises(InputError, match=r"no segment of 1 passes, 1 are dropped as near_test; .* other monolingual"):
        stage.run(files(tmp_path, [{**segment, "src": TEST["src"]}]), PARAMS)


def test_an_unknown_oracle_is_null() -> None:
    _, counts = stage.select(segments([GOOD]), held(), STRICT)
    nothing = {"segments": 0, "chrf": None, "similarity": None}
    assert counts["oracle"] == {"kept": nothing, "dropped": nothing}


@given(st.lists(values, max_size=12), settings)
def test_the_waterfall_adds_up_and_keeps_the_order(scores: list[dict[str, float]], params: Any) -> None:
    read = segments(scores)
    kept, counts = stage.select(read, held(), params)
    assert counts["read"] == len(read) == counts["kept"] + sum(counts["dropped"].values())
    assert counts["kept"] == len(kept)
    assert kept == [segment for segment in read if not stage.failed(segment["scores"], params.thresholds())]
    assert all(counts["dropped"][reason] <= counts["alone"][reason] for reason in ORDER)
    assert counts["dropped"][ORDER[0]] == counts["alone"][ORDER[0]]


@given(st.lists(values, max_size=12), settings, st.sampled_from(ORDER), st.floats(0.0, 1.0))
def test_a_looser_threshold_keeps_what_a_stricter_one_keeps(
    scores: list[dict[str, float]], params: Any, reason: str, step: float
) -> None:
    loose, strict = getattr(LOOSE, reason), getattr(params, reason)
    between = (
        max(1, round(strict - step * (strict - loose)))
        if reason == "min_src_chars"
        else strict - step * (strict - loose)
    )
    low, high = stage.RANGES.get(stage.feature(reason), stage.SHARE)
    looser = replace(params, **{reason: min(high, max(low, between))})
    read = segments(scores)
    before = {segment["id"] for segment in stage.select(read, held(), params)[0]}
    assert before <= {segment["id"] for segment in stage.select(read, held(), looser)[0]}


@given(st.lists(values.filter(lambda scores: scores["src_chars"] > 0), max_size=5))
def test_values_at_the_end_of_the_range_drop_nothing(scores: list[dict[str, float]]) -> None:
    assert len(stage.select(segments(scores), held(), LOOSE)[0]) == len(scores)


def test_run_writes_the_segments_as_they_were(tmp_path: Path) -> None:
    read = segments([{**GOOD, "copy": 1.0}, GOOD, {**GOOD, "src_chars": 0.0}])
    paths = files(tmp_path, read)
    stage.run(paths, PARAMS)
    assert [json.loads(line) for line in paths.out.read_text(encoding="utf-8").split("\n")[:-1]] == [read[1]]
    counts = json.loads(paths.counts.read_text(encoding="utf-8"))
    assert (counts["read"], counts["kept"], counts["dropped"]["max_copy"]) == (3, 1, 1)
    assert counts["reasons"] == list(REASONS)


def test_nothing_left_names_the_threshold(tmp_path: Path) -> None:
    read = segments([{**GOOD, "copy": 1.0}] * 2 + [{**GOOD, "echo": 1.0}])
    paths = files(tmp_path, read)
    with pytest.raises(InputError, match=r"scored.jsonl: no segment of 3 passes, 2 are dropped as max_copy; loosen"):
        stage.run(paths, PARAMS)
    assert {path.name for path in tmp_path.iterdir()} == {"tests", "scored.jsonl"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scores": {name: value for name, value in GOOD.items() if name != "copy"}}, "scores lacks .* 'copy'"),
        ({"scores": {**GOOD, "copy": float("nan")}}, r"not JSON \(NaN is no number"),
        ({"scores": {**GOOD, "copy": True}}, "scores lacks .* 'copy'"),
        ({"scores": {**GOOD, "copy": "0.1"}}, "scores lacks .* 'copy'"),
        ({"scores": None}, "scores lacks"),
        ({"scores": {**GOOD, "copy": -1.7e308}}, r"scores lacks a number of at most 1e\+12 for 'copy'"),
        ({"oracle": {"chrf": 1.7e308, "similarity": 0.5}}, "oracle lacks .* 'chrf'"),
        ({"src": 5}, "'src' is no text"),
        ({"oracle": {"chrf": 3.0}}, "oracle lacks .* 'similarity'"),
        ({"oracle": None}, "oracle lacks .* 'chrf'"),
        ({"src": None}, "'src' is no text"),
    ],
    ids=[
        "missing",
        "nan",
        "true",
        "text",
        "no scores",
        "huge",
        "huge oracle",
        "no text",
        "half an oracle",
        "no oracle",
        "no source",
    ],
)
def test_a_broken_segment_is_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    read = segments([GOOD, GOOD])
    read[1] |= change
    paths = files(tmp_path, read)
    with pytest.raises(InputError, match=f"scored.jsonl:2: {says}"):
        stage.run(paths, PARAMS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"min_src_chars": 0}, "min_src_chars is 0; write a number from 1 to inf"),
        ({"max_copy": 1.1}, "max_copy is 1.1; write a number from 0 to 1"),
        ({"min_tgt_language": -0.1}, "min_tgt_language is -0.1; write a number from 0 to 1"),
        ({"min_similarity": -2.0}, "min_similarity is -2; write a number from -1 to 1"),
        ({"min_logprob": 0.5}, "min_logprob is 0.5; write a number from -inf to 0"),
        ({"min_length_ratio": 1000.0}, "max_length_ratio is 1000; write more than min_length_ratio"),
        ({"rejected_sample": -1}, "rejected_sample is -1; write a whole number from 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_thresholds_out_of_range_are_refused(change: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        stage.Filter(**{**asdict(LOOSE), **change})


def test_a_filter_that_knows_no_test_set_is_refused() -> None:
    with pytest.raises(ValueError, match="testsets: names none; write at least one"):
        replace(PARAMS, testsets=())
