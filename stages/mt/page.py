"""The report's Markdown, section by section, from what was measured; every text from outside is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

from mt.markdown import EMPTY, code, escape, image, table
from mt.page_data import comet_section, corpus_section, leakage_section, noise_section, training_section
from mt.paper import paper_section
from mt.results import SYSTEMS, Leaks, TestsetResult, Training, development_metrics, is_built
from mt.samples import Sample
from mt.setup import Setup, comparisons, described, translator, unused
from mt.wording import COMET, SIGNIFICANT, finding, interval, labels, number, p_value, signed, significant

DEGENERATE = {
    "degenerate": "of any kind",
    "empty": "empty",
    "repetition": "endless repetition",
    "copy": "copy of the source",
    "wrong_language": "wrong language",
    "cut": "cut at the limit",
}
"""What is counted of a system → the heading of its column."""


@dataclass(frozen=True)
class Measured:
    """All that the report is made of; `comet` to `filter` are the JSON that comet, prepare, score and filter wrote."""

    setup: Setup
    testsets: Sequence[TestsetResult]
    trainings: Sequence[Training]
    samples: Sequence[Sample]
    comet: Mapping[str, Any]
    prepared: Mapping[str, Any]
    noise: Mapping[str, Any]
    filter: Mapping[str, Any]
    leakage: Sequence[Leaks]

    @property
    def metrics(self) -> list[str]:
        """Every metric, in the order in which they are shown."""
        return list(self.testsets[0].signatures)

    @property
    def names(self) -> dict[str, str]:
        """Metric → its name for readers, those of the development set too."""
        return labels([*self.metrics, *development_metrics(self.trainings)], is_built(self.comet))

    @property
    def comet_name(self) -> str:
        """The name of the COMET checkpoint for readers."""
        return ", ".join(self.names[metric] for metric in self.metrics if metric.startswith(COMET))


def page(measured: Measured, plots: str) -> str:
    """The whole report.

    Args:
        measured: what was measured.
        plots: the folder of the figures, as a link from the page.
    """
    blocks = [
        *_head(measured),
        *_findings(measured),
        *chain.from_iterable(_scores(testset, measured.names) for testset in measured.testsets),
        *_figures(measured, plots),
        *_paper(measured),
        *_samples(measured),
        *_training(measured, plots),
        *noise_section(measured.noise, measured.filter, translator(measured.setup), plots),
        *corpus_section(measured.prepared),
        *leakage_section(measured.leakage),
        *comet_section(measured.comet, measured.comet_name),
        *_method(measured),
    ]
    return "\n\n".join(blocks) + "\n"


def _head(measured: Measured) -> list[str]:
    names = ", ".join(escape(testset.name) for testset in measured.testsets)
    blocks = [
        "# Fine-tuning and backtranslation: what each did",
        f"Preset {escape(measured.setup.preset)}; test sets: {names}. Four systems:",
        "\n".join(f"- `{system}`: {what}" for system, what in described(measured.setup).items()),
    ]
    if is_built(measured.comet):
        blocks.append(
            f"> **{measured.comet_name} is no published COMET checkpoint.** This pipeline builds it with "
            "unbabel-comet, small enough for a machine without a model hub. Its figures rank the systems of one run; "
            "they cannot be set beside COMET scores from anywhere else."
        )
    return blocks


def _findings(measured: Measured) -> list[str]:
    lines = []
    for comparison in comparisons(measured.setup.systems):
        lines.append(f"- **{comparison.does}** (`{comparison.a}` against `{comparison.b}`)")
        lines += [f"  - {finding(testset, comparison, measured.names)}" for testset in measured.testsets]
    bootstrap = measured.testsets[0].bootstrap
    return [
        "## What was gained and what was lost",
        "\n".join(lines),
        f"In brackets: the bounds of the {100 * bootstrap.confidence:g} % bootstrap interval over segments "
        f"({bootstrap.samples:,} resamples). p: two-sided paired bootstrap over segments, not corrected for "
        f"the number of comparisons. A difference with p < {SIGNIFICANT} is called a gain or a loss, any other no "
        "significant difference.",
    ]


def _scores(testset: TestsetResult, names: Mapping[str, str]) -> list[str]:
    metrics = list(testset.signatures)
    rows = [
        [f"`{system}`"]
        + [interval(metric, result.scores[metric]) for metric in metrics]
        + [f"{100 * result.share:.1f} %"]
        for system, result in testset.systems.items()
    ]
    heads = [names[metric] for metric in metrics]
    differences = [
        [f"`{b}` \u2212 `{a}`", *(_difference(testset, b, a, metric) for metric in metrics)]
        for a, b in combinations(SYSTEMS, 2)
    ]
    return [
        f"## Scores on {escape(testset.name)}",
        f"{testset.segments:,} segments. `{testset.language}`: the share of hypotheses that language ID finds to be in "
        "that language.",
        table(["system", *heads, f"`{testset.language}`"], "l" + "r" * (len(metrics) + 1), rows),
        f"Every pair of systems; in bold where p < {SIGNIFICANT}.",
        table(["difference", *heads], "l" + "r" * len(metrics), differences),
        "Degenerate hypotheses, by the limits of `evaluate.degenerate` in params.yaml. One may be of several kinds; "
        "where its reference is of a kind too, it is not counted as that.",
        _degenerate(testset),
    ]


def _degenerate(testset: TestsetResult) -> str:
    rows = [
        [f"`{system}`", *(f"{result.degenerate[kind]:,}" for kind in DEGENERATE)]
        for system, result in testset.systems.items()
    ]
    return table(["system", *DEGENERATE.values()], "l" + "r" * len(DEGENERATE), rows)


def _difference(testset: TestsetResult, a: str, b: str, metric: str) -> str:
    test = testset.test(a, b, metric)
    text = f"{signed(metric, test.difference)} ({p_value(test.p)})"
    return f"**{text}**" if significant(test) else text


def _figures(measured: Measured, plots: str) -> list[str]:
    images = []
    for metric in measured.metrics:
        alt = (
            f"{measured.names[metric]} of every system on every test set, with intervals; the tables above say the same"
        )
        images.append(image(alt, f"{plots}/scores_{metric}.png"))
    return ["## Scores with their intervals", "Dotted: the baseline.", "\n".join(images)]


def _paper(measured: Measured) -> list[str]:
    pairs = measured.prepared["splits"]["train"]["segments"]
    names = {metric: measured.names[metric] for metric in measured.metrics}
    return paper_section(measured.setup, pairs, measured.testsets, names, measured.comet)


def _training(measured: Measured, plots: str) -> list[str]:
    metrics = development_metrics(measured.trainings)
    return training_section(measured.trainings, metrics, measured.names, unused(measured.setup), plots)


def _samples(measured: Measured) -> list[str]:
    blocks = [
        "## Sample translations",
        f"{len(measured.samples)} segments, spread over the test sets and chosen by a hash of their ids. The scores "
        "are those of the segment alone.",
    ]
    for sample in measured.samples:
        metrics = [metric for metric in measured.metrics if metric in sample.scores["baseline"]]
        blank = [""] * len(metrics)
        rows = [["source", escape(sample.src), *blank], ["reference", escape(sample.ref), *blank]]
        for system, hyp in sample.hyps.items():
            scores = [number(metric, sample.scores[system][metric]) for metric in metrics]
            rows.append([f"`{system}`", escape(hyp) or EMPTY, *scores])
        # Ids begin with their corpus, which most often has the test set's name.
        owner = "" if sample.id.startswith(f"{sample.testset}:") else f"{escape(sample.testset)}, "
        blocks.append(f"### {owner}{escape(sample.id)}")
        head = ["", "text", *(measured.names[metric] for metric in metrics)]
        blocks.append(table(head, "ll" + "r" * len(metrics), rows))
    return blocks


def _method(measured: Measured) -> list[str]:
    signatures = [
        [escape(testset.name), f"{testset.segments:,}", measured.names[metric], code(signature)]
        for testset in measured.testsets
        for metric, signature in testset.signatures.items()
    ]
    revisions = [
        [escape(testset.name), *(code(result.model) for result in testset.systems.values())]
        for testset in measured.testsets
    ]
    return [
        "## Signatures and revisions",
        table(["test set", "segments", "metric", "signature"], "lrll", signatures),
        "Revisions of the models that made the hypotheses:",
        table(["test set", *(f"`{system}`" for system in SYSTEMS)], "l" * (1 + len(SYSTEMS)), revisions),
    ]
