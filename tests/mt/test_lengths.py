"""Statistics of lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.lengths import lengths, quantiles


def test_lengths_of_pairs() -> None:
    pairs = [{"id": str(n), "src": "a" * 10, "tgt": "あ" * n} for n in range(1, 4)]
    assert lengths(pairs) == {
        "segments": 3,
        "src_chars": {"low": 10, "median": 10, "high": 10},
        "tgt_chars": {"low": 1, "median": 2, "high": 3},
        "length_ratio": {"low": 0.1, "median": 0.2, "high": 0.3},
    }


def test_lengths_of_what_has_one_side_or_nothing() -> None:
    assert lengths([{"id": "x", "tgt": "あ"}]) == {"segments": 1, "tgt_chars": {"low": 1, "median": 1, "high": 1}}
    assert lengths([]) == {"segments": 0}


def test_quantiles() -> None:
    assert quantiles([float(n) for n in range(1000)][::-1]) == {"low": 25, "median": 500, "high": 975}


@given(st.lists(st.integers(-1000, 1000), min_size=1))
def test_quantiles_are_values_in_order(numbers: list[int]) -> None:
    found = quantiles(numbers)
    assert found["low"] <= found["median"] <= found["high"]
    assert set(found.values()) <= set(numbers)
    assert found["median"] == pytest.approx(sorted(numbers)[len(numbers) // 2])
