"""Keep the synthetic pairs that are near to no test segment and whose scores pass every threshold.

In:
    --scored   synthetic segments with "scores" {feature: number} and "oracle" {"chrf", "similarity"} or {} (score.py)
    --tests    the folder of the test sets, <name>.jsonl {"id", "src", "tgt"}
Out:
    --out      those that pass, as they were and in their order
    --counts   "read", "kept", "dropped" {reason: count, zeros too}; "reasons", their order; "alone" {reason: how many
               it would drop by itself}; "rejected", the first `rejected_sample` segments of each reason
               with the "value" and the "threshold", or with the id of what they are "near" to; "oracle" {"kept" and
               "dropped", by a threshold: {"segments", "chrf", "similarity"}}: how many have a known true source, and
               their means, null where there is none

The first reason is `near_test`, since a model may translate a common sentence into just what stands in a test set. The
others are the thresholds' names. They are tried in the order in which `Filter` lists them, from what is plainly broken
to what is a matter of degree, and a segment is dropped by the first that it fails: `min_` is failed below the value,
`max_` above it. A threshold at the end of its feature's range drops nothing. The oracle decides nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mt.cli import main
from mt.errors import InputError
from mt.files import together, write_json
from mt.near import Index, Nearness
from mt.params import check_testsets
from mt.segments import Segment, read_segments, write_segments
from mt.splits import SIDES, add, apart
from mt.tally import Tally
from mt.values import MAX_NUMBER, is_number

RANGES = {"src_chars": (1, math.inf), "length_ratio": (0, math.inf), "similarity": (-1, 1), "logprob": (-math.inf, 0)}
SHARE = (0, 1)
NEAR_TEST = "near_test"
ORACLE = ("chrf", "similarity")


@dataclass(frozen=True)
class Paths:
    scored: Path
    tests: Path
    out: Path
    counts: Path


@dataclass(frozen=True)
class Filter:
    """The thresholds over the features of mt/features.py, in the order in which they are tried."""

    min_src_chars: int
    max_echo: float
    max_copy: float
    min_src_script: float
    min_tgt_script: float
    min_src_language: float
    min_tgt_language: float
    max_repetition: float
    min_length_ratio: float
    max_length_ratio: float
    min_similarity: float
    min_logprob: float
    rejected_sample: int

    def __post_init__(self) -> None:
        for reason, value in self.thresholds().items():
            low, high = RANGES.get(feature(reason), SHARE)
            if not low <= value <= high:
                raise ValueError(f"{reason} is {value:g}; write a number from {low:g} to {high:g}")
        if self.max_length_ratio <= self.min_length_ratio:
            raise ValueError(f"max_length_ratio is {self.max_length_ratio:g}; write more than min_length_ratio")
        if self.rejected_sample < 0:
            raise ValueError(f"rejected_sample is {self.rejected_sample}; write a whole number from 0")

    def thresholds(self) -> dict[str, float]:
        """Reason → value, in the order in which they are tried."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name.startswith(("min_", "max_"))}


@dataclass(frozen=True)
class Params(Nearness):
    testsets: tuple[str, ...]
    filter: Filter

    def __post_init__(self) -> None:
        check_testsets(self.testsets)


def failed(scores: Mapping[str, float], thresholds: Mapping[str, float]) -> list[str]:
    """The reasons against a segment, in the order of the thresholds."""
    return [
        reason
        for reason, threshold in thresholds.items()
        if (scores[feature(reason)] < threshold if reason.startswith("min_") else scores[feature(reason)] > threshold)
    ]


def feature(reason: str) -> str:
    """The feature that a threshold is about: `min_src_chars` → `src_chars`."""
    return reason.partition("_")[2]


def check(segments: Sequence[Segment], thresholds: Mapping[str, float], file: Path) -> None:
    """Hold every segment to having each feature as a number, and an oracle that is whole or empty.

    Raises:
        InputError: one is missing or no such number; names the file and the line.
    """
    for line, segment in enumerate(segments, start=1):
        if "src" not in segment:
            raise InputError(f"{file}:{line}: 'src' is missing; run `dvc repro score`")
        names = {"scores": list(map(feature, thresholds)), "oracle": ORACLE if segment.get("oracle") != {} else ()}
        for key, wanted in names.items():
            found = segment.get(key)
            for name in wanted:
                value = found.get(name) if isinstance(found, dict) else None
                if not is_number(value):
                    raise InputError(
                        f"{file}:{line}: {key} lacks a number of at most {MAX_NUMBER:g} for {name!r}; "
                        "run `dvc repro score`"
                    )


def select(segments: Sequence[Segment], tests: Index, params: Filter) -> tuple[list[Segment], dict[str, Any]]:
    """The segments that pass, and the counts (see the top of this file); `tests` holds all test segments."""
    thresholds = params.thresholds()
    tally = Tally(params.rejected_sample)
    alone = {NEAR_TEST: 0, **dict.fromkeys(thresholds, 0)}
    kept: list[Segment] = []
    dropped: list[Segment] = []
    for segment in segments:
        reasons = failed(segment["scores"], thresholds)
        for reason in reasons:
            alone[reason] += 1
        shown = {"id": segment["id"], "src": segment["src"], "tgt": segment["tgt"]}
        if not apart([shown], tests, NEAR_TEST, tally):
            alone[NEAR_TEST] += 1
        elif reasons:
            value = segment["scores"][feature(reasons[0])]
            tally.drop(reasons[0], {**shown, "value": value, "threshold": thresholds[reasons[0]]})
            dropped.append(segment)
        else:
            tally.keep()
            kept.append(segment)
    counts = tally.report()
    counts["dropped"] = {reason: tally.dropped.get(reason, 0) for reason in alone}
    counts |= {
        "reasons": list(alone),
        "alone": alone,
        "oracle": {"kept": oracle(kept), "dropped": oracle(dropped)},
    }
    return kept, counts


def oracle(segments: Sequence[Segment]) -> dict[str, float | None]:
    """How many segments have a known true source, and their mean chrF and similarity to it."""
    known = [segment["oracle"] for segment in segments if segment["oracle"]]
    means = {name: sum(found[name] for found in known) / len(known) if known else None for name in ORACLE}
    return {"segments": len(known), **means}


def run(paths: Paths, params: Params) -> None:
    """Filter the scored segments."""
    segments = read_segments(paths.scored, ("tgt",))
    check(segments, params.filter.thresholds(), paths.scored)
    tests = params.index()
    for name in params.testsets:
        for segment in read_segments(paths.tests / f"{name}.jsonl", SIDES):
            add(segment, tests)
    kept, counts = select(segments, tests, params.filter)
    if not kept:
        worst = max(counts["reasons"], key=counts["dropped"].__getitem__)
        raise InputError(
            f"{paths.scored}: no segment of {counts['read']} passes, {counts['dropped'][worst]} are dropped as "
            f"{worst}; loosen the section filter of the parameter file, or give other monolingual text"
        )
    with together(paths.out, paths.counts):
        write_segments(paths.out, kept)
        write_json(paths.counts, counts)


if __name__ == "__main__":
    main(run, Paths, Params)
