"""What of a test set is found in other text: leaks of eight kinds planted in real sentences, each pair compared."""

import random
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.leaks import KINDS, Audit, Detector
from mt.near import Nearness
from mt.segments import Segment, read_segments
from mt.splits import SIDES
from mt.text import key, ngrams, words

ROOT = Path(__file__).parents[2]
KYOTO = read_segments(ROOT / "data" / "testsets" / "kyoto.jsonl", SIDES)
LANGUAGES = {"src": "en", "tgt": "ja"}
NEARNESS = Nearness(ngram=3, near_duplicate=0.4, contained=0.7, contained_ngrams=8)
"""As in the presets."""

HARMLESS = {"id": "x:1", "src": "My sister is better at chess than I am.", "tgt": "妹は私より将棋が強い。"}
HALF_WIDTH = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF66, 0xFFA0)}
SMALL = st.text(st.sampled_from("abAB .猫犬"), max_size=12)


def width(text: str, language: str) -> str:
    """Latin letters, digits and marks in full width, katakana in half width."""
    apart = "".join(unicodedata.normalize("NFD", c) if "ァ" <= c <= "ヺ" else c for c in text)
    return "".join(HALF_WIDTH.get(c) or (chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c) for c in apart)


def punctuation(text: str, language: str) -> str:
    """Every mark is another one."""
    return "".join(" · " if unicodedata.category(c)[0] == "P" else c for c in text)


def one_word(text: str, language: str) -> str:
    """The longest word is another one."""
    return text.replace(max(words(text, language), key=len), {"en": "pineapple", "ja": "抹茶"}[language], 1)


def pieces(text: str, language: str) -> tuple[list[str], str]:
    """The words with their marks, and what stands between them."""
    return (text.split(), " ") if language == "en" else (words(text, language), "")


def prefix(text: str, language: str) -> str:
    """The first half of the words."""
    parts, space = pieces(text, language)
    return space.join(parts[: (len(parts) + 1) // 2])


def halves_swapped(text: str, language: str) -> str:
    """The second half of the words before the first."""
    parts, space = pieces(text, language)
    middle = len(parts) // 2
    return space.join(parts[middle:] + parts[:middle])


def shuffled(text: str, language: str) -> str:
    """All words in an order of chance."""
    parts, space = pieces(text, language)
    random.Random(1).shuffle(parts)
    return space.join(parts)


PLANTS: dict[str, Callable[[str, str], str]] = {
    "exact": lambda text, language: text,
    "case": lambda text, language: text.upper(),
    "width": width,
    "punctuation": punctuation,
    "one word changed": one_word,
    "prefix": prefix,
    "reordering: halves swapped": halves_swapped,
    "reordering: words shuffled": shuffled,
}
"""Name → what is planted for a text of a language."""

CAUGHT = {
    "exact": (100, 100),
    "case": (100, 100),
    "width": (100, 100),
    "punctuation": (100, 100),
    "one word changed": (100, 100),
    "prefix": (100, 100),
    "reordering: halves swapped": (100, 100),
    "reordering: words shuffled": (98, 0),
}
"""Of 100 sentences in English, and of their 100 translations in Japanese."""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector({"kyoto": KYOTO}, NEARNESS)


def planted(name: str, side: str) -> list[str]:
    return [PLANTS[name](segment[side], LANGUAGES[side]) for segment in KYOTO]


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_caught_of_each_kind(name: str, detector: Detector) -> None:
    caught = tuple(sum(bool(detector.matches(text)) for text in planted(name, side)) for side in SIDES)
    assert caught == CAUGHT[name]


@pytest.mark.parametrize("name", PLANTS)
def test_the_page_says_the_same(name: str) -> None:
    english, japanese = CAUGHT[name]
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert f"| {name} | {english} | {japanese} |" in page


@pytest.mark.parametrize("name", ["exact", "case", "width", "punctuation"])
@pytest.mark.parametrize("side", SIDES)
def test_what_differs_in_nothing_that_matters_is_the_same(name: str, side: str, detector: Detector) -> None:
    for segment, text in zip(KYOTO, planted(name, side), strict=True):
        match = detector.matches(text)["kyoto"]
        assert (match.kind, match.test_id, match.test_side, match.jaccard) == ("same", segment["id"], side, 1.0)


def test_a_translation_alone_is_caught(detector: Detector) -> None:
    audit = Audit(detector, ["kyoto"], 3)
    for number, segment in enumerate(KYOTO):
        audit.add({**segment, "id": f"x:{number}", "src": HARMLESS["src"]})
    assert audit.report()["testsets"]["kyoto"]["side"] == {"src": 0, "tgt": 100, "both": 0}
    assert [row["side"] for row in audit.found] == ["tgt"] * 3


def test_a_text_on_the_other_side_is_caught(detector: Detector) -> None:
    match = detector.matches(KYOTO[0]["tgt"])["kyoto"]
    assert match.test_side == "tgt"
    audit = Audit(detector, ["kyoto"], 1)
    audit.add({**HARMLESS, "src": KYOTO[0]["tgt"]})
    assert [(row["side"], row["test_side"]) for row in audit.found] == [("src", "tgt")]


@pytest.mark.parametrize("side", SIDES)
def test_no_sentence_of_the_test_set_is_taken_for_another(side: str) -> None:
    for segment in KYOTO:
        others = [other for other in KYOTO if other is not segment]
        assert Detector({"others": others}, NEARNESS).matches(segment[side]) == {}


@pytest.mark.parametrize("text", ["", "…", "My sister is better at chess than I am.", "妹は私より将棋が強い。"])
def test_harmless_text_is_left_alone(text: str, detector: Detector) -> None:
    assert detector.matches(text) == {}


@cache
def grams(text: str, n: int) -> set[str]:
    return ngrams(key(text), n)


def compared(text: str, testsets: Mapping[str, Sequence[Segment]], nearness: Nearness) -> dict[str, str]:
    """Test set → the worst kind, by comparing with every text; a hair is given to shares as the index computes them."""
    found: dict[str, list[str]] = {}
    one = grams(text, nearness.ngram)
    for name, segments in testsets.items():
        for other in (segment[side] for segment in segments for side in SIDES):
            two = grams(other, nearness.ngram)
            common, smaller = len(one & two), min(len(one), len(two))
            if common and one == two and key(text) == key(other):
                found.setdefault(name, []).append("same")
            elif common and common >= nearness.near_duplicate * len(one | two):
                found.setdefault(name, []).append("near")
            elif common >= nearness.contained * smaller and smaller >= nearness.contained_ngrams:
                found.setdefault(name, []).append("contained")
    return {name: min(kinds, key=KINDS.index) for name, kinds in found.items()}


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("side", SIDES)
def test_agrees_with_comparing_every_pair_of_real_sentences(name: str, side: str, detector: Detector) -> None:
    for text in planted(name, side):
        found = {testset: match.kind for testset, match in detector.matches(text).items()}
        assert found == compared(text, {"kyoto": KYOTO}, NEARNESS)


@given(
    st.lists(st.lists(st.tuples(SMALL, SMALL), max_size=4), min_size=1, max_size=3),
    st.lists(SMALL, min_size=1, max_size=8),
    st.integers(1, 4),
    st.integers(1, 10),
    st.integers(1, 5),
)
def test_finds_in_every_test_set_what_comparing_every_pair_finds(
    sets: list[list[tuple[str, str]]], texts: list[str], n: int, tenths: int, floor: int
) -> None:
    testsets = {
        f"t{number}": [{"id": f"{number}:{i}", "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(pairs)]
        for number, pairs in enumerate(sets)
    }
    nearness = Nearness(n, tenths / 10 - 1e-9, 0.8 - 1e-9, floor)
    detector = Detector(testsets, nearness)
    for text in texts:
        found, wanted = detector.matches(text), compared(text, testsets, nearness)
        assert {name: match.kind for name, match in found.items()} == wanted
        for name, match in found.items():
            assert {match.test_id: match.test_text}.items() <= {
                (segment["id"], segment[match.test_side]) for segment in testsets[name]
            }
            one = {"id": "", "src": match.test_text, "tgt": match.test_text}
            assert compared(text, {name: [one]}, nearness) == {name: match.kind}


def test_the_worst_match_counts_wherever_it_stands() -> None:
    near = "The quick brown fox jumped over the lazy dogs near the old mill at noon."
    pairs = [{"id": "short", "src": "over the lazy dogs", "tgt": "あ"}, {"id": "near", "src": near, "tgt": "い"}]
    for order in (pairs, pairs[::-1]):
        match = Detector({"t": order}, NEARNESS).matches(near.replace("noon", "dusk"))["t"]
        assert (match.kind, match.test_id) == ("near", "near")


def rows(audit: Audit) -> list[tuple[Any, ...]]:
    return [(row["id"], row["side"], row["testset"], row["test_id"], row["kind"]) for row in audit.found]


def test_counts_by_side_kind_and_test_set() -> None:
    short = {
        "id": "short:1",
        "src": "She plays chess with her sister every Sunday.",
        "tgt": "毎週日曜に妹と将棋を指す。",
    }
    audit = Audit(Detector({"kyoto": KYOTO, "short": [short]}, NEARNESS), ["kyoto", "short"], 9)
    first, second = KYOTO[:2]
    for segment in (
        {**HARMLESS, "id": "none"},
        {**first, "id": "both"},
        {**HARMLESS, "id": "made", "src": first["src"][:40]},
        {**HARMLESS, "id": "written", "src": first["src"].upper()},
        {"id": "mono", "tgt": one_word(second["tgt"], "ja")},
        {"id": "two sets", "src": short["src"], "tgt": second["tgt"]},
    ):
        audit.add(segment)
    assert audit.report() == {
        "segments": 6,
        "leaks": 5,
        "share": 5 / 6,
        "testsets": {
            "kyoto": {
                "leaks": 5,
                "share": 5 / 6,
                "side": {"src": 2, "tgt": 2, "both": 1},
                "kind": {"same": 3, "near": 1, "contained": 1},
            },
            "short": {
                "leaks": 1,
                "share": 1 / 6,
                "side": {"src": 1, "tgt": 0, "both": 0},
                "kind": {"same": 1, "near": 0, "contained": 0},
            },
        },
    }
    assert rows(audit) == [
        ("both", "src", "kyoto", "kyoto:001", "same"),
        ("both", "tgt", "kyoto", "kyoto:001", "same"),
        ("made", "src", "kyoto", "kyoto:001", "contained"),
        ("written", "src", "kyoto", "kyoto:001", "same"),
        ("mono", "tgt", "kyoto", "kyoto:002", "near"),
        ("two sets", "src", "short", "short:1", "same"),
        ("two sets", "tgt", "kyoto", "kyoto:002", "same"),
    ]


def test_the_sample_is_of_each_kind(detector: Detector) -> None:
    audit = Audit(detector, ["kyoto"], 2)
    for number, segment in enumerate(KYOTO[:8]):
        row = {"id": str(number), "tgt": HARMLESS["tgt"]}
        audit.add({**row, "src": segment["src"]})
        audit.add({**row, "src": prefix(segment["src"], "en")})
    assert [(row[0], row[-1]) for row in rows(audit)] == [
        (number, kind) for number in ("0", "1") for kind in ("same", "near")
    ]


def test_an_empty_file_leaks_nothing(detector: Detector) -> None:
    report = Audit(detector, ["kyoto"], 1).report()
    assert report["share"] == 0.0
    assert report["testsets"]["kyoto"]["share"] == 0.0
