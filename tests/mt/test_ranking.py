"""mt.ranking: accuracy and correlation on scores that can be worked out by hand."""

import pytest

from mt.perturb import Perturbed
from mt.ranking import Case, measure, ranks


def cases(id_: str, *rows: tuple[str, int, float]) -> list[Case]:
    return [Case(id_, Perturbed(kind, level, f"{kind}{level}"), score) for kind, level, score in rows]


def test_perfect():
    found = measure(cases("a", ("untouched", 0, 0.9), ("drop", 1, 0.5), ("empty", 2, 0.1)))
    assert found["ranking_accuracy"] == 1
    assert found["ranking_pairs"] == 3
    assert found["pearson"] == pytest.approx(1)
    assert found["spearman"] == pytest.approx(1)
    assert found["score_by_kind"] == {"untouched": 0.9, "drop": 0.5, "empty": 0.1}


def test_pairs_of_one_reference_that_differ_in_severity_count():
    rows = cases("a", ("empty", 2, 0.3), ("untouched", 0, 0.9), ("drop", 1, 0.1), ("swap", 1, 0.2))
    found = measure(rows + cases("b", ("untouched", 0, 0.0), ("empty", 2, 0.0)))
    # Right: untouched over the three others. Wrong: drop and swap under empty, and the tie in b.
    assert found["ranking_pairs"] == 6
    assert found["ranking_accuracy"] == pytest.approx(3 / 6)
    assert found["accuracy_by_kind"] == pytest.approx(
        {"empty": 1 / 4, "untouched": 3 / 4, "drop": 1 / 2, "swap": 1 / 2}
    )
    assert found["score_by_kind"]["untouched"] == pytest.approx(0.45)


def test_correlation_is_with_mildness():
    found = measure(cases("a", ("untouched", 0, 0.1), ("drop", 1, 0.5), ("empty", 2, 0.9)))
    assert found["pearson"] == pytest.approx(-1)
    assert found["ranking_accuracy"] == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0, 1.0, 2.0], [2, 0, 1]), ([5.0, 5.0, 1.0], [1.5, 1.5, 0]), ([2.0], [0])],
    ids=["distinct", "tied", "one"],
)
def test_ranks(values, expected):
    assert ranks(values).tolist() == expected
