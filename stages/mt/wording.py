"""How a figure is put into words: its metric's name, its digits, and whether it is a gain, a loss or neither."""

from collections.abc import Iterable, Mapping, Sequence

from mt.markdown import escape
from mt.results import PairedTest, Score, TestsetResult
from mt.setup import Comparison

SIGNIFICANT = 0.05
"""A difference is called a gain or a loss where its p-value is below this."""

NEITHER = "makes no significant difference in"

NAMES = {"bleu": "BLEU", "chrf": "chrF"}
DECIMALS = {"bleu": 2, "chrf": 2}
COMET_DECIMALS = 4

COMET = "comet_"
"""What the names of COMET's metrics begin with; the checkpoint's name follows."""


def labels(metrics: Iterable[str], built: bool) -> dict[str, str]:
    """Metric → its name for readers.

    Args:
        metrics: `bleu`, `chrf` and `comet_<name>`.
        built: whether the COMET checkpoint is built here; its name then says that it stands in for a published one.
    """
    return {metric: NAMES.get(metric) or _comet(metric.removeprefix(COMET), built) for metric in metrics}


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


def finding(testset: TestsetResult, comparison: Comparison, names: Mapping[str, str]) -> str:
    """One sentence of Markdown on one test set: what it gains, what it loses, and where it does neither.

    Args:
        testset: what was measured on it.
        comparison: of which systems.
        names: metric → its name, see labels.
    """
    parts: dict[str, list[str]] = {"gains": [], "loses": [], NEITHER: []}
    for metric in testset.signatures:
        verdict, figure = _verdict(testset, comparison, metric, names[metric])
        parts[verdict].append(figure)
    clauses = [
        f"{verdict} {_series(figures, 'or' if verdict == NEITHER else 'and')}"
        for verdict, figures in parts.items()
        if figures
    ]
    return f"On {escape(testset.name)} it {'; it '.join(clauses)}."


def _verdict(testset: TestsetResult, comparison: Comparison, metric: str, name: str) -> tuple[str, str]:
    test = testset.test(comparison.a, comparison.b, metric)
    a, b = (interval(metric, testset.systems[system].scores[metric]) for system in (comparison.a, comparison.b))
    scores = f"{a} against {b}, {p_value(test.p)}"
    if not significant(test):
        return NEITHER, f"{name} ({signed(metric, test.difference)}: {scores})"
    amount = number(metric, abs(test.difference))
    if not float(amount):
        amount = f"less than {10 ** -decimals(metric):.{decimals(metric)}f}"
    return ("gains" if test.difference > 0 else "loses"), f"{amount} {name} ({scores})"


def _comet(name: str, built: bool) -> str:
    return f"COMET-{name} (stand-in)" if built else f"COMET {name}"


def _series(texts: Sequence[str], last: str) -> str:
    return f" {last} ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
