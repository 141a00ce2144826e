"""Splits of corpora whose segments name documents, or do not."""

import hashlib
import random
from collections import Counter
from itertools import chain, pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mt.clean import clean
from mt.errors import InputError
from mt.near import Index
from mt.partition import Corpora, Prepare, split
from mt.prompt import Languages
from mt.segments import Segment
from mt.splits import SIDES, unique
from mt.tally import Tally

LANGUAGES = Languages("en", "ja")
KANA = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん"
TESTS = ("one", "own", "two")


def prepare(seed: int, train: int, dev: int, test: int, mono: int, comet: int) -> Prepare:
    return Prepare(
        seed=seed, train=train, dev=dev, test=test, mono=mono, comet=comet,
        min_chars=4, max_chars=200, max_words=60, min_length_ratio=0.1, max_length_ratio=2.0,
        ngram=3, near_duplicate=0.4, contained=0.7, contained_ngrams=8, rejected_sample=0,
    )  # fmt: skip


def texts(number: int, chance: random.Random) -> list[Segment]:
    """Pairs of which one in eight has a text of the pair before it, and none else is alike."""
    made: list[Segment] = []
    for i in range(number):
        src = " ".join("".join(chance.choices("abcdefghijklmnoprstuvwyz", k=6)) for _ in range(4))
        tgt = "".join(chance.choices(KANA, k=14))
        if made and chance.random() < 1 / 8:
            src = made[-1]["src"].upper()
        made.append({"id": f"t:{i}", "src": src, "tgt": tgt})
    return made


@st.composite
def corpora(draw: st.DrawFn, documents: bool) -> Corpora:
    """Corpora of up to 80 pairs, with a test set from a file, and monolingual text of their own or none."""
    chance = random.Random(draw(st.integers(0, 10**6)))
    made = texts(draw(st.integers(20, 80)), chance)
    if documents:
        number = draw(st.integers(1, 40))
        for segment in made:
            if chance.random() < draw(st.sampled_from([0.5, 1.0])):
                segment["doc"] = f"d{chance.randrange(number)}"
    chance.shuffle(made)
    cut = draw(st.integers(0, len(made) // 3)) if draw(st.booleans()) else None
    mono = None if cut is None else [{k: v for k, v in s.items() if k != "src"} for s in made[:cut]]
    own = texts(3, random.Random(-1))
    return Corpora(made[cut:], mono, {"own": [{**s, "id": f"own:{i}"} for i, s in enumerate(own)]})


SIZES = st.builds(prepare, st.integers(0, 3), *[st.integers(1, 8)] * 5)


def split_or_assume(whole: Corpora, sizes: Prepare) -> tuple[dict[str, list[Segment]], dict[str, Tally]]:
    try:
        return split(whole, LANGUAGES, TESTS, sizes)
    except InputError:
        assume(False)
        raise


@settings(deadline=None)
@given(corpora(documents=True), SIZES)
def test_no_document_is_in_two_splits_and_sizes_are_met(whole: Corpora, sizes: Prepare) -> None:
    splits, tallies = split_or_assume(whole, sizes)
    for name, size in {"tests/one": "test", "tests/two": "test", **dict.fromkeys(["dev", "comet"], "")}.items():
        assert len(splits[name]) == getattr(sizes, size or name)
    assert (len(splits["train"]), len(splits["mono"])) == (sizes.train, sizes.mono)
    homes = Counter(chain.from_iterable({s["doc"] for s in segments if "doc" in s} for segments in splits.values()))
    assert all(count == 1 for count in homes.values())
    ids = [s["id"] for name, segments in splits.items() if name != "tests/own" for s in segments]
    assert len(set(ids)) == len(ids) == sum(tally.kept for tally in tallies.values())
    read = sum(tally.kept + sum(tally.dropped.values()) for tally in tallies.values())
    assert read == len(whole.parallel) + len(whole.mono or [])


@settings(deadline=None)
@given(corpora(documents=True), SIZES)
def test_documents_are_drawn_one_after_another_in_their_own_order(whole: Corpora, sizes: Prepare) -> None:
    splits, _ = split_or_assume(whole, sizes)
    place = {s["id"]: i for i, s in enumerate([*whole.parallel, *(whole.mono or [])])}
    for name in ("tests/one", "tests/two", "dev", "comet", "train", "mono"):
        documents = [s.get("doc", s["id"]) for s in splits[name]]
        assert len(set(documents)) == 1 + sum(a != b for a, b in pairwise(documents))
        for document in set(documents):
            places = [place[s["id"]] for s in splits[name] if s.get("doc", s["id"]) == document]
            assert places == sorted(places)


def plainly(whole: Corpora, sizes: Prepare) -> dict[str, list[str]]:
    """The ids of the splits of segments that name no document, as they have always been: no helper of the splits."""

    def order(segments: list[Segment], name: str) -> list[Segment]:
        return sorted(segments, key=lambda s: hashlib.sha256(f"{sizes.seed}:{name}:{s['id']}".encode()).hexdigest())

    def near(segment: Segment) -> bool:
        return any(index.find(segment[side]) is not None for side in SIDES if side in segment)

    def take(segments: list[Segment], number: int, name: str) -> list[Segment]:
        splits[name] = []
        rest = list(segments)
        while len(splits[name]) < number:
            if not near(segment := rest.pop(0)):
                splits[name].append(segment["id"])
                for side in SIDES:
                    if side in segment:
                        index.add(segment["id"], segment[side])
        return rest

    index = Index(sizes.ngram, sizes.near_duplicate, sizes.contained, sizes.contained_ngrams)
    splits: dict[str, list[str]] = {"tests/own": [s["id"] for s in whole.tests["own"]]}
    for segment in whole.tests["own"]:
        for side in SIDES:
            index.add(segment["id"], segment[side])
    pairs = unique(clean(order(whole.parallel, "corpus"), LANGUAGES, sizes, Tally(0)), Tally(0))
    lines = unique(clean(order(whole.mono or [], "corpus"), LANGUAGES, sizes, Tally(0)), Tally(0))
    for name in ("one", "two"):
        pairs = take(order(pairs, f"tests/{name}"), sizes.test, f"tests/{name}")
    pairs = [pair for pair in pairs if not near(pair)]
    lines = [line for line in lines if not near(line)]
    pairs = take(order(pairs, "dev"), sizes.dev, "dev")
    pairs = take(order(pairs, "comet"), sizes.comet, "comet")
    pairs = take(list(reversed(order(pairs, "corpus"))), sizes.train, "train")
    if whole.mono is None:
        pairs = take(list(reversed(pairs)), sizes.mono, "mono")
    else:
        take(lines, sizes.mono, "mono")
    splits["pool"] = [s["id"] for s in order(pairs, "corpus")]
    return splits


@settings(deadline=None)
@given(corpora(documents=False), SIZES)
def test_without_documents_the_splits_are_as_they_have_always_been(whole: Corpora, sizes: Prepare) -> None:
    splits, tallies = split_or_assume(whole, sizes)
    assert {name: [s["id"] for s in segments] for name, segments in splits.items()} == plainly(whole, sizes)
    assert all("same_document" not in tally.dropped for tally in tallies.values())


def test_monolingual_text_of_a_drawn_document_is_dropped() -> None:
    made = [{**s, "doc": f"d{i // 10}"} for i, s in enumerate(texts(80, random.Random(5)))]
    mono = [{"id": f"m:{i}", "tgt": s["tgt"][::-1], "doc": s["doc"]} for i, s in enumerate(made)]
    splits, tallies = split(Corpora(made, mono, {}), LANGUAGES, ("one",), prepare(1, 10, 10, 10, 15, 10))
    elsewhere = {s["doc"] for name, segments in splits.items() if name != "mono" for s in segments}
    assert not {s["doc"] for s in splits["mono"]} & elsewhere
    assert tallies["mono"].dropped["same_document"] >= 4
