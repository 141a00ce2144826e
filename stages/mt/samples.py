"""Sample translations: a few segments, chosen by hash so that no one chooses, with what every system made of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mt.errors import InputError
from mt.results import SYSTEMS, TestsetResult
from mt.segments import Segment, read_segments


@dataclass(frozen=True)
class Sample:
    """One test segment; `hyps` by system, `scores` by system and metric."""

    testset: str
    id: str
    src: str
    ref: str
    hyps: dict[str, str]
    scores: dict[str, dict[str, float]]


def spread(sizes: Sequence[int], total: int) -> list[int]:
    """Share `total` over groups as evenly as their sizes allow; what does not divide goes to the first ones."""
    shares = [0] * len(sizes)
    left = min(total, sum(sizes))
    while left:
        for i, size in enumerate(sizes):
            if left and shares[i] < size:
                shares[i] += 1
                left -= 1
    return shares


def choose(ids: Sequence[str], count: int, seed: int) -> list[int]:
    """The places of `count` of `ids`, in the order of the SHA-256 of `<seed>:<id>`."""
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"{seed}:{ids[i]}".encode()).hexdigest())
    return order[:count]


def read_samples(hyps: Path, testsets: Sequence[TestsetResult], total: int, seed: int) -> list[Sample]:
    """Choose `total` segments, spread over the test sets, and read every system's translation of them.

    Args:
        hyps: the folder of <system>/<testset>.jsonl.
        testsets: what was scored; the segment scores are in the order of those files.
        total: how many samples; fewer where the test sets hold fewer.
        seed: another one gives other samples.

    Raises:
        InputError: a file is missing, or the systems did not translate the same segments.
    """
    shares = spread([testset.segments for testset in testsets], total)
    samples = []
    for testset, share in zip(testsets, shares, strict=True):
        translations = {system: _read(hyps / system / f"{testset.name}.jsonl", testset) for system in SYSTEMS}
        segments = translations["baseline"]
        ids = [segment["id"] for segment in segments]
        for system, rows in translations.items():
            if [row["id"] for row in rows] != ids:
                path = hyps / system / f"{testset.name}.jsonl"
                raise InputError(f"{path}: not the segments that baseline translated; remove it and run `dvc repro`")
        for i in choose(ids, share, seed):
            samples.append(
                Sample(
                    testset=testset.name,
                    id=ids[i],
                    src=segments[i]["src"],
                    ref=segments[i]["tgt"],
                    hyps={system: rows[i]["hyp"] for system, rows in translations.items()},
                    scores={
                        system: {metric: values[i] for metric, values in testset.segment_scores[system].items()}
                        for system in SYSTEMS
                    },
                )
            )
    return samples


def _read(path: Path, testset: TestsetResult) -> list[Segment]:
    segments = read_segments(path, ("src", "tgt"))
    if len(segments) != testset.segments:
        raise InputError(f"{path}: {len(segments)} segments where {testset.segments} were scored; run `dvc repro`")
    for line, segment in enumerate(segments, start=1):
        if "hyp" not in segment:
            raise InputError(f"{path}:{line}: 'hyp' must be text, empty or not; run `dvc repro` to make it")
    return segments
