"""Samples: as many as asked for, spread evenly, the same for the same seed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.errors import InputError
from mt.results import TestsetResult, read_testset
from mt.samples import choose, read_samples, spread
from report_inputs import write_inputs


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ([200, 100], 20, [10, 10]),
        ([200, 100, 50], 20, [7, 7, 6]),
        ([200, 3], 20, [17, 3]),
        ([2, 3], 20, [2, 3]),
        ([200, 100], 0, [0, 0]),
    ],
)
def test_spread(sizes: list[int], total: int, expected: list[int]) -> None:
    assert spread(sizes, total) == expected


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 100))
def test_spread_is_whole_and_even(sizes: list[int], total: int) -> None:
    shares = spread(sizes, total)
    assert sum(shares) == min(total, sum(sizes))
    unfilled = [share for share, size in zip(shares, sizes, strict=True) if share < size]
    assert all(share <= size for share, size in zip(shares, sizes, strict=True))
    assert not unfilled or max(shares) - min(unfilled) <= 1


def test_choice_follows_the_seed_and_not_the_order() -> None:
    ids = [f"t:{i}" for i in range(50)]
    chosen = [ids[i] for i in choose(ids, 5, 1)]
    assert chosen == [ids[::-1][i] for i in choose(ids[::-1], 5, 1)]
    assert chosen != [ids[i] for i in choose(ids, 5, 2)]
    assert chosen == [ids[i] for i in choose(ids, 8, 1)][:5]


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, list[TestsetResult]]:
    write_inputs(tmp_path, {"tatoeba": 8, "kyoto": 4})
    scores = tmp_path / "data" / "scores"
    return tmp_path / "data" / "hyps", [read_testset(scores / f"{name}.json") for name in ("tatoeba", "kyoto")]


def test_samples_carry_their_own_scores_and_texts(inputs: tuple[Path, list[TestsetResult]]) -> None:
    samples = read_samples(*inputs, total=6, seed=1)
    assert [sample.testset for sample in samples] == ["tatoeba"] * 3 + ["kyoto"] * 3
    for sample in samples:
        place = int(sample.id.partition(":")[2])
        assert sample.scores["ft"]["chrf"] == 10.0 + place
        assert sample.hyps["ft_bt"] == sample.ref
        assert f"*{place}*" in sample.hyps["baseline"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"kyoto:000"', '"kyoto:999"', "not the segments that baseline translated"),
        ('"hyp"', '"other"', r"kyoto\.jsonl:1: 'hyp' must be text"),
    ],
    ids=["another segment", "no hypothesis"],
)
def test_broken_hypotheses_are_named(
    inputs: tuple[Path, list[TestsetResult]], old: str, new: str, message: str
) -> None:
    path = inputs[0] / "ft" / "kyoto.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_samples(*inputs, total=2, seed=1)


def test_hypotheses_of_another_length_than_the_scores_are_refused(inputs: tuple[Path, list[TestsetResult]]) -> None:
    path = inputs[0] / "bt" / "tatoeba.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join(lines[1:]), encoding="utf-8")
    with pytest.raises(InputError, match="7 segments where 8 were scored"):
        read_samples(*inputs, total=2, seed=1)
