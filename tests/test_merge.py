"""The merge stage."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import merge
from mt.errors import InputError

PARAMS = merge.Merge(ratio=1.0, choose="similarity", seed=1, tag=None)
BOTH = merge.Trained(genuine=True, synthetic=True)
GENUINE: list[dict[str, Any]] = [{"id": f"g:{i}", "src": f"genuine {i}", "tgt": f"本物{i}"} for i in range(6)]
SYNTHETIC: list[dict[str, Any]] = [
    {"id": f"m:{i}", "src": f"synthetic {i}", "tgt": f"合成{i}", "scores": {"similarity": i / 10, "logprob": -float(i)}}
    for i in range(10)
]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def paths(tmp_path: Path) -> merge.Paths:
    return merge.Paths(
        genuine=write(tmp_path / "train.jsonl", GENUINE),
        synthetic=write(tmp_path / "filtered.jsonl", SYNTHETIC),
        out=tmp_path / "out.jsonl",
    )


def merged(paths: merge.Paths, system: merge.Trained = BOTH, params: merge.Merge = PARAMS) -> list[dict[str, Any]]:
    merge.run(paths, merge.Params(system, params))
    return [json.loads(line) for line in paths.out.read_text(encoding="utf-8").split("\n")[:-1]]


def ids(rows: Sequence[dict[str, Any]], origin: str) -> set[str]:
    return {row["id"] for row in rows if row["origin"] == origin}


@pytest.mark.parametrize(
    ("genuine", "ratio", "expected"),
    [(400, 1.0, 400), (5, 0.5, 3), (5, 0.1, 1), (3, 0.5, 2), (4, 0.1, 0), (1500, 10.0, 15000)],
    ids=["equal", "half up", "half up to one", "half up from odd", "to nothing", "ten times"],
)
def test_wanted(genuine: int, ratio: float, expected: int) -> None:
    assert merge.wanted(genuine, ratio) == expected


def test_both_origins_with_their_texts(paths: merge.Paths) -> None:
    rows = merged(paths)
    assert ids(rows, "genuine") == {segment["id"] for segment in GENUINE}
    assert ids(rows, "synthetic") == {f"m:{i}" for i in range(4, 10)}
    given: dict[str, Any] = {segment["id"]: segment for segment in [*GENUINE, *SYNTHETIC]}
    for row in rows:
        assert row == {**{key: given[row["id"]][key] for key in ("id", "src", "tgt")}, "origin": row["origin"]}


def test_systems_share_their_synthetic_pairs(paths: merge.Paths) -> None:
    for choose in ("similarity", "random"):
        params = replace(PARAMS, choose=choose, ratio=0.5)
        bt = merged(paths, merge.Trained(genuine=False, synthetic=True), params)
        assert ids(bt, "genuine") == set()
        assert ids(bt, "synthetic") == ids(merged(paths, BOTH, params), "synthetic")
        assert len(bt) == 3


def test_a_system_without_synthetic_pairs(paths: merge.Paths, tmp_path: Path) -> None:
    without = replace(paths, synthetic=tmp_path / "none")
    rows = merged(without, merge.Trained(genuine=True, synthetic=False), replace(PARAMS, ratio=100.0))
    assert ids(rows, "genuine") == {segment["id"] for segment in GENUINE}
    assert len(rows) == len(GENUINE)


@pytest.mark.parametrize(
    ("choose", "expected"), [("similarity", {"m:8", "m:9"}), ("logprob", {"m:0", "m:1"})], ids=["similarity", "logprob"]
)
def test_the_best_are_chosen(choose: Any, expected: set[str]) -> None:
    assert {segment["id"] for segment in merge.choose(SYNTHETIC, 2, replace(PARAMS, choose=choose))} == expected


def test_a_random_choice_hangs_on_the_seed_and_not_on_the_file() -> None:
    chosen = [
        frozenset(s["id"] for s in merge.choose(SYNTHETIC, 5, replace(PARAMS, choose="random", seed=seed)))
        for seed in range(10)
    ]
    assert len(set(chosen)) > 5
    backwards = merge.choose(SYNTHETIC[::-1], 5, replace(PARAMS, choose="random", seed=0))
    assert {segment["id"] for segment in backwards} == chosen[0]


def test_equal_scores_do_not_favour_the_front_of_the_file() -> None:
    equal = [{**segment, "scores": {"similarity": 0.9}} for segment in SYNTHETIC]
    chosen = [segment["id"] for segment in merge.choose(equal, 5, PARAMS)]
    assert chosen == [segment["id"] for segment in merge.choose(equal[::-1], 5, PARAMS)]
    assert set(chosen) != {f"m:{i}" for i in range(5)}


@given(
    st.sets(st.integers(0, 10_000), min_size=1, max_size=40),
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from(["similarity", "logprob", "random"]),
    st.integers(0, 5),
)
def test_more_takes_the_same_and_more(numbers: set[int], few: int, more: int, choose: Any, seed: int) -> None:
    pairs = [{"id": f"m:{n}", "scores": {"similarity": n % 7 / 7, "logprob": -n % 5}} for n in sorted(numbers)]
    params = replace(PARAMS, choose=choose, seed=seed)
    small, large = merge.choose(pairs, min(few, more), params), merge.choose(pairs, max(few, more), params)
    assert large[: len(small)] == small
    assert len(large) == min(len(pairs), max(few, more))


def test_origins_are_mixed_also_where_chance_chose() -> None:
    genuine = [{"id": f"g:{i}", "src": "a", "tgt": "猫"} for i in range(400)]
    pool = [{"id": f"m:{i}", "src": "a", "tgt": "猫"} for i in range(4000)]
    params = replace(PARAMS, choose="random")
    rows = merge.mix(genuine, merge.choose(pool, 400, params), params)
    for start in range(0, 800, 200):
        assert 60 < sum(row["origin"] == "genuine" for row in rows[start : start + 200]) < 140


@given(st.permutations(range(10)), st.integers(0, 3))
def test_the_order_is_not_that_of_the_input(order: list[int], seed: int) -> None:
    params = replace(PARAMS, seed=seed)
    shuffled = [SYNTHETIC[i] for i in order]
    assert merge.mix(GENUINE, shuffled, params) == merge.mix(GENUINE[::-1], SYNTHETIC, params)


def test_the_tag_stands_before_synthetic_sources_only(paths: merge.Paths) -> None:
    plain, tagged = merged(paths), merged(paths, params=replace(PARAMS, tag="<BT>"))
    for before, after in zip(plain, tagged, strict=True):
        expected = f"<BT> {before['src']}" if before["origin"] == "synthetic" else before["src"]
        assert after == {**before, "src": expected}


def test_too_few_synthetic_pairs(paths: merge.Paths) -> None:
    with pytest.raises(InputError, match=r"filtered.jsonl: holds 10 .* merge.ratio 2 for 6 genuine pairs wants 12; "):
        merged(paths, params=replace(PARAMS, ratio=2.0))
    assert not paths.out.exists()


@pytest.mark.parametrize("ratio", [0.0, -1.0, 1e308])
def test_a_ratio_that_makes_no_sense(ratio: float) -> None:
    with pytest.raises(ValueError, match=r"write a number above 0 and at most 1e\+06, such as 1\.0"):
        replace(PARAMS, ratio=ratio)


def test_a_ratio_that_wants_none(paths: merge.Paths) -> None:
    with pytest.raises(InputError, match=r"merge.ratio 0.01 for 6 genuine pairs wants 0; change the ratio"):
        merged(paths, params=replace(PARAMS, ratio=0.01))


def test_an_id_that_stands_in_both(paths: merge.Paths) -> None:
    write(paths.synthetic, [*SYNTHETIC, {**SYNTHETIC[0], "id": "g:3"}])
    with pytest.raises(InputError, match="the id 'g:3' stands in"):
        merged(paths)


def test_a_system_that_got_no_synthetic_file(paths: merge.Paths, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: .* write synthetic: false"):
        merged(replace(paths, synthetic=tmp_path / "none"))


@pytest.mark.parametrize("scores", [None, {}, {"similarity": None}], ids=["none", "empty", "null"])
def test_a_missing_score_is_named(paths: merge.Paths, scores: object) -> None:
    write(paths.synthetic, [SYNTHETIC[0], {**SYNTHETIC[1], "scores": scores}])
    with pytest.raises(InputError, match=r"filtered.jsonl:2: no score 'similarity'"):
        merged(paths)
    assert len(merged(paths, params=replace(PARAMS, choose="random", ratio=0.2))) == 7


def test_a_system_with_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="genuine and synthetic are both false; write true"):
        merge.Trained(genuine=False, synthetic=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ratio": 0.0}, "ratio is 0.0; write a number above 0"),
        ({"ratio": -1.0}, "ratio is -1.0; write a number above 0"),
        ({"tag": ""}, "tag is ''; write a word"),
        ({"tag": " <BT>"}, "tag is ' <BT>'; write a word"),
        ({"tag": "<BT>\n"}, "write a word"),
    ],
    ids=["zero", "negative", "empty tag", "space", "line break"],
)
def test_values_out_of_range_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(PARAMS, **change)
