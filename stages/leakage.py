"""Prove that nothing that a model, a checkpoint or a prompt learns from is a near duplicate of a test segment.

In:
    --tests     the folder of the test sets, <name>.jsonl {"id", "src", "tgt"}
    --train     {"id", "src", "tgt"}: the reverse model's training, the examples of prompts, the vocabulary
    --dev       {"id", "src", "tgt"}: chooses the epoch
    --mono      {"id", "tgt"}: what is backtranslated, and the vocabulary
    --comet     {"id", "src", "tgt"}: trains the COMET checkpoint
    --pool      {"id", "src", "tgt"}: the vocabulary; may be empty
    --systems   the folder of what the systems are trained on, <system>.jsonl {"id", "src", "tgt"}
Out:
    --metrics   file → "segments"; "leaks", those of them that are near to a test segment, and their "share";
                "testsets" {name: {"leaks", "share", "side" {"src", "tgt", "both"}, "kind" {"same", "near",
                "contained"}: segments, each counted once}}
    --found     the first leaks of each file and kind: {"file", "id", "side", "text", "testset", "test_id", "test_side",
                "test_text", "kind", "jaccard", "contained"}

Each side is held to both sides of every test set. What is near is what preparation takes for near (mt.near.Index); no
file is read into memory. Both outs are written before a share above its bound ends the stage, so that they can be read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mt.cli import main
from mt.errors import InputError
from mt.files import together, write_json
from mt.leaks import Audit, Detector
from mt.near import Nearness
from mt.params import check_testsets
from mt.segments import read_segments, stream_segments, write_segments
from mt.splits import SIDES


@dataclass(frozen=True)
class Paths:
    tests: Path
    train: Path
    dev: Path
    mono: Path
    comet: Path
    pool: Path
    systems: Path
    metrics: Path
    found: Path


@dataclass(frozen=True)
class Leakage:
    """The largest share of a file's segments that may leak, and how many leaks of each kind are shown."""

    max_share: float
    sample: int

    def __post_init__(self) -> None:
        if not 0 <= self.max_share <= 1:
            raise ValueError(f"max_share is {self.max_share:g}; write a share from 0 to 1")
        if self.sample < 1:
            raise ValueError(f"sample is {self.sample}; write 1 or more, as a leak that nobody can read mends nothing")


@dataclass(frozen=True)
class Params(Nearness):
    testsets: tuple[str, ...]
    leakage: Leakage

    def __post_init__(self) -> None:
        check_testsets(self.testsets)


def learnt_from(paths: Paths) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every file that is learnt from, and the sides that it must have.

    Raises:
        InputError: no system has a training file.
    """
    yield from ((paths.train, SIDES), (paths.dev, SIDES), (paths.mono, ("tgt",)))
    yield from ((paths.comet, SIDES), (paths.pool, SIDES))
    systems = sorted(paths.systems.glob("*.jsonl"))
    if not systems:
        raise InputError(f"{paths.systems}: holds no training file; run `dvc repro merge` to make them")
    yield from ((file, SIDES) for file in systems)


def audits(paths: Paths, params: Params) -> dict[Path, Audit]:
    """Hold every file that is learnt from to the test sets."""
    testsets = {name: read_segments(paths.tests / f"{name}.jsonl", SIDES) for name in params.testsets}
    detector = Detector(testsets, params)
    done = {}
    for file, sides in learnt_from(paths):
        done[file] = Audit(detector, testsets, params.leakage.sample)
        for segment in tqdm(stream_segments(file, sides), f"search {file} for leaks", unit="segment", disable=None):
            done[file].add(segment)
    return done


def refuse(done: Mapping[Path, Audit], max_share: float, found: Path) -> None:
    """Hold every file to the bound.

    Raises:
        InputError: a share is above it; names the file with the largest, and where to look.
    """
    share, file = max((audit.share, str(file)) for file, audit in done.items())
    if share > max_share:
        raise InputError(
            f"{file}: {100 * share:.3g} % of the segments are near to a test segment, more than leakage.max_share "
            f"{max_share:g} allows; {found} shows which: take them out of what the file is made from, or raise "
            "the bound"
        )


def run(paths: Paths, params: Params) -> None:
    """Write what was found, and end with an error if it is more than is allowed."""
    done = audits(paths, params)
    with together(paths.metrics, paths.found):
        write_json(paths.metrics, {str(file): audit.report() for file, audit in done.items()})
        rows = ({"file": str(file), **row} for file, audit in done.items() for row in audit.found)
        write_segments(paths.found, rows, allow_empty=True)
    refuse(done, params.leakage.max_share, paths.found)


if __name__ == "__main__":
    main(run, Paths, Params)
