"""What the stages before the report measured, read and checked: scores with their tests, and training by epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar, cast

from mt.errors import InputError
from mt.files import read_json

T = TypeVar("T")

SYSTEMS = ("baseline", "bt", "ft", "ft_bt")
"""The four systems of the study, in the order in which they are shown."""

REVERSE = "reverse"
"""The model that backtranslates; it alone may stay without a training of its own."""

TRAINED = (REVERSE, *SYSTEMS[1:])
"""What is fine-tuned: the reverse model, and every system but the baseline."""

BUILT_KEYS = (
    "pairs",
    "held_out",
    "ranking_accuracy",
    "ranking_pairs",
    "accuracy_by_kind",
    "score_by_kind",
    "pearson",
    "spearman",
)
"""What is measured of a COMET checkpoint that is built here, a stand-in."""

PUBLISHED_KEYS = ("checkpoint", "repo", "revision")
"""What is told of a published one instead."""


@dataclass(frozen=True)
class Score:
    """A corpus score, and the bounds of its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SystemResult:
    """One system on one test set: `model` is the revision; `scores` by metric; `empty` counts hypotheses without text;
    `share` is that of the hypotheses which language ID finds to be in the target language.
    """

    model: str
    scores: dict[str, Score]
    empty: int
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
    tree = read_json(path)
    signatures = need(tree, "signatures", dict, path)
    metrics = metric_order(list(signatures))
    found = need(tree, "systems", dict, path)
    if unknown := set(found) ^ set(SYSTEMS):
        raise InputError(f"{path}: systems: {min(unknown)} is missing or unknown; the systems are {', '.join(SYSTEMS)}")
    language = _language(need(found, "baseline", dict, path), metrics, path)
    systems = {name: _system(need(found, name, dict, path), metrics, language, path) for name in SYSTEMS}
    drawn = need(tree, "bootstrap", dict, path)
    segments = need(tree, "segments", int, path)
    segment_scores = need(tree, "segment_scores", dict, path)
    for system in SYSTEMS:
        for metric, values in need(segment_scores, system, dict, path).items():
            if len(values) != segments:
                raise InputError(f"{path}: segment_scores.{system}.{metric}: not {segments} scores; run `dvc repro`")
    name = need(tree, "testset", str, path)
    if name != path.stem:
        raise InputError(f"{path}: testset: is {name}, not {path.stem}; remove the file and run `dvc repro`")
    return TestsetResult(
        name=name,
        segments=segments,
        language=language,
        bootstrap=Bootstrap(need(drawn, "samples", int, path), need(drawn, "confidence", float, path)),
        signatures={metric: signatures[metric] for metric in metrics},
        systems=systems,
        tests=_tests(need(tree, "paired", list, path), metrics, path),
        segment_scores=segment_scores,
    )


def read_training(folder: Path, system: str) -> Training:
    """Read epochs.json and log.json of one fine-tuning, as `finetune` writes them; only `reverse` may have no epoch.

    Raises:
        InputError: one is missing or lacks a key that the report needs.
    """
    path = folder / "epochs.json"
    epochs = []
    for row in read_json(path):
        scores = {key: float(value) for key, value in row.items() if key == "chrf" or key.startswith("comet_")}
        loss = float(need(row, "loss", float, path))
        if not all(map(math.isfinite, (loss, *scores.values()))):
            raise InputError(f"{path}: epoch {row.get('epoch')}: not a finite number; lower the learning rate")
        epochs.append(Epoch(need(row, "epoch", int, path), loss, scores, need(row, "best", bool, path)))
    if not epochs and system != REVERSE:
        raise InputError(f"{path}: holds no epoch; run `dvc repro` again")
    return Training(system, epochs, read_json(folder / "log.json"))


def read_comet(path: Path) -> dict[str, Any]:
    """Read what is known of the COMET checkpoint: BUILT_KEYS of one that is built here, else PUBLISHED_KEYS.

    Raises:
        InputError: it is missing, no object, or lacks a key.
    """
    tree = read_json(path)
    return read_keys(path, BUILT_KEYS if is_built(tree) else PUBLISHED_KEYS)


def is_built(comet: Any) -> bool:
    """Whether a COMET checkpoint is built here: that is so where its ranking was measured, whatever its name."""
    return isinstance(comet, dict) and any(key in comet for key in BUILT_KEYS)


def read_keys(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read a JSON object that has `keys`; `a.b` is the key b of the object under a.

    Raises:
        InputError: it is missing, no object, or lacks one.
    """
    tree = read_json(path)
    for key in keys:
        inner = tree
        for part in key.split("."):
            if not isinstance(inner, dict) or part not in inner:
                raise InputError(f"{path}: {key}: missing; remove the file and run `dvc repro`")
            inner = inner[part]
    return cast("dict[str, Any]", tree)


def need(tree: Any, key: str, kind: type[T], path: Path) -> T:
    """The value of `key`, which has the type `kind`.

    Raises:
        InputError: it is missing or of another type.
    """
    value = tree.get(key) if isinstance(tree, dict) else None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return cast("T", float(value))
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{path}: {key}: missing, or no {kind.__name__}; remove the file and run `dvc repro`")
    return value


def _system(tree: dict[str, Any], metrics: Sequence[str], language: str, path: Path) -> SystemResult:
    scores = {}
    for metric in metrics:
        score = need(tree, metric, dict, path)
        scores[metric] = Score(*(need(score, key, float, path) for key in ("value", "low", "high")))
    return SystemResult(
        model=need(tree, "model", str, path),
        scores=scores,
        empty=need(tree, "empty", int, path),
        share=need(tree, language, float, path),
    )


def _language(tree: dict[str, Any], metrics: Sequence[str], path: Path) -> str:
    """The key that is no metric's and no count's: the share in the target language stands under its code."""
    found = sorted(set(tree) - {"model", "empty", *metrics})
    if len(found) != 1:
        raise InputError(
            f"{path}: systems.baseline: no share in one target language; remove the file and run `dvc repro`"
        )
    return found[0]


def _tests(rows: Sequence[Any], metrics: Sequence[str], path: Path) -> dict[tuple[str, str, str], PairedTest]:
    tests = {}
    for row in rows:
        a, b, metric = (need(row, key, str, path) for key in ("a", "b", "metric"))
        tests[a, b, metric] = PairedTest(need(row, "difference", float, path), need(row, "p", float, path))
    for a, b in combinations(SYSTEMS, 2):
        for metric in metrics:
            if (a, b, metric) not in tests and (b, a, metric) not in tests:
                raise InputError(f"{path}: paired: no test of {a} and {b} in {metric}; run `dvc repro` again")
    return tests
