"""A gain is called a gain, a loss a loss, and chance neither."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.results import PairedTest, TestsetResult, read_testset
from mt.setup import Comparison
from mt.wording import finding, labels, number, p_value, signed, significant
from report_inputs import METRICS, dump, scores

NAMES = labels(METRICS, built=True)
FT, BT = Comparison("", "ft", "baseline"), Comparison("", "bt", "baseline")


@pytest.fixture
def testset(tmp_path: Path) -> TestsetResult:
    dump(tmp_path / "tatoeba.json", scores("tatoeba", 3))
    return read_testset(tmp_path / "tatoeba.json")


def test_a_gain_has_both_intervals_and_p(testset: TestsetResult) -> None:
    text = finding(testset, FT, NAMES)
    assert text.startswith("On tatoeba it gains 1.30 BLEU (2.50 [2.10, 2.94] against 1.20 [0.80, 1.64], p < 0.001), ")
    assert "3.21 chrF (16.60 [15.90, 17.37] against 13.39 [12.69, 14.16], p < 0.001) and " in text
    assert "loses" not in text
    assert "no significant" not in text


def test_a_loss_is_a_loss_whichever_way_the_test_was_run(testset: TestsetResult) -> None:
    text = finding(testset, BT, NAMES)
    assert text.startswith("On tatoeba it loses 0.30 BLEU (0.90 [")
    assert "gains " not in text
    assert "less than 0.0001 COMET-mini (stand-in)" in text
    assert "gains 0.30 BLEU" in finding(testset, Comparison("", "baseline", "bt"), NAMES)


def test_what_chance_makes_is_neither(testset: TestsetResult) -> None:
    text = finding(testset, Comparison("", "ft_bt", "ft"), NAMES)
    assert text.startswith("On tatoeba it makes no significant difference in BLEU (+0.10: 2.60 [")
    assert "chrF (+0.12: " in text
    assert " or COMET-mini (stand-in) (+0.0099: " in text
    assert "gains " not in text


def test_metrics_that_disagree_are_told_apart(testset: TestsetResult) -> None:
    testset.tests["baseline", "ft", "bleu"] = PairedTest(0.7, 0.01)
    testset.tests["baseline", "ft", "chrf"] = PairedTest(-3.2, 0.5)
    text = finding(testset, FT, NAMES)
    assert (
        text.index("gains 0.1089 COMET") < text.index("; it loses 0.70 BLEU") < text.index("; it makes no significant")
    )


@pytest.mark.parametrize(
    ("difference", "p", "expected"),
    [(0.1, 0.049, True), (-0.1, 0.049, True), (0.1, 0.05, False), (0.1, 0.9, False), (0.0, 0.001, False)],
)
def test_significant(difference: float, p: float, expected: bool) -> None:
    assert significant(PairedTest(difference, p)) is expected


@pytest.mark.parametrize(
    ("metric", "built", "expected"),
    [
        ("bleu", True, "BLEU"),
        ("chrf", False, "chrF"),
        ("comet_mini", True, "COMET-mini (stand-in)"),
        ("comet_mini", False, "COMET mini"),
        ("comet_wmt22-comet-da", False, "COMET wmt22-comet-da"),
        ("comet_wmt22-comet-da", True, "COMET-wmt22-comet-da (stand-in)"),
    ],
)
def test_labels(metric: str, built: bool, expected: str) -> None:
    assert labels([metric], built) == {metric: expected}


@pytest.mark.parametrize(("p", "expected"), [(0.000999, "p < 0.001"), (0.001, "p = 0.001"), (0.0415, "p = 0.042")])
def test_p_value(p: float, expected: str) -> None:
    assert p_value(p) == expected


@pytest.mark.parametrize(
    ("difference", "expected"), [(1.204, "+1.20"), (-1.206, "\u22121.21"), (0.001, "±0.00"), (-0.001, "±0.00")]
)
def test_signed(difference: float, expected: str) -> None:
    assert signed("chrf", difference) == expected


@given(st.floats(-100, 100))
def test_no_number_is_a_negative_zero(value: float) -> None:
    assert number("chrf", value) != "-0.00"
    assert float(number("chrf", value)) == pytest.approx(value, abs=0.0051)
