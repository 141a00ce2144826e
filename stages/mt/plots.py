"""The report's figures, as PNG files whose bytes depend on nothing but the figures in them.

Only matplotlib's own fonts are used, so text is Latin. Colours: Okabe and Ito, https://jfly.uni-koeln.de/color/; every
system has a marker of its own too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from mt.results import SYSTEMS, TestsetResult, Training, development_metrics
from mt.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {
    "baseline": ("#5f5f5f", "s"),
    "bt": ("#c04f00", "^"),
    "ft": ("#0067a5", "o"),
    "ft_bt": ("#00785a", "D"),
    "reverse": ("#8f3f7f", "v"),
}
INK, MUTED, GRID = "#1c1c1c", "#5f5f5f", "#d9d9d9"
STYLE: dict[str, Any] = {
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.08,
    "savefig.dpi": 160,
}
Step = tuple[str, int]
"""A line of a waterfall: its name, and how many segments it begins with, takes away (below 0) or keeps."""

WIDTH = 5.6
"""Inches; narrow, so that the text can still be read where a phone shows the figure at 360 pixels."""

TITLE = 44
"""Characters of a title's line that are sure to fit."""


def draw(
    folder: Path,
    testsets: Sequence[TestsetResult],
    trainings: Sequence[Training],
    steps: Sequence[Step],
    names: Mapping[str, str],
) -> None:
    """Write every figure into `folder`: scores_<metric>.png, training_<metric>.png and filter.png.

    Args:
        folder: it is there.
        testsets: a panel each.
        trainings: a curve each.
        steps: the filter's waterfall.
        names: metric → its name for readers.
    """
    import matplotlib
    from matplotlib import style

    # The reader's own matplotlibrc must not show in the bytes.
    with matplotlib.rc_context(), style.context(["default", STYLE]):
        for metric in testsets[0].signatures:
            _save(scores_figure(testsets, metric, names[metric]), folder / f"scores_{metric}.png")
        for metric in ["loss", *development_metrics(trainings)]:
            _save(
                training_figure(trainings, metric, names.get(metric, "training loss")),
                folder / f"training_{metric}.png",
            )
        _save(waterfall_figure(steps), folder / "filter.png")


def score_rows(testsets: Sequence[TestsetResult]) -> list[dict[str, Any]]:
    """For `dvc plots`: a row for each test set and system, for each metric its value and the interval's bounds."""
    rows = []
    for testset in testsets:
        for system, result in testset.systems.items():
            row: dict[str, Any] = {"label": f"{testset.name} {system}", "testset": testset.name, "system": system}
            for metric, score in result.scores.items():
                row |= {metric: score.value, f"{metric}_low": score.low, f"{metric}_high": score.high}
            rows.append(row)
    return rows


def training_rows(trainings: Sequence[Training], metric: str) -> list[dict[str, Any]]:
    """For `dvc plots`: a row for each epoch, with a column for each system that reached it."""
    rows: dict[int, dict[str, Any]] = {}
    for training in trainings:
        for epoch, value in curve(training, metric):
            rows.setdefault(epoch, {"epoch": epoch})[training.system] = value
    return [rows[epoch] for epoch in sorted(rows)]


def curve(training: Training, metric: str) -> list[tuple[int, float]]:
    """Epoch and value of the loss, or of a development score; empty where the training has no such score."""
    if metric == "loss":
        return [(epoch.epoch, epoch.loss) for epoch in training.epochs]
    return [(epoch.epoch, epoch.scores[metric]) for epoch in training.epochs if metric in epoch.scores]


def scores_figure(testsets: Sequence[TestsetResult], metric: str, name: str) -> "Figure":
    """One metric: a panel for each test set, in it each system's score and interval; dotted, the baseline's score.

    `name` is the metric's for readers.
    """
    figure = _figure(0.75 + 1.5 * len(testsets))
    axes = figure.subplots(len(testsets), 1, squeeze=False, sharex=True)[:, 0]
    for axis, testset in zip(axes, testsets, strict=True):
        for row, (system, result) in enumerate(testset.systems.items()):
            colour, marker = LOOKS[system]
            score = result.scores[metric]
            axis.hlines(row, score.low, score.high, color=colour, linewidth=2.2)
            axis.plot(score.value, row, marker, color=colour, markersize=6.5)
            axis.annotate(
                number(metric, score.value),
                (1.0, row),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
            )
        axis.axvline(testset.systems["baseline"].scores[metric].value, color=MUTED, linewidth=1, linestyle=":")
        axis.set_yticks(range(len(testset.systems)), list(testset.systems))
        axis.set_ylim(len(testset.systems) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.tick_params(axis="y", length=0)
        axis.set_title(fill(f"{testset.name}, {testset.segments:,} segments", TITLE))
    axes[-1].set_xlabel(name)
    return figure


def training_figure(trainings: Sequence[Training], metric: str, name: str) -> "Figure":
    """The loss or a development score by epoch: above, the systems that translate forward; below, the reverse model
    where it was trained, since another language is another scale. The kept epoch is ringed. `name` is for readers.
    """
    shown = [training for training in trainings if curve(training, metric)]
    panels = [[t for t in shown if t.system in SYSTEMS], [t for t in shown if t.system not in SYSTEMS]]
    titles = ["into the target language", "reverse model, into the source language"]
    filled = [(title, panel) for title, panel in zip(titles, panels, strict=True) if panel]
    figure = _figure(0.55 + 2.2 * len(filled))
    axes = figure.subplots(len(filled), 1, squeeze=False, sharex=True)[:, 0]
    for axis, (title, panel) in zip(axes, filled, strict=True):
        for training in panel:
            _draw_curve(axis, training, metric)
        axis.set_title(title)
        axis.set_ylabel(name, wrap=True)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.5)
    last = max(len(training.epochs) for training in shown)
    axes[-1].set_xticks(range(1, last + 1, max(1, last // 8)))
    axes[-1].set_xlim(0.8, last + 0.2)
    axes[-1].set_xlabel("epoch; ringed: the one that was kept")
    return figure


def waterfall_figure(steps: Sequence[Step]) -> "Figure":
    """What the filter read, what each threshold took away in its order, and what it kept."""
    figure = _figure(0.8 + 0.27 * len(steps))
    axis = figure.subplots()
    left = 0
    for row, (_, count) in enumerate(steps):
        total = row in (0, len(steps) - 1)
        left = left if total else left + count
        start = 0 if total else left
        axis.barh(row, abs(count), left=start, height=0.62, color="#0067a5" if total else "#c04f00")
        text = f"{count:,}" if total or not count else f"\u2212{-count:,}"
        axis.annotate(text, (start + abs(count), row), xytext=(4, 0), textcoords="offset points", va="center")
        left = count if row == 0 else left
    axis.set_yticks(range(len(steps)), [name for name, _ in steps])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.set_xlim(0, max(count for _, count in steps) * 1.1)
    axis.set_xlabel("synthetic segments")
    return figure


def _draw_curve(axis: "Axes", training: Training, metric: str) -> None:
    colour, marker = LOOKS[training.system]
    points = curve(training, metric)
    axis.plot(*zip(*points, strict=True), marker=marker, color=colour, linewidth=1.6, label=training.system)
    best = {epoch.epoch for epoch in training.epochs if epoch.best}
    for epoch, value in points:
        if epoch in best:
            axis.plot(epoch, value, "o", markersize=13, markerfacecolor="none", markeredgecolor=colour)


def _figure(height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def _save(figure: "Figure", path: Path) -> None:
    # The default metadata names matplotlib's version, which would change the bytes of unchanged figures.
    figure.savefig(path, format="png", metadata={"Software": None})
