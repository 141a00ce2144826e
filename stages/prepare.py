"""Normalise, clean and deduplicate the corpora, split them, and keep the test sets out of everything else.

In, the folder --raw (fetch_corpora.py):
    parallel.jsonl {"id", "src", "tgt"}; mono.jsonl {"id", "tgt"} and tests/<name>.jsonl, where these have a source
    other than the parallel corpus
Out:
    --train, --dev, --comet, --pool, --tests/<name>.jsonl   {"id", "src", "tgt"}
    --mono         {"id", "tgt"}
    --mono-refs    {"id", "src"}: the source side of mono that is set aside, for those ids where it is known
    --counts       "parallel", and "mono" where it has its own source: "read", "kept", "dropped" {reason: count, zeros
                   too}, "reasons" (their order), "rejected" (samples; "near" is the id of what a segment is too like);
                   "splits" {name: its mt.lengths}

The test sets come first, then dev and comet, each drawn in a hash order of its own; of what is left, in one more hash
order, train is drawn from the end and mono from the beginning; pool is the rest. So no size changes what was drawn
before it, a larger split holds the smaller one, train and mono stay clear of each other, and where the corpus is much
larger than the splits a new size changes a handful of segments in those after it.

Dropped, in this order: a segment's own faults (mt.clean: empty, chars, length_ratio, words); the texts of another
segment (same_pair, or on one side same_src, same_tgt); a side near to a test segment (near_test); a side near to what
was drawn before (near_duplicate); and what is left of a mono corpus (not_needed). No text so stands twice in what is
drawn. Test sets from files are normalised and nothing else.
"""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mt.clean import FAULTS, Limits, clean, normalised
from mt.cli import main
from mt.errors import InputError
from mt.files import replacing, together, write_json
from mt.lengths import lengths
from mt.near import Index
from mt.prompt import Languages
from mt.segments import Segment, read_segments, write_segments
from mt.splits import SIDES, add, apart, draw, ordered, unique
from mt.tally import Tally
from mt.text import key

REASONS = (*FAULTS, "same_pair", "same_src", "same_tgt", "near_test", "near_duplicate", "not_needed")


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
class Prepare(Limits):
    """Sizes in segments, limits, and what counts as near (mt.near.Index)."""

    seed: int
    train: int
    dev: int
    test: int
    mono: int
    comet: int
    ngram: int
    near_duplicate: float
    contained: float
    contained_ngrams: int
    rejected_sample: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("train", "dev", "test", "mono", "comet", "ngram", "contained_ngrams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; write 1 or more")
        for name in ("near_duplicate", "contained"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; write a share above 0 and up to 1")
        if self.rejected_sample < 0:
            raise ValueError(f"rejected_sample is {self.rejected_sample}; write 0 or more")


@dataclass(frozen=True)
class Params:
    languages: Languages
    testsets: tuple[str, ...]
    prepare: Prepare


@dataclass(frozen=True)
class Corpora:
    """What is read; `mono` is None where it comes out of the parallel corpus, and so are tests that are not here."""

    parallel: list[Segment]
    mono: list[Segment] | None
    tests: dict[str, list[Segment]]


def read(raw: Path, params: Params) -> Corpora:
    """Read what fetch_corpora.py wrote, the test sets in normal form.

    Raises:
        InputError: a side of a test segment has no letter or digit.
    """
    mono = raw / "mono.jsonl"
    files = {name: raw / "tests" / f"{name}.jsonl" for name in params.testsets}
    tests = {}
    for name, file in files.items():
        if file.exists():
            tests[name] = [normalised(segment, params.languages) for segment in read_segments(file, SIDES)]
            for line, segment in enumerate(tests[name], start=1):
                if blank := [side for side in SIDES if not key(segment[side])]:
                    raise InputError(f"{file}:{line}: {blank[0]!r} has no letter or digit; correct it in its source")
    return Corpora(
        parallel=read_segments(raw / "parallel.jsonl", SIDES),
        mono=read_segments(mono, ("tgt",)) if mono.exists() else None,
        tests=tests,
    )


def split(corpora: Corpora, params: Params) -> tuple[dict[str, list[Segment]], dict[str, Tally]]:
    """Clean the corpora and split them as this file's docstring says.

    Returns:
        The splits by name, tests as `tests/<name>`; and what became of the corpora `parallel` and `mono`.
    """
    sizes, seed = params.prepare, params.prepare.seed
    tallies = {"parallel": Tally(sizes.rejected_sample), "mono": Tally(sizes.rejected_sample)}
    pairs = sound(corpora.parallel, params, tallies["parallel"])
    lines = sound(corpora.mono or [], params, tallies["mono"])
    taken = Index(sizes.ngram, sizes.near_duplicate, sizes.contained, sizes.contained_ngrams)

    def take(source: str, segments: list[Segment], size: str) -> tuple[list[Segment], list[Segment]]:
        drawn, rest = draw(segments, getattr(sizes, size), f"prepare.{size}", taken, tallies[source])
        for _ in drawn:
            tallies[source].keep()
        return drawn, rest

    splits = {f"tests/{name}": segments for name, segments in corpora.tests.items()}
    for segment in chain.from_iterable(corpora.tests.values()):
        add(segment, taken)
    for name in params.testsets:
        if name not in corpora.tests:
            splits[f"tests/{name}"], pairs = take("parallel", ordered(pairs, seed, f"tests/{name}"), "test")
    watched = tqdm(ordered(pairs, seed, "corpus"), "compare with the test sets", unit="segment", disable=None)
    pairs = apart(watched, taken, "near_test", tallies["parallel"])
    lines = apart(lines, taken, "near_test", tallies["mono"])
    for name in ("dev", "comet"):
        splits[name], pairs = take("parallel", ordered(pairs, seed, name), name)
    splits["train"], pairs = take("parallel", ordered(pairs, seed, "corpus")[::-1], "train")
    if corpora.mono is None:
        splits["mono"], pairs = take("parallel", pairs[::-1], "mono")
    else:
        splits["mono"], unused = take("mono", lines, "mono")
        for segment in unused:
            tallies["mono"].drop("not_needed", segment)
    splits["pool"] = ordered(pairs, seed, "corpus")
    for _ in pairs:
        tallies["parallel"].keep()
    return splits, tallies


def sound(segments: list[Segment], params: Params, tally: Tally) -> list[Segment]:
    """The segments without a fault, each text once, in hash order whatever order they come in."""
    in_order = tqdm(ordered(segments, params.prepare.seed, "corpus"), "clean", unit="segment", disable=None)
    return unique(clean(in_order, params.languages, params.prepare, tally), tally)


def waterfall(tally: Tally) -> dict[str, Any]:
    """A tally with every reason, in order."""
    report = tally.report()
    return {**report, "dropped": {reason: report["dropped"].get(reason, 0) for reason in REASONS}, "reasons": REASONS}


def run(paths: Paths, params: Params) -> None:
    """Write the splits, and what became of every segment."""
    corpora = read(paths.raw, params)
    splits, tallies = split(corpora, params)
    own = ["parallel"] if corpora.mono is None else ["parallel", "mono"]
    counts = {name: waterfall(tallies[name]) for name in own}
    counts["splits"] = {name: lengths(segments) for name, segments in splits.items()}
    with together(*paths.outs):
        with replacing(paths.tests) as folder:
            for name in params.testsets:
                write_segments(folder / f"{name}.jsonl", splits[f"tests/{name}"])
        for name in ("train", "dev", "comet"):
            write_segments(getattr(paths, name), splits[name])
        write_segments(paths.mono, ({"id": s["id"], "tgt": s["tgt"]} for s in splits["mono"]))
        refs = [{"id": s["id"], "src": s["src"]} for s in splits["mono"] if "src" in s]
        write_segments(paths.mono_refs, refs, allow_empty=True)
        write_segments(paths.pool, splits["pool"], allow_empty=True)
        write_json(paths.counts, counts)


if __name__ == "__main__":
    main(run, Paths, Params)
