"""The index of near duplicates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.near import Index
from mt.text import key, ngrams

ENGLISH = "The old man went to the station in the rain to meet his daughter."
JAPANESE = "その老人は雨の中、娘を迎えに駅まで歩いて行った。"
TEXTS = st.lists(st.text(st.sampled_from("abAB .猫犬"), max_size=12), max_size=6)


def index(*texts: str) -> Index:
    found = Index(ngram=3, jaccard=0.4, contained=0.7, contained_ngrams=8)
    for number, text in enumerate(texts):
        found.add(str(number), text)
    return found


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ENGLISH, id="exact"),
        pytest.param(ENGLISH.upper(), id="case"),
        pytest.param("Ｔｈｅ ｏｌｄ ｍａｎ ｗｅｎｔ to the station in the rain to meet his daughter.", id="width"),
        pytest.param("The old man went, to the station -- in the rain -- to meet his daughter!", id="punctuation"),
        pytest.param(ENGLISH.replace("daughter", "brother"), id="one word changed"),
        pytest.param("The old man went to the station", id="prefix"),
        pytest.param("To meet his daughter, the old man went to the station in the rain.", id="reordered"),
        pytest.param(f"And so it was: {ENGLISH} That is how the story of the whole family began.", id="inside another"),
        pytest.param(JAPANESE.replace("老人", "男"), id="Japanese, one word changed"),
        pytest.param("雨の中、その老人は駅まで娘を迎えに歩いて行った", id="Japanese, reordered"),
        pytest.param("その老人は雨の中、娘を迎えに", id="Japanese, prefix"),
    ],
)
def test_finds_what_is_near(text: str) -> None:
    assert index("Nothing alike here", ENGLISH, JAPANESE).find(text) in {"1", "2"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("The train was late, so nobody met anybody.", id="some words"),
        pytest.param("娘は学校へ行った。", id="some Japanese words"),
        pytest.param("The old", id="too short to count as contained"),
        pytest.param("", id="empty"),
        pytest.param("...", id="marks only"),
    ],
)
def test_finds_nothing_else(text: str) -> None:
    assert index(ENGLISH, JAPANESE, "", "!!").find(text) is None


@pytest.mark.parametrize(("text", "expected"), [("はい。", "0"), ("は い", "0"), ("はあ", None), ("は", "1")])
def test_a_text_shorter_than_an_ngram_is_near_to_the_same_text(text: str, expected: str | None) -> None:
    assert index("はい", "は").find(text) == expected


def test_the_text_added_first_is_found() -> None:
    assert index("Nothing alike here", ENGLISH, ENGLISH.upper()).find(ENGLISH) == "1"


def test_bounds_are_included() -> None:
    two_of_four = Index(ngram=1, jaccard=0.5, contained=1.0, contained_ngrams=9)
    two_of_four.add("0", "abc")
    assert two_of_four.find("abd") == "0"
    assert two_of_four.find("ade") is None
    two_of_three = Index(ngram=1, jaccard=1.0, contained=0.5, contained_ngrams=4)
    two_of_three.add("0", "abcd")
    assert two_of_three.find("abxyz") == "0"
    assert two_of_three.find("abx") is None


@given(
    TEXTS, st.text(st.sampled_from("abAB .猫犬"), max_size=12), st.integers(1, 4), st.integers(1, 10), st.integers(1, 5)
)
def test_agrees_with_comparing_every_pair(texts: list[str], query: str, n: int, tenths: int, floor: int) -> None:
    def near(text: str) -> bool:
        one, other = ngrams(key(text), n), ngrams(key(query), n)
        if not one & other:
            return False
        smaller = min(len(one), len(other))
        jaccard = 10 * len(one & other) >= tenths * len(one | other)
        return jaccard or (smaller >= floor and 10 * len(one & other) >= 8 * smaller)

    # Shares as binary fractions of integers would differ in the last bit, so the index gets a hair less.
    found = Index(n, tenths / 10 - 1e-9, 0.8 - 1e-9, floor)
    for number, text in enumerate(texts):
        found.add(str(number), text)
    wanted = [str(i) for i, text in enumerate(texts) if near(text)]
    assert found.find_all(query) == wanted
    assert found.find(query) == (wanted[0] if wanted else None)
