"""Put together what one system is trained on: genuine pairs, synthetic pairs, or both.

In:
    --genuine     {"id", "src", "tgt"} a line
    --synthetic   filtered synthetic segments with "scores" {feature: number}; data/none for a system without them
Out:
    --out         {"id", "src", "tgt", "origin": "genuine" or "synthetic"} a line, both origins mixed

`ratio` times the number of genuine pairs, rounded half up, says how many synthetic pairs are taken, whether or not the
system trains on the genuine ones as well; so systems that differ only in that share their synthetic pairs. They are
those with the highest `similarity` or `logprob`, or a `random` choice; a larger ratio takes the same ones and more.
Chance, ties and the order of the file come from a hash of the seed and the id.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mt.cli import main
from mt.errors import InputError
from mt.files import given
from mt.segments import Segment, read_segments, write_segments
from mt.systems import System

MAX_RATIO = 1e6


@dataclass(frozen=True)
class Paths:
    genuine: Path
    synthetic: Path
    out: Path


@dataclass(frozen=True)
class Trained(System):
    """A system that has a training set."""

    def __post_init__(self) -> None:
        if not self.trained:
            raise ValueError("genuine and synthetic are both false; write true for what the system is to be trained on")


@dataclass(frozen=True)
class Merge:
    """How many synthetic pairs, and which.

    `tag` goes before the source of each synthetic pair: Caswell, Chelba and Grangier (2019), *Tagged
    Back-Translation*; null for none.
    """

    ratio: float
    choose: Literal["similarity", "logprob", "random"]
    seed: int
    tag: str | None

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= MAX_RATIO:
            raise ValueError(f"ratio is {self.ratio}; write a number above 0 and at most {MAX_RATIO:g}, such as 1.0")
        if self.tag is not None and (self.tag != " ".join(self.tag.split()) or not self.tag):
            raise ValueError(f"tag is {self.tag!r}; write a word without white space around it, such as <BT>, or null")


@dataclass(frozen=True)
class Params:
    system: Trained
    merge: Merge


def wanted(genuine: int, ratio: float) -> int:
    """The number of synthetic pairs to that many genuine ones, rounded half up."""
    return math.floor(ratio * genuine + 0.5)


def choose(synthetic: Sequence[Segment], count: int, params: Merge) -> list[Segment]:
    """The best `count` segments by the chosen feature, or that many at random."""

    def rank(segment: Segment) -> tuple[float, str]:
        value = 0.0 if params.choose == "random" else -segment["scores"][params.choose]
        return value, draw(params.seed, "choose", segment["id"])

    return sorted(synthetic, key=rank)[:count]


def mix(genuine: Sequence[Segment], synthetic: Sequence[Segment], params: Merge) -> list[Segment]:
    """Rows of the training file, tagged, in an order that depends on the seed and the ids alone."""
    before = "" if params.tag is None else f"{params.tag} "
    rows = [{"id": s["id"], "src": s["src"], "tgt": s["tgt"], "origin": "genuine"} for s in genuine]
    rows += [{"id": s["id"], "src": before + s["src"], "tgt": s["tgt"], "origin": "synthetic"} for s in synthetic]
    return sorted(rows, key=lambda row: draw(params.seed, "order", row["id"]))


def draw(seed: int, purpose: str, name: str) -> str:
    """A hash to sort by, apart for each purpose: else a random choice would come first in the file."""
    return hashlib.sha256(f"{seed}:{purpose}:{name}".encode()).hexdigest()


def read_synthetic(path: Path, params: Merge) -> list[Segment]:
    """Read the filtered segments.

    Raises:
        InputError: the stage got none, or a segment lacks the score to choose by.
    """
    if given(path) is None:
        raise InputError(f"{path}: this system has no synthetic pairs in dvc.yaml; write synthetic: false for it")
    segments = read_segments(path, ("src", "tgt"))
    for line, segment in enumerate(segments, start=1):
        scores = segment.get("scores")
        value = scores.get(params.choose) if isinstance(scores, dict) else None
        if params.choose != "random" and not isinstance(value, int | float):
            raise InputError(
                f"{path}:{line}: no score {params.choose!r}; run `dvc repro filter` to make the file again"
            )
    return segments


def run(paths: Paths, params: Params) -> None:
    """Write the training file of one system."""
    genuine = read_segments(paths.genuine, ("src", "tgt"))
    synthetic: list[Segment] = []
    if params.system.synthetic:
        synthetic = read_synthetic(paths.synthetic, params.merge)
        ratio = params.merge.ratio
        count = wanted(len(genuine), ratio)
        if not 1 <= count <= len(synthetic):
            raise InputError(
                f"{paths.synthetic}: holds {len(synthetic)} synthetic pairs, but merge.ratio {ratio:g} for "
                f"{len(genuine)} genuine pairs wants {count}; change the ratio, loosen the filter or backtranslate more"
            )
        if shared := {s["id"] for s in genuine} & {s["id"] for s in synthetic}:
            raise InputError(f"{paths.synthetic}: the id {min(shared)!r} stands in {paths.genuine} too; rename one")
        synthetic = choose(synthetic, count, params.merge)
    write_segments(paths.out, mix(genuine if params.system.genuine else [], synthetic, params.merge))


if __name__ == "__main__":
    main(run, Paths, Params)
