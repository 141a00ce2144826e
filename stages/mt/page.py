"""The report's Markdown, section by section, from what was measured; every text from outside is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

from mt.markdown import EMPTY, code, escape, image, table
from mt.page_data import comet_section, corpus_section, noise_section, training_section
from mt.results import SYSTEMS, TestsetResult, Training, development_metrics
from mt.samples import Sample
from mt.wording import (
    COMPARISONS,
    SIGNIFICANT,
    finding,
    interval,
    label,
    number,
    p_value,
    signed,
    significant,
    stand_ins,
)

PAPER = {
    "baseline": {"COMET": "0.460", "BLEU": "–"},
    "bt": {"COMET": "0.468", "BLEU": "–"},
    "ft": {"COMET": "0.589", "BLEU": "1.97"},
    "ft_bt": {"COMET": "0.597", "BLEU": "1.41"},
}
"""COMET and BLEU of the paper's systems, as it prints them (arXiv 2511.12109)."""


@dataclass(frozen=True)
class Measured:
    """All that the report is made of.

    The last four are the JSON that comet, prepare, score and filter wrote.
    """

    preset: str
    testsets: Sequence[TestsetResult]
    trainings: Sequence[Training]
    samples: Sequence[Sample]
    comet: Mapping[str, Any]
    prepared: Mapping[str, Any]
    noise: Mapping[str, Any]
    filter: Mapping[str, Any]

    @property
    def metrics(self) -> list[str]:
        """Every metric, in the order in which they are shown."""
        return list(self.testsets[0].signatures)


def page(measured: Measured, plots: str) -> str:
    """The whole report.

    Args:
        measured: what was measured.
        plots: the folder of the figures, as a link from the page.
    """
    blocks = [
        *_head(measured),
        *_findings(measured),
        *chain.from_iterable(_scores(testset) for testset in measured.testsets),
        *_figures(measured, plots),
        *_paper(measured),
        *_samples(measured),
        *training_section(measured.trainings, development_metrics(measured.trainings), plots),
        *noise_section(measured.noise, measured.filter, plots),
        *corpus_section(measured.prepared),
        *comet_section(measured.comet, measured.metrics),
        *_method(measured),
    ]
    return "\n\n".join(blocks) + "\n"


def _head(measured: Measured) -> list[str]:
    names = ", ".join(escape(testset.name) for testset in measured.testsets)
    blocks = [
        "# Fine-tuning and backtranslation: what each did",
        f"Preset {escape(measured.preset)}; test sets: {names}. Four systems:",
        "\n".join(f"- `{system}`: {what}" for system, what in SYSTEMS.items()),
    ]
    if stand_in := ", ".join(label(metric) for metric in stand_ins(measured.metrics)):
        blocks.append(
            f"> **{stand_in} is no published COMET checkpoint.** This pipeline builds it with unbabel-comet, small "
            "enough for a machine without a model hub. Its figures rank the systems of one run; they cannot be set "
            "beside COMET scores from anywhere else."
        )
    return blocks


def _findings(measured: Measured) -> list[str]:
    lines = []
    for comparison in COMPARISONS:
        lines.append(f"- **{comparison.does}** (`{comparison.a}` against `{comparison.b}`)")
        lines += [f"  - {finding(testset, comparison)}" for testset in measured.testsets]
    bootstrap = measured.testsets[0].bootstrap
    return [
        "## What was gained and what was lost",
        "\n".join(lines),
        f"In brackets: the bounds of the {100 * bootstrap.confidence:g} % bootstrap interval over segments "
        f"({bootstrap.samples:,} resamples). p: two-sided paired bootstrap over segments, not corrected for "
        f"the number of comparisons. A difference with p < {SIGNIFICANT} is called a gain or a loss, any other no "
        "significant difference.",
    ]


def _scores(testset: TestsetResult) -> list[str]:
    metrics = list(testset.signatures)
    rows = [
        [f"`{system}`"]
        + [interval(metric, result.scores[metric]) for metric in metrics]
        + [str(result.empty), f"{100 * result.share:.1f} %"]
        for system, result in testset.systems.items()
    ]
    names = [label(metric) for metric in metrics]
    differences = [
        [f"`{b}` \u2212 `{a}`", *(_difference(testset, b, a, metric) for metric in metrics)]
        for a, b in combinations(SYSTEMS, 2)
    ]
    return [
        f"## Scores on {escape(testset.name)}",
        f"{testset.segments:,} segments. Empty: hypotheses without text; `{testset.language}`: the share of hypotheses "
        "that language ID finds to be in that language.",
        table(["system", *names, "empty", f"`{testset.language}`"], "l" + "r" * (len(metrics) + 2), rows),
        f"Every pair of systems; in bold where p < {SIGNIFICANT}.",
        table(["difference", *names], "l" + "r" * len(metrics), differences),
    ]


def _difference(testset: TestsetResult, a: str, b: str, metric: str) -> str:
    test = testset.test(a, b, metric)
    text = f"{signed(metric, test.difference)} ({p_value(test.p)})"
    return f"**{text}**" if significant(test) else text


def _figures(measured: Measured, plots: str) -> list[str]:
    images = []
    for metric in measured.metrics:
        alt = f"{label(metric)} of every system on every test set, with intervals; the tables above say the same"
        images.append(image(alt, f"{plots}/scores_{metric}.png"))
    return ["## Scores with their intervals", "Dotted: the baseline.", "\n".join(images)]


def _paper(measured: Measured) -> list[str]:
    metrics = [metric for metric in measured.metrics if metric.startswith("comet_")] + ["bleu"]
    rows = [[f"paper: {name}", *(PAPER[system][name] for system in SYSTEMS)] for name in ("COMET", "BLEU")]
    for testset in measured.testsets:
        for metric in metrics:
            ours = [number(metric, testset.systems[system].scores[metric].value) for system in SYSTEMS]
            rows.append([f"here, {escape(testset.name)}: {label(metric)}", *ours])
    return [
        "## Beside the paper",
        "Fujita and Takada (arXiv 2511.12109, WMT 25) trained Mistral 7B v0.3 on 1,500 pairs of WikiCorpus and scored "
        "with a COMET checkpoint that they do not name. **That is another model, another corpus and another checkpoint "
        f"than those of the preset {escape(measured.preset)}: the figures are not comparable.** What can be read from "
        "them is the direction within each row.",
        table(["", *(f"`{system}`" for system in SYSTEMS)], "l" + "r" * len(SYSTEMS), rows),
    ]


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
        head = ["", "text", *(label(metric) for metric in metrics)]
        blocks.append(table(head, "ll" + "r" * len(metrics), rows))
    return blocks


def _method(measured: Measured) -> list[str]:
    signatures = [
        [escape(testset.name), f"{testset.segments:,}", label(metric), code(signature)]
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
