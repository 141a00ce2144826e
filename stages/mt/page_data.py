"""The report's sections on what the systems were made from: training, backtranslation, the filter, corpora, COMET."""

from collections.abc import Mapping, Sequence
from typing import Any

from mt.counts import MEASURES
from mt.markdown import EMPTY, escape, image, table
from mt.results import REVERSE, Leaks, Training, is_built
from mt.wording import number

TALLIED = ("parallel", "mono")
"""The corpora that preparation counts; mono only where it has a source of its own."""

REJECTED_SHOWN = 1
"""Rejected segments that are shown of each reason; the stage's own file holds more."""


def training_section(
    trainings: Sequence[Training], metrics: Sequence[str], names: Mapping[str, str], unused: str, plots: str
) -> list[str]:
    """Every epoch of every fine-tuning, with the one that was kept, and what the logs note.

    Args:
        trainings: in the order in which they are shown.
        metrics: the development scores that stand in them, in the same way.
        names: metric → its name for readers.
        unused: why the reverse model's adapter is not used, or nothing where it is.
        plots: the folder of the figures.
    """
    rows = []
    for training in trainings:
        for epoch in training.epochs:
            scores = [number(m, epoch.scores[m]) if m in epoch.scores else "–" for m in metrics]
            cells = [f"`{training.system}`", str(epoch.epoch), f"{epoch.loss:.4f}", *scores]
            rows.append([f"**{cell}**" for cell in cells] if epoch.best else cells)
    heads = [f"development {names[metric]}" for metric in metrics]
    images = [
        image(f"{head} by epoch and system; the table above says the same", f"{plots}/training_{metric}.png")
        for metric, head in zip(["loss", *metrics], ["loss", *heads], strict=True)
    ]
    text = (
        "Loss: mean over the epoch's target tokens. The development set is decoded after every epoch, and the adapter "
        "of the epoch in bold is the one that is used."
    )
    if any(training.system == REVERSE and training.epochs for training in trainings):
        text += f" `{REVERSE}` translates the other way, so its figures stand on a scale of their own{unused}."
    return [
        "## Training",
        text,
        table(["system", "epoch", "loss", *heads], "l" + "r" * (len(heads) + 2), rows),
        "\n".join(f"- `{training.system}`: {_log(training)}" for training in trainings),
        "\n".join(images),
    ]


def noise_section(noise: Mapping[str, Any], filtered: Mapping[str, Any], translator: str, plots: str) -> list[str]:
    """How noisy the backtranslation is, what the filter took away, and how the kept compare with the dropped.

    Args:
        noise: what score measured.
        filtered: what filter counted.
        translator: what translated, as the beginning of a sentence.
        plots: the folder of the figures.
    """
    features = [
        [escape(name), *(f"{values[key]:.3f}" for key in ("mean", "p05", "p50", "p95"))]
        for name, values in noise["features"].items()
    ]
    return [
        "## Backtranslation and its filter",
        f"{translator} translated {noise['segments']:,} monolingual segments; {100 * noise['empty']:.1f} % came "
        f"out empty. {_noise(noise['oracle'])}",
        table(["feature", "mean", "5 %", "median", "95 %"], "lrrrr", features),
        "What each reason took away, in the order in which they are tried; alone: what it would have taken by itself.",
        _falls(["reason", "dropped", "left", "alone"], filtered),
        image("Waterfall of the filter; the table above says the same", f"{plots}/filter.png"),
        *_compared(filtered["oracle"]),
        *_rejected(filtered),
    ]


def waterfall(filtered: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Name and number of each step: what was read, what each threshold took away (below 0), what is kept."""
    drops = [(reason, -filtered["dropped"][reason]) for reason in filtered["reasons"]]
    return [("read", filtered["read"]), *drops, ("kept", filtered["kept"])]


def corpus_section(prepared: Mapping[str, Any]) -> list[str]:
    """What preparation read, dropped and kept of each corpus, and what the splits look like."""
    splits = [
        [escape(name), f"{split['segments']:,}", *(_range(split.get(key), digits) for key, digits in MEASURES.items())]
        for name, split in prepared["splits"].items()
    ]
    return [
        "## Corpora",
        *(_falls([f"{name} corpus", "dropped", "left"], prepared[name]) for name in TALLIED if name in prepared),
        "The splits; characters and the ratio of target to source: the median, and in brackets where 95 % lie.",
        table(["split", "segments", "source characters", "target characters", "ratio"], "lrrrr", splits),
    ]


def leakage_section(leakage: Sequence[Leaks]) -> list[str]:
    """What was held to the test sets, and what is near to them; a table only of files in which something is."""
    names = list(leakage[0].testsets)
    leaks = sum(one.leaks for one in leakage)
    found = {0: "no segment is", 1: "1 segment is"}.get(leaks, f"{leaks:,} segments are")
    blocks = [
        f"All that is learnt from, {sum(one.segments for one in leakage):,} segments in {len(leakage)} files, was held "
        f"on each side to both sides of the test sets, {', '.join(map(escape, names))}: {found} near to a test segment."
    ]
    if leaks:
        rows = [
            [escape(one.file), f"{one.segments:,}", f"{one.leaks:,}", *(f"{one.testsets[name]:,}" for name in names)]
            for one in leakage
            if one.leaks
        ]
        head = ["file", "segments", "near to a test segment", *(f"of {escape(name)}" for name in names)]
        blocks.append(table(head, "l" + "r" * (len(head) - 1), rows))
    return blocks


def comet_section(measured: Mapping[str, Any], name: str) -> list[str]:
    """What a stand-in, called `name`, is worth on held-out perturbations; nothing where COMET is a published one."""
    if not is_built(measured):
        return []
    rows = [
        ["held-out references", f"{measured['held_out']:,}"],
        ["pairs ranked rightly", f"{100 * measured['ranking_accuracy']:.1f} % of {measured['ranking_pairs']:,}"],
        ["Pearson correlation with the severity aimed at", f"{measured['pearson']:.4f}"],
        ["Spearman correlation with the severity aimed at", f"{measured['spearman']:.4f}"],
    ]
    kinds = [
        [escape(kind), f"{score:.4f}", f"{100 * measured['accuracy_by_kind'][kind]:.1f} %"]
        for kind, score in sorted(measured["score_by_kind"].items(), key=lambda item: (-item[1], item[0]))
    ]
    return [
        "## What the stand-in is worth",
        f"{name} learnt from {measured['pairs']:,} references, perturbed to graded severity; measured on others:",
        table(["", "figure"], "lr", rows),
        table(["perturbation", "mean score", "ranked rightly"], "lrr", kinds),
    ]


def _falls(head: Sequence[str], counts: Mapping[str, Any]) -> str:
    """A waterfall as a table; with a fourth column, what each reason would take by itself."""
    alone = len(head) > 3
    rows = [["read", "", f"{counts['read']:,}"]]
    left = counts["read"]
    for reason in counts["reasons"]:
        left -= counts["dropped"][reason]
        rows.append([escape(reason), f"{counts['dropped'][reason]:,}", f"{left:,}"])
        if alone:
            rows[-1].append(f"{counts['alone'][reason]:,}")
    rows.append(["**kept**", "", f"**{counts['kept']:,}**"])
    return table(head, "l" + "r" * (len(head) - 1), [row + [""] * (len(head) - len(row)) for row in rows])


def _log(training: Training) -> str:
    log = training.log
    if not training.epochs:
        return "; ".join(map(escape, log["notes"])) + "."
    segments = log["segments"]
    text = f"{log['steps']:,} of {log['planned_steps']:,} steps on {segments['kept']:,} segments"
    for reason, count in segments["dropped"].items():
        text += f"; {count:,} dropped: {escape(reason)}"
    return "; ".join([text, *map(escape, log["notes"])]) + "."


def _noise(oracle: Mapping[str, Any]) -> str:
    if not oracle["segments"]:
        return "The true source is known for none of them, so the noise cannot be measured."
    return (
        f"Against the set-aside source of {oracle['segments']:,} of them: corpus chrF {oracle['corpus_chrf']:.2f}, "
        f"mean segment chrF {oracle['chrf']:.2f}, mean cosine of sentence vectors {oracle['similarity']:.4f}."
    )


def _compared(oracle: Mapping[str, Any]) -> list[str]:
    sides = [(name, oracle[name]) for name in ("kept", "dropped")]
    if not any(side["segments"] for _, side in sides):
        return []
    rows = [
        [name, f"{side['segments']:,}", _known(side["chrf"], 2), _known(side["similarity"], 4)] for name, side in sides
    ]
    return [
        "The kept and what the thresholds dropped against the set-aside source sentences, which no threshold sees:",
        table(["", "segments", "mean chrF", "mean similarity"], "lrrr", rows),
    ]


def _rejected(filtered: Mapping[str, Any]) -> list[str]:
    shown: dict[str, list[list[str]]] = {reason: [] for reason in filtered["reasons"]}
    for segment in filtered["rejected"]:
        rows = shown[segment["reason"]]
        if len(rows) < REJECTED_SHOWN:
            src = escape(segment["src"]) or EMPTY
            rows.append([escape(segment["reason"]), _why(segment), src, escape(segment["tgt"])])
    rows = [row for reason in filtered["reasons"] for row in shown[reason]]
    if not rows:
        return []
    head = ["reason", "value", "synthetic source", "target"]
    return ["One rejected segment of each reason:", table(head, "llll", rows)]


def _why(segment: Mapping[str, Any]) -> str:
    """The value that failed its threshold; of a leak, which no threshold decides, the test segment."""
    if "near" in segment:
        return f"near to {escape(segment['near'])}"
    return f"{segment['value']:.4g} (threshold {segment['threshold']:.4g})"


def _known(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _range(quantiles: Mapping[str, float] | None, digits: int) -> str:
    if quantiles is None:
        return "–"
    low, median, high = (f"{quantiles[key]:.{digits}f}" for key in ("low", "median", "high"))
    return f"{median} [{low}, {high}]"
