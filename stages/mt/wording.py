"""How a figure is put into words: its metric's name, its digits, and whether it is a gain, a loss or neither."""

from collections.abc import Sequence
from dataclasses import dataclass

from mt.markdown import escape
from mt.results import PairedTest, Score, TestsetResult

SIGNIFICANT = 0.05
"""A difference is called a gain or a loss where its p-value is below this."""

NEITHER = "makes no significant difference in"

NAMES = {"bleu": "BLEU", "chrf": "chrF"}
DECIMALS = {"bleu": 2, "chrf": 2}
COMET_DECIMALS = 4


@dataclass(frozen=True)
class Comparison:
    """What a reader wants to know of two systems: what does `a`, which `does` something, change against `b`?"""

    does: str
    a: str
    b: str


COMPARISONS = (
    Comparison("Fine-tuning on genuine pairs", "ft", "baseline"),
    Comparison("Fine-tuning on backtranslated pairs alone", "bt", "baseline"),
    Comparison("Fine-tuning on both", "ft_bt", "baseline"),
    Comparison("Adding backtranslated pairs to the genuine ones", "ft_bt", "ft"),
)


def label(metric: str) -> str:
    """The metric's name for readers; a COMET that is no published checkpoint (`wmt…`) is called a stand-in in it."""
    if metric in NAMES:
        return NAMES[metric]
    name = metric.removeprefix("comet_")
    return f"COMET {name}" if name.startswith("wmt") else f"COMET-{name} (stand-in)"


def stand_ins(metrics: Sequence[str]) -> list[str]:
    """Those of `metrics` that only stand in for a published COMET checkpoint."""
    return [metric for metric in metrics if metric not in NAMES and label(metric).endswith("(stand-in)")]


def decimals(metric: str) -> int:
    """How many decimals of this metric are written: 2 on a scale of 100, 4 on a scale of 1."""
    return DECIMALS.get(metric, COMET_DECIMALS)


def number(metric: str, value: float) -> str:
    """`value` with the metric's decimals, never `-0.00`."""
    return f"{round(value, decimals(metric)) + 0.0:.{decimals(metric)}f}"


def signed(metric: str, difference: float) -> str:
    """`difference` with its sign, a true minus sign for losses."""
    text = number(metric, abs(difference))
    if not float(text):
        return f"±{text}"
    return ("+" if difference > 0 else "\u2212") + text


def interval(metric: str, score: Score) -> str:
    """A score and the bounds of its interval, such as `16.60 [15.90, 17.30]`."""
    low, high = (number(metric, bound) for bound in (score.low, score.high))
    return f"{number(metric, score.value)} [{low}, {high}]"


def p_value(p: float) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def significant(test: PairedTest) -> bool:
    """Whether this is a difference at all, and one that chance hardly makes."""
    return test.difference != 0 and test.p < SIGNIFICANT


def finding(testset: TestsetResult, comparison: Comparison) -> str:
    """One sentence of Markdown on one test set: what it gains, what it loses, and where it does neither."""
    parts: dict[str, list[str]] = {"gains": [], "loses": [], NEITHER: []}
    for metric in testset.signatures:
        verdict, figure = _verdict(testset, comparison, metric)
        parts[verdict].append(figure)
    clauses = [
        f"{verdict} {_series(figures, 'or' if verdict == NEITHER else 'and')}"
        for verdict, figures in parts.items()
        if figures
    ]
    return f"On {escape(testset.name)} it {'; it '.join(clauses)}."


def _verdict(testset: TestsetResult, comparison: Comparison, metric: str) -> tuple[str, str]:
    test = testset.test(comparison.a, comparison.b, metric)
    a, b = (interval(metric, testset.systems[system].scores[metric]) for system in (comparison.a, comparison.b))
    scores = f"{a} against {b}, {p_value(test.p)}"
    if not significant(test):
        return NEITHER, f"{label(metric)} ({signed(metric, test.difference)}: {scores})"
    amount = number(metric, abs(test.difference))
    if not float(amount):
        amount = f"less than {10 ** -decimals(metric):.{decimals(metric)}f}"
    return ("gains" if test.difference > 0 else "loses"), f"{amount} {label(metric)} ({scores})"


def _series(texts: Sequence[str], last: str) -> str:
    return f" {last} ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
