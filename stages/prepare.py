"""Normalise, clean and deduplicate the corpora, split them, and keep the test sets out of everything else.

In, the folder --raw (fetch_corpora.py):
    parallel.jsonl {"id", "src", "tgt"}; mono.jsonl {"id", "tgt"} and tests/<name>.jsonl, where these have a source
    other than the parallel corpus
Out:
    --train, --dev, --comet, --pool, --tests/<name>.jsonl   {"id", "src", "tgt"}, and "doc" where it was read
    --mono         {"id", "tgt"}, and "doc" where it was read
    --mono-refs    {"id", "src"}: the source side of mono that is set aside, for those ids where it is known
    --counts       "parallel", and "mono" where it has its own source: "read", "kept", "dropped" {reason: count, zeros
                   too, same_document where it occurs}, "reasons" (their order), "rejected" (samples; "near" is the id
                   of what a segment is too like); "splits" {name: its mt.lengths}

mt.partition says how they are drawn and what is dropped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mt.clean import OVERLONG, normalised, overlong
from mt.cli import main
from mt.errors import InputError
from mt.files import replacing, together, write_json
from mt.lengths import lengths
from mt.params import check_testsets
from mt.partition import OF_DOCUMENTS, REASONS, Corpora, Prepare, split
from mt.prompt import Languages
from mt.segments import Segment, read_segments, write_segments
from mt.splits import SIDES
from mt.tally import Tally


@dataclass(frozen=True)
class Paths:
    raw: Path
    train: Path
    dev: Path
    tests: Path
    mono: Path
    mono_refs: Path
    comet: Path
    pool: Path
    counts: Path

    @property
    def outs(self) -> tuple[Path, ...]:
        """All that is written."""
        splits = (self.train, self.dev, self.tests, self.mono, self.mono_refs, self.comet, self.pool)
        return (*splits, self.counts)


@dataclass(frozen=True)
class Params:
    languages: Languages
    testsets: tuple[str, ...]
    prepare: Prepare

    def __post_init__(self) -> None:
        check_testsets(self.testsets)


def read(raw: Path, params: Params) -> Corpora:
    """Read what fetch_corpora.py wrote, the test sets in normal form.

    Raises:
        InputError: a test segment is none that can be scored, see `test_segment`.
    """
    mono = raw / "mono.jsonl"
    files = {name: raw / "tests" / f"{name}.jsonl" for name in params.testsets}
    tests = {}
    for name, file in files.items():
        if file.exists():
            tests[name] = [
                test_segment(segment, f"{file}:{line}", params)
                for line, segment in enumerate(read_segments(file, SIDES), start=1)
            ]
    return Corpora(
        parallel=read_segments(raw / "parallel.jsonl", SIDES),
        mono=read_segments(mono, ("tgt",)) if mono.exists() else None,
        tests=tests,
    )


def test_segment(segment: Segment, place: str, params: Params) -> Segment:
    """A test segment in normal form; nothing else is done to it.

    Raises:
        InputError: a side is too long to be brought into that form, or nothing is left of it.
    """
    limit = params.prepare.max_chars
    if long := overlong(segment, limit):
        raise InputError(
            f"{place}: {long[0]!r} has {len(segment[long[0]]):,} characters, more than {OVERLONG} times "
            f"prepare.max_chars, {limit}; split the segment in its source, or raise that limit"
        )
    normal = normalised(segment, params.languages)
    if empty := [side for side in SIDES if not normal[side]]:
        raise InputError(f"{place}: {empty[0]!r} shows nothing; correct it in its source")
    return normal


def waterfall(tally: Tally) -> dict[str, Any]:
    """A tally with every reason, in order; that of documents where it occurs, since few corpora name them."""
    report = tally.report()
    counts = {reason: report["dropped"].get(reason, 0) for reason in REASONS}
    dropped = {reason: count for reason, count in counts.items() if count or reason != OF_DOCUMENTS}
    return {**report, "dropped": dropped, "reasons": list(dropped)}


def run(paths: Paths, params: Params) -> None:
    """Write the splits, and what became of every segment."""
    corpora = read(paths.raw, params)
    splits, tallies = split(corpora, params.languages, params.testsets, params.prepare)
    own = ["parallel"] if corpora.mono is None else ["parallel", "mono"]
    counts = {name: waterfall(tallies[name]) for name in own}
    counts["splits"] = {name: lengths(segments) for name, segments in splits.items()}
    with together(*paths.outs):
        with replacing(paths.tests) as folder:
            for name in params.testsets:
                write_segments(folder / f"{name}.jsonl", splits[f"tests/{name}"])
        for name in ("train", "dev", "comet"):
            write_segments(getattr(paths, name), splits[name])
        write_segments(paths.mono, ({k: v for k, v in s.items() if k != "src"} for s in splits["mono"]))
        refs = [{"id": s["id"], "src": s["src"]} for s in splits["mono"] if "src" in s]
        write_segments(paths.mono_refs, refs, allow_empty=True)
        write_segments(paths.pool, splits["pool"], allow_empty=True)
        write_json(paths.counts, counts)


if __name__ == "__main__":
    main(run, Paths, Params)
