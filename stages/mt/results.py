"""What the stages before the report measured, read and checked: scores with their tests, and training by epoch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from mt.degenerate import COUNTS
from mt.errors import InputError
from mt.files import read_json, shaped
from mt.values import Maybe

SYSTEMS = ("baseline", "bt", "ft", "ft_bt")
"""The four systems of the study, in the order in which they are shown."""

REVERSE = "reverse"
"""The model that backtranslates; it alone may stay without a training of its own."""

TRAINED = (REVERSE, *SYSTEMS[1:])
"""What is fine-tuned: the reverse model, and every system but the baseline."""

SCORE = {"value": float, "low": float, "high": float}
PAIRED = {"a": str, "b": str, "metric": str, "difference": float, "p": float}
TESTSET = {"signatures": {"bleu": str, "chrf": str, str: str}, "systems": {"baseline": {str: object}}}
EPOCH = {"epoch": int, "loss": float, "best": bool, "chrf": Maybe(float), str: object}
LOG = {"notes": [str]}
TRAINED_LOG = {**LOG, "steps": int, "planned_steps": int, "segments": {"kept": int, "dropped": {str: int}}}
LEAKS = {"segments": int, "leaks": int, "testsets": {str: {"leaks": int}}}
"""Shapes of what is read, see `mt.values.check`."""

BUILT = {
    **dict.fromkeys(("pairs", "held_out", "ranking_pairs"), int),
    **dict.fromkeys(("ranking_accuracy", "pearson", "spearman"), float),
    "accuracy_by_kind": {str: float},
    "score_by_kind": {str: float},
}
"""What is measured of a COMET checkpoint that is built here, a stand-in."""

PUBLISHED = dict.fromkeys(("checkpoint", "repo", "revision"), str)
"""What is told of a published one instead."""

METRIC = re.compile(r"bleu|chrf|comet_[\w.-]{1,100}", re.ASCII)
"""Names of metrics, which become names of files."""


@dataclass(frozen=True)
class Score:
    """A corpus score, and the bounds of its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SystemResult:
    """One system on one test set: `model` is the revision; `scores` by metric; `degenerate` counts hypotheses, its keys
    are `mt.degenerate.COUNTS`; `share` is that of the hypotheses which language ID finds to be in the target language.
    """

    model: str
    scores: dict[str, Score]
    degenerate: dict[str, int]
    share: float


@dataclass(frozen=True)
class Bootstrap:
    """How many resamples were drawn, and the share of them that an interval holds."""

    samples: int
    confidence: float


@dataclass(frozen=True)
class PairedTest:
    """Paired bootstrap of two systems: `difference` is a's score less b's."""

    difference: float
    p: float


@dataclass(frozen=True)
class TestsetResult:
    """All systems on one test set; `language` is the target's ISO 639-1 code, `tests` are by (a, b, metric), each pair
    in one order only.
    """

    __test__ = False  # pytest takes the name for a test's

    name: str
    segments: int
    language: str
    bootstrap: Bootstrap
    signatures: dict[str, str]
    systems: dict[str, SystemResult]
    tests: dict[tuple[str, str, str], PairedTest]
    segment_scores: dict[str, dict[str, list[float]]]

    def test(self, a: str, b: str, metric: str) -> PairedTest:
        """The test of `a` against `b`, in whichever order it was run."""
        if (a, b, metric) in self.tests:
            return self.tests[a, b, metric]
        turned = self.tests[b, a, metric]
        return PairedTest(-turned.difference, turned.p)


@dataclass(frozen=True)
class Epoch:
    """One epoch: `loss` is the mean training loss; `scores` are those of the decoded development set, by metric."""

    epoch: int
    loss: float
    scores: dict[str, float]
    best: bool


@dataclass(frozen=True)
class Training:
    """One fine-tuning; `log` is its log.json as it stands."""

    system: str
    epochs: list[Epoch]
    log: dict[str, Any]


@dataclass(frozen=True)
class Leaks:
    """One file that is learnt from: how many of its segments are near to a test segment, in all and by test set."""

    file: str
    segments: int
    leaks: int
    testsets: dict[str, int]


def metric_order(metrics: Sequence[str]) -> list[str]:
    """BLEU and chrF first, then COMET by name."""
    known = ["bleu", "chrf"]
    return [metric for metric in known if metric in metrics] + sorted(set(metrics) - set(known))


def development_metrics(trainings: Sequence[Training]) -> list[str]:
    """Every metric of any training's development set, in the order of `metric_order`."""
    return metric_order([metric for training in trainings for row in training.epochs[:1] for metric in row.scores])


def read_testset(path: Path) -> TestsetResult:
    """Read data/scores/<testset>.json as `evaluate` writes it.

    Raises:
        InputError: it is missing, or a key that the report needs is.
    """
    tree = shaped(read_json(path), TESTSET, path)
    metrics = metric_order(list(tree["signatures"]))
    _check_metrics(metrics, path)
    if unknown := set(tree["systems"]) ^ set(SYSTEMS):
        raise InputError(
            f"{path}: systems: {min(unknown)!r:.100} is missing or unknown; the systems are {', '.join(SYSTEMS)}"
        )
    language = _language(tree["systems"]["baseline"], metrics, path)
    shaped(tree, _testset(metrics, language), path)
    segments, name = tree["segments"], tree["testset"]
    for system, by_metric in tree["segment_scores"].items():
        for metric, values in by_metric.items():
            if len(values) != segments:
                raise InputError(f"{path}: segment_scores.{system}.{metric}: not {segments} scores; run `dvc repro`")
    if name != path.stem:
        raise InputError(f"{path}: testset: is {name!r:.100}, not {path.stem}; remove the file and run `dvc repro`")
    return TestsetResult(
        name=name,
        segments=segments,
        language=language,
        bootstrap=Bootstrap(tree["bootstrap"]["samples"], tree["bootstrap"]["confidence"]),
        signatures={metric: tree["signatures"][metric] for metric in metrics},
        systems={name: _system(tree["systems"][name], metrics, language) for name in SYSTEMS},
        tests=_tests(tree["paired"], metrics, path),
        segment_scores=tree["segment_scores"],
    )


def read_training(folder: Path, system: str) -> Training:
    """Read epochs.json and log.json of one fine-tuning, as `finetune` writes them; only `reverse` may have no epoch.

    Raises:
        InputError: one is missing or lacks a key that the report needs.
    """
    path, log = folder / "epochs.json", folder / "log.json"
    epochs = []
    for row in shaped(read_json(path), [EPOCH], path):
        metrics = [key for key in row if key == "chrf" or key.startswith("comet_")]
        _check_metrics(metrics, path)
        shaped(row, dict.fromkeys(metrics, float), path)
        scores = {metric: float(row[metric]) for metric in metrics}
        epochs.append(Epoch(row["epoch"], float(row["loss"]), scores, row["best"]))
    if not epochs and system != REVERSE:
        raise InputError(f"{path}: holds no epoch; run `dvc repro` again")
    return Training(system, epochs, shaped(read_json(log), TRAINED_LOG if epochs else LOG, log))


def read_leakage(path: Path) -> list[Leaks]:
    """Read what `leakage` found in every file that is learnt from; all were held to the same test sets.

    Raises:
        InputError: it is missing, tells of no file, or a key that the report needs is missing.
    """
    tree = shaped(read_json(path), {str: LEAKS}, path)
    if not tree:
        raise InputError(f"{path}: tells of no file; remove it and run `dvc repro`")
    found = [
        Leaks(file, one["segments"], one["leaks"], {name: counts["leaks"] for name, counts in one["testsets"].items()})
        for file, one in tree.items()
    ]
    if any(list(one.testsets) != list(found[0].testsets) for one in found):
        raise InputError(f"{path}: not all files were held to the same test sets; run `dvc repro` again")
    return found


def read_comet(path: Path) -> dict[str, Any]:
    """Read what is known of the COMET checkpoint: BUILT of one that is built here, else PUBLISHED.

    Raises:
        InputError: it is missing, no object, or lacks a key.
    """
    tree = shaped(read_json(path), {}, path)
    found: dict[str, Any] = shaped(tree, BUILT if is_built(tree) else PUBLISHED, path)
    if is_built(tree):
        shaped(tree, {"accuracy_by_kind": dict.fromkeys(tree["score_by_kind"], float)}, path)
    return found


def is_built(comet: Any) -> bool:
    """Whether a COMET checkpoint is built here: that is so where its ranking was measured, whatever its name."""
    return isinstance(comet, dict) and any(key in comet for key in BUILT)


def _testset(metrics: Sequence[str], language: str) -> dict[Any, Any]:
    """The shape of a test set's scores."""
    system = {"model": str, language: float, **dict.fromkeys(COUNTS, int), **dict.fromkeys(metrics, SCORE)}
    by_segment = {metric: [float] for metric in metrics if metric != "bleu"}
    return {
        "testset": str,
        "segments": int,
        "bootstrap": {"samples": int, "confidence": float},
        "systems": dict.fromkeys(SYSTEMS, system),
        "paired": [PAIRED],
        "segment_scores": dict.fromkeys(SYSTEMS, by_segment),
    }


def _check_metrics(metrics: Sequence[str], path: Path) -> None:
    for metric in metrics:
        if not METRIC.fullmatch(metric):
            raise InputError(f"{path}: {metric!r:.100} is no metric; remove the file and run `dvc repro`")


def _system(tree: dict[str, Any], metrics: Sequence[str], language: str) -> SystemResult:
    return SystemResult(
        model=tree["model"],
        scores={metric: Score(*(float(tree[metric][bound]) for bound in SCORE)) for metric in metrics},
        degenerate={kind: tree[kind] for kind in COUNTS},
        share=float(tree[language]),
    )


def _language(tree: dict[str, Any], metrics: Sequence[str], path: Path) -> str:
    """The key that is no metric's and no count's: the share in the target language stands under its code."""
    found = sorted(set(tree) - {"model", *COUNTS, *metrics})
    if len(found) != 1:
        raise InputError(
            f"{path}: systems.baseline: no share in one target language; remove the file and run `dvc repro`"
        )
    return found[0]


def _tests(rows: Sequence[Any], metrics: Sequence[str], path: Path) -> dict[tuple[str, str, str], PairedTest]:
    tests = {}
    for row in rows:
        tests[row["a"], row["b"], row["metric"]] = PairedTest(float(row["difference"]), float(row["p"]))
    for a, b in combinations(SYSTEMS, 2):
        for metric in metrics:
            if (a, b, metric) not in tests and (b, a, metric) not in tests:
                raise InputError(f"{path}: paired: no test of {a} and {b} in {metric}; run `dvc repro` again")
    return tests
