"""Put all that was measured into one summary, one page and a few figures.

In:
    --scores     folder of <testset>.json, which `evaluate` writes; those of other test sets are passed over
    --hyps       folder of <system>/<testset>.jsonl {"id", "src", "tgt", "hyp"}
    --training   folder of <system>/{epochs,log}.json, which `finetune` writes
    --comet, --prepared, --noise, --filter, --leakage   what comet, prepare, score, filter and leakage counted and
                 measured
Out:
    --summary    {testset: {system: {"bleu", "chrf", "comet_<name>", "<tgt>": the share in that language, and the counts
                 of degenerate hypotheses that `evaluate` writes}}}: BLEU and chrF with 2 decimals, COMET and the share
                 with 4; no signatures, whose `|` would break `dvc metrics diff --md`
    --page       the report in Markdown
    --html       the same page as one file, its figures in it
    --plots      the figures (PNG), and for `dvc plots` scores.json, a row for each test set and system (`label`, and
                 for each metric its value, `<metric>_low` and `<metric>_high`), and training_<metric>.json, a row
                 for each epoch with a column for each system
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mt.cli import main
from mt.counts import read_filter, read_noise, read_prepared
from mt.errors import InputError
from mt.files import replacing, together, write_json, write_text
from mt.page import Measured, page
from mt.page_data import waterfall
from mt.params import check_testsets
from mt.plots import draw, score_rows, training_rows
from mt.results import (
    TRAINED,
    TestsetResult,
    development_metrics,
    read_comet,
    read_leakage,
    read_testset,
    read_training,
)
from mt.samples import read_samples
from mt.setup import Setup
from mt.webpage import webpage
from mt.wording import decimals

SHARE_DECIMALS = 4


@dataclass(frozen=True)
class Paths:
    scores: Path
    hyps: Path
    training: Path
    comet: Path
    prepared: Path
    noise: Path
    filter: Path
    leakage: Path
    summary: Path
    page: Path
    html: Path
    plots: Path


@dataclass(frozen=True)
class Report:
    """`samples` counts the translations that are shown, over all test sets; another `seed` shows others."""

    samples: int
    seed: int

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"samples: must not be negative, not {self.samples}; write 0 to show none")


@dataclass(frozen=True)
class Params(Setup):
    """What the stage reads of params.yaml: what the run is made with, to be told of, and the report's own."""

    testsets: tuple[str, ...]
    report: Report

    def __post_init__(self) -> None:
        check_testsets(self.testsets)


def summary(testsets: Sequence[TestsetResult]) -> dict[str, Any]:
    """What `dvc metrics` compares; the keys are in the module's docstring."""
    return {
        testset.name: {
            system: {
                **{metric: round(score.value, decimals(metric)) for metric, score in result.scores.items()},
                **result.degenerate,
                testset.language: round(result.share, SHARE_DECIMALS),
            }
            for system, result in testset.systems.items()
        }
        for testset in testsets
    }


def measure(paths: Paths, params: Params) -> Measured:
    """Read all that goes into the report.

    Raises:
        InputError: a file is missing or holds something else, or test sets were not scored alike.
    """
    testsets = [read_testset(paths.scores / f"{name}.json") for name in params.testsets]
    first = testsets[0]
    metrics = list(first.signatures)
    for testset in testsets:
        if (list(testset.signatures), testset.bootstrap, testset.language) != (
            metrics,
            first.bootstrap,
            first.language,
        ):
            path = paths.scores / f"{testset.name}.json"
            raise InputError(f"{path}: not scored as {first.name} is; run `dvc repro` to score both alike")
    return Measured(
        setup=params,
        testsets=testsets,
        trainings=[read_training(paths.training / system, system) for system in TRAINED],
        samples=read_samples(paths.hyps, testsets, params.report.samples, params.report.seed),
        comet=read_comet(paths.comet),
        prepared=read_prepared(paths.prepared),
        noise=read_noise(paths.noise),
        filter=read_filter(paths.filter),
        leakage=read_leakage(paths.leakage),
    )


def write_plots(folder: Path, found: Measured) -> None:
    """Write the figures and the data of `dvc plots`, all or none."""
    with replacing(folder) as partial:
        partial.mkdir()
        draw(partial, found.testsets, found.trainings, waterfall(found.filter), found.names)
        write_json(partial / "scores.json", score_rows(found.testsets))
        for metric in ["loss", *development_metrics(found.trainings)]:
            write_json(partial / f"training_{metric}.json", training_rows(found.trainings, metric))


def run(paths: Paths, params: Params) -> None:
    """Write the summary, the figures and both forms of the page."""
    found = measure(paths, params)
    with together(paths.plots, paths.page, paths.html, paths.summary):
        write_plots(paths.plots, found)
        text = page(found, Path(os.path.relpath(paths.plots, paths.page.parent)).as_posix())
        write_text(paths.page, text)
        write_text(paths.html, webpage(text, paths.page.parent, params.languages))
        write_json(paths.summary, summary(found.testsets))


if __name__ == "__main__":
    main(run, Paths, Params)
