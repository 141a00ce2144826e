"""Score all systems on one test set, with intervals, and test every pair of them.

In: --test, segments {"id", "src", "tgt"}; --baseline, --bt, --ft, --ft-bt, each system's hypotheses for that test set
{"id", "src", "tgt", "hyp" (may be empty), "cut" (whether the limit on tokens ended it), "model"}; --comet and --lid,
models. Out: --out, JSON:

    testset, segments   the test set's name, and how many segments it has
    bootstrap           {"samples", "confidence", "seed"}
    signatures          metric → how it was computed; the metrics are `bleu`, `chrf` (0 to 100) and `comet_<name>`
    systems             system → {"model": revision, metric: {"value", "low", "high"}, "<tgt>": share of hypotheses
                        that language ID gives to the target language with a probability above `min_tgt_language`,
                        and how many are "empty", "repetition", "copy", "wrong_language", "cut", and "degenerate",
                        which is at least one of these, see mt.degenerate}
    paired              [{"a", "b", "metric", "difference": a less b, "p"}], every pair of systems, see mt.bootstrap
    segment_scores      system → metric → one score a segment, in the test set's order; `chrf` and `comet_<name>`

Numbers are rounded to 6 decimals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from typing import Any

from mt.bootstrap import interval, p_value, resampled_scores, resamples
from mt.claims import ingredients
from mt.cli import main
from mt.comet import Comet
from mt.degenerate import Limits, counted
from mt.errors import InputError
from mt.files import write_json
from mt.lid import LanguageId
from mt.progress import Progress, progress
from mt.prompt import Languages
from mt.quality import Statistics, bleu_statistics, chrf_statistics, mean_statistics, segment_chrf
from mt.segments import Segment, read_segments

DECIMALS = 6
LIBRARIES = ("tokenizers", "torch", "transformers", "unbabel-comet")
BLOCK_BATCHES = 4
"""Batches that COMET scores at once: what a run that is cut off loses of them at the most."""


@dataclass(frozen=True)
class Paths:
    """Flags."""

    test: Path
    baseline: Path
    bt: Path
    ft: Path
    ft_bt: Path
    comet: Path
    lid: Path
    out: Path

    @property
    def hyps(self) -> dict[str, Path]:
        """System → its hypotheses."""
        return {"baseline": self.baseline, "bt": self.bt, "ft": self.ft, "ft_bt": self.ft_bt}


@dataclass(frozen=True)
class Evaluate:
    """sacreBLEU's tokenizer for BLEU; resamples and level of the intervals; triples a batch for COMET; the probability
    above which a hypothesis counts as written in the target language; and beyond what one counts as degenerate.
    """

    bleu_tokenizer: str
    bootstrap_samples: int
    confidence: float
    seed: int
    batch_size: int
    min_tgt_language: float
    degenerate: Limits

    def __post_init__(self) -> None:
        from sacrebleu.metrics import BLEU

        if self.bleu_tokenizer not in BLEU.TOKENIZERS:
            known = ", ".join(sorted(BLEU.TOKENIZERS))
            raise ValueError(f"bleu_tokenizer: {self.bleu_tokenizer!r} is none of sacreBLEU's; write one of {known}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence: must lie between 0 and 1, such as 0.95, not {self.confidence}")
        if not 0 <= self.min_tgt_language < 1:
            raise ValueError(f"min_tgt_language: must lie in [0, 1), such as 0.5, not {self.min_tgt_language}")
        if self.seed < 0:
            raise ValueError(f"seed: must be 0 or more, not {self.seed}")
        for key in ("bootstrap_samples", "batch_size"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}: must be at least 1, not {getattr(self, key)}")


@dataclass(frozen=True)
class Params:
    """What the stage reads."""

    languages: Languages
    evaluate: Evaluate


def read_hyps(path: Path, test: Sequence[Segment]) -> list[Segment]:
    """Read one system's hypotheses, which must be those of the test set's segments, in order, by one model.

    Raises:
        InputError: they are not; names the line.
    """
    rows = read_segments(path, ("src", "tgt", "model"))
    if len(rows) != len(test):
        raise InputError(f"{path}: {len(rows)} hypotheses for {len(test)} segments; translate the test set again")
    for number, (row, segment) in enumerate(zip(rows, test, strict=True), start=1):
        for key in ("id", "src", "tgt"):
            if row[key] != segment[key]:
                raise InputError(
                    f"{path}:{number}: {key!r} is {row[key]!r:.100}, the test set has {segment[key]!r:.100}; "
                    "translate the test set again"
                )
        if "hyp" not in row:
            raise InputError(f"{path}:{number}: 'hyp' is missing; give it text, which may be empty")
        if not isinstance(row.get("cut"), bool):
            raise InputError(f"{path}:{number}: 'cut' must be true or false; translate the test set again")
        if row["model"] != rows[0]["model"]:
            raise InputError(
                f"{path}:{number}: 'model' differs from line 1; translate the whole test set with one model"
            )
    return rows


def comet_scores(
    comet: Comet, systems: Mapping[str, Sequence[Segment]], batch_size: int, done: Progress
) -> dict[str, list[float]]:
    """Score all systems in one go, those of a segment together, so that a text of several is read once.

    `done` keeps what is finished.
    """
    triples = {name: [(row["src"], row["hyp"], row["tgt"]) for row in hyps] for name, hyps in systems.items()}
    distinct = sorted(dict.fromkeys(chain.from_iterable(triples.values())), key=lambda triple: (len(triple[0]), triple))
    scores: dict[tuple[str, str, str], float] = {}
    for start in range(0, len(distinct), batch_size * BLOCK_BATCHES):
        some = distinct[start : start + batch_size * BLOCK_BATCHES]
        srcs, hyps, refs = map(list, zip(*some, strict=True))
        found = done.part(f"comet {start}", len(some), partial(comet.score, srcs, hyps, refs, batch_size))
        scores |= dict(zip(some, found, strict=True))
    return {name: [scores[triple] for triple in asked] for name, asked in triples.items()}


def compared(
    metric: str, statistics: Mapping[str, Statistics], options: Evaluate
) -> tuple[dict[str, dict[str, float]], list[dict[str, Any]]]:
    """One metric's value and interval for each system, and the test of every pair, all from the same resamples."""
    segments = len(next(iter(statistics.values())).segments)
    counts = resamples(segments, options.bootstrap_samples, options.seed)
    scores = {name: resampled_scores(one, counts) for name, one in statistics.items()}
    values = {}
    for name, one in statistics.items():
        low, high = interval(scores[name], options.confidence)
        values[name] = {"value": one.value, "low": low, "high": high}
    tests = []
    for a, b in combinations(statistics, 2):
        difference = values[a]["value"] - values[b]["value"]
        p = p_value(difference, scores[a], scores[b])
        tests.append({"a": a, "b": b, "metric": metric, "difference": difference, "p": p})
    return values, tests


def described(rows: Sequence[Segment], lid: LanguageId, target: str, options: Evaluate) -> dict[str, Any]:
    """What is said of a system besides scores: its model, its share in the target language, what is degenerate."""
    hyps = [row["hyp"] for row in rows]
    likely = [probability > options.min_tgt_language for probability in lid.probabilities(hyps, target)]
    return {
        "model": rows[0]["model"],
        target: sum(likely) / len(likely),
        **counted(rows, target, options.degenerate, lid),
    }


def rounded(content: Any) -> Any:
    """The same JSON with every float rounded."""
    if isinstance(content, float):
        return round(content, DECIMALS)
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [rounded(value) for value in content]
    return content


def report(
    test: Sequence[Segment],
    hyps: Mapping[str, Sequence[Segment]],
    comet: tuple[str, Mapping[str, Statistics]],
    lid: LanguageId,
    params: Params,
) -> dict[str, Any]:
    """Scores, intervals and tests of all systems on one test set; `comet` is that metric's key with its statistics."""
    options, target = params.evaluate, params.languages.tgt
    key, by_comet = comet
    texts = {name: [row["hyp"] for row in rows] for name, rows in hyps.items()}
    refs = [segment["tgt"] for segment in test]
    statistics = {
        "bleu": {name: bleu_statistics(text, refs, options.bleu_tokenizer) for name, text in texts.items()},
        "chrf": {name: chrf_statistics(text, refs) for name, text in texts.items()},
        key: by_comet,
    }
    systems = {name: described(rows, lid, target, options) for name, rows in hyps.items()}
    paired: list[dict[str, Any]] = []
    for metric, by_system in statistics.items():
        values, tests = compared(metric, by_system, options)
        paired += tests
        for name, value in values.items():
            systems[name][metric] = value
    return {
        "segments": len(test),
        "bootstrap": {"samples": options.bootstrap_samples, "confidence": options.confidence, "seed": options.seed},
        "signatures": {metric: by_system["baseline"].signature for metric, by_system in statistics.items()},
        "systems": systems,
        "paired": paired,
        "segment_scores": {
            name: {
                "chrf": segment_chrf(text, refs),
                key: [by_comet[name].score(row) for row in by_comet[name].segments],
            }
            for name, text in texts.items()
        },
    }


def run(paths: Paths, params: Params) -> None:
    """Score, test and write."""
    test = read_segments(paths.test, ("src", "tgt"))
    hyps = {name: read_hyps(path, test) for name, path in paths.hyps.items()}
    comet = Comet(paths.comet)
    inputs = {"test": paths.test, **paths.hyps, "comet": paths.comet}
    with progress(ingredients(params, inputs, __file__, LIBRARIES)) as done:
        scores = comet_scores(comet, hyps, params.evaluate.batch_size, done)
        by_comet = {name: mean_statistics(some, comet.signature) for name, some in scores.items()}
        found = report(test, hyps, (comet.key, by_comet), LanguageId(paths.lid), params)
        write_json(paths.out, rounded({"testset": paths.test.stem, **found}))


if __name__ == "__main__":
    main(run, Paths, Params)
