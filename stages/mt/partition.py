"""The corpora cleaned and cut into splits, of which none knows a text or a document of another.

The test sets come first, then dev and comet, each drawn in a hash order of its own; of what is left, in one more hash
order, train is drawn from the end and mono from the beginning; pool is the rest. So no size changes what was drawn
before it, a larger split holds the smaller one, train and mono stay clear of each other, and where the corpus is much
larger than the splits a new size changes a handful of segments in those after it.

Where segments name their documents, documents are drawn whole, one after another; what a split does not need of its
last one is dropped, so that each document is in one split at most.

Dropped, in this order: a segment's own faults (mt.clean: empty, chars, length_ratio, words); the texts of another
segment (same_pair, or on one side same_src, same_tgt); a side near to a test segment (near_test); a side near to what
was drawn before (near_duplicate); what is left of a document (same_document) and of a mono corpus (not_needed). No text
so stands twice in what is drawn. Test sets from files are normalised and nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from tqdm import tqdm

from mt.clean import FAULTS, Limits, clean
from mt.near import Index
from mt.prompt import Languages
from mt.segments import Segment
from mt.splits import add, apart, backwards, draw, elsewhere, ordered, unique
from mt.tally import Tally

OF_DOCUMENTS = "same_document"
REASONS = (*FAULTS, "same_pair", "same_src", "same_tgt", "near_test", "near_duplicate", OF_DOCUMENTS, "not_needed")


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
class Corpora:
    """What is read; `mono` is None where it comes out of the parallel corpus, and so are tests that are not here."""

    parallel: list[Segment]
    mono: list[Segment] | None
    tests: dict[str, list[Segment]]


def split(
    corpora: Corpora, languages: Languages, testsets: Iterable[str], sizes: Prepare
) -> tuple[dict[str, list[Segment]], dict[str, Tally]]:
    """Clean the corpora and split them as this file's docstring says.

    Args:
        corpora: what is split.
        languages: of src and tgt.
        testsets: the names of all test sets; those that `corpora.tests` lacks are cut out of the parallel corpus.
        sizes: of the splits, with the limits of a segment and of nearness.

    Returns:
        The splits by name, tests as `tests/<name>`; and what became of the corpora `parallel` and `mono`.
    """
    seed = sizes.seed
    tallies = {"parallel": Tally(sizes.rejected_sample), "mono": Tally(sizes.rejected_sample)}
    pairs = sound(corpora.parallel, languages, sizes, tallies["parallel"])
    lines = sound(corpora.mono or [], languages, sizes, tallies["mono"])
    taken = Index(sizes.ngram, sizes.near_duplicate, sizes.contained, sizes.contained_ngrams)

    def take(source: str, segments: list[Segment], size: str) -> tuple[list[Segment], list[Segment]]:
        drawn, rest = draw(segments, getattr(sizes, size), f"prepare.{size}", taken, tallies[source])
        for _ in drawn:
            tallies[source].keep()
        return drawn, rest

    splits = {f"tests/{name}": segments for name, segments in corpora.tests.items()}
    for segment in chain.from_iterable(corpora.tests.values()):
        add(segment, taken)
    for name in testsets:
        if name not in corpora.tests:
            splits[f"tests/{name}"], pairs = take("parallel", ordered(pairs, seed, f"tests/{name}"), "test")
    watched = tqdm(ordered(pairs, seed, "corpus"), "compare with the test sets", unit="segment", disable=None)
    pairs = apart(watched, taken, "near_test", tallies["parallel"])
    lines = apart(lines, taken, "near_test", tallies["mono"])
    for name in ("dev", "comet"):
        splits[name], pairs = take("parallel", ordered(pairs, seed, name), name)
    splits["train"], pairs = take("parallel", backwards(ordered(pairs, seed, "corpus")), "train")
    if corpora.mono is None:
        splits["mono"], pairs = take("parallel", backwards(pairs), "mono")
    else:
        lines = elsewhere(lines, chain.from_iterable(splits.values()), tallies["mono"])
        splits["mono"], unused = take("mono", lines, "mono")
        pairs = elsewhere(pairs, splits["mono"], tallies["parallel"])
        for segment in unused:
            tallies["mono"].drop("not_needed", segment)
    splits["pool"] = ordered(pairs, seed, "corpus")
    for _ in pairs:
        tallies["parallel"].keep()
    return splits, tallies


def sound(segments: list[Segment], languages: Languages, sizes: Prepare, tally: Tally) -> list[Segment]:
    """The segments without a fault, each text once, in hash order whatever order they come in."""
    in_order = tqdm(ordered(segments, sizes.seed, "corpus"), "clean", unit="segment", disable=None)
    return unique(clean(in_order, languages, sizes, tally), tally)
