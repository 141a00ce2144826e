"""The features of synthetic pairs, by hand and by property; the models are faked."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mt.features import (
    BLOCK_BATCHES,
    FEATURES,
    Settings,
    copy,
    cosines,
    echo,
    features,
    languages,
    repetition,
    text_features,
)
from mt.prompt import Languages, labels

TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
LABELS = tuple(labels(TEMPLATE, Languages("en", "ja")))
SETTINGS = Settings(Languages("en", "ja"), LABELS, repetition_ngram=3, copy_ngram=3)
text = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=30)
mixed = st.lists(st.sampled_from(["the", "cat", "Japanese:", "東京", "は", "ha", " ", "1", "?"]), max_size=20).map(
    " ".join
)


def similarities(encoder, pairs, batch_size):
    """`cosines` of work that was never cut off."""
    return cosines(encoder, pairs, batch_size, lambda _name, _size, make: make())


class CountingEncoder:
    """Unit vectors from the first and the last character; refuses empty text and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        assert batch_size > 0
        assert all(text.strip() for text in texts)
        self.asked += texts
        rows = np.array([[ord(text[0]) % 7, 1 + ord(text[-1]) % 5] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class LatinIsEnglish:
    """1.00002 (fastText does so) for the language that the first character belongs to, else -0.00001."""

    def probabilities(self, texts: Sequence[str], language: str) -> list[float]:
        assert all(text.strip() for text in texts)
        return [1.00002 if (text[0].isascii()) == (language == "en") else -0.00001 for text in texts]


@pytest.mark.parametrize(
    ("src", "tgt", "expected"),
    [
        ("abcd", "猫だ", 0.5),
        ("  abcd ", "猫だ\u3000", 0.5),
        ("", "猫だ", 2.0),
        (" ", "猫だ", 2.0),
        ("a", "猫だよね", 4.0),
    ],
    ids=["half", "white space", "empty", "blank", "long"],
)
def test_length_ratio(src: str, tgt: str, expected: float) -> None:
    assert text_features(src, tgt, SETTINGS)["length_ratio"] == expected


@pytest.mark.parametrize(
    ("src", "tgt", "expected"),
    [
        ("It is a cat.", "それは猫です。", 0.0),
        ("それは猫です。", "それは猫です。", 1.0),
        ("それは猫です。 It is a cat.", "それは猫です。", 1.0),
        ("それは猫 is it.", "それは猫です。", 0.4),
        ("猫 cat", "猫", 1.0),
        ("犬", "猫だ", 0.0),
        ("", "猫だ", 0.0),
        ("NHK is on.", "NHKがついている。", 1 / 8),
    ],
    ids=["none", "all", "all and more", "two of five", "short target", "short source", "empty", "a name"],
)
def test_copy(src: str, tgt: str, expected: float) -> None:
    assert copy(src, tgt, 3) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("src", "names", "expected"),
    [
        ("It is a cat.", LABELS, 0.0),
        ("It is a cat. Japanese: 猫", LABELS, 0.5),
        ("English: It is a cat. Japanese:", LABELS, 1.0),
        ("I speak Japanese, he says.", LABELS, 0.0),
        ("", LABELS, 0.0),
        ("a: b", (":", "=>"), 0.0),
        ("### Input a", (" ### Input ", ":"), 1.0),
        ("a", (), 0.0),
    ],
    ids=["none", "one", "both", "a word", "empty", "no letters", "stripped", "no labels"],
)
def test_echo(src: str, names: tuple[str, ...], expected: float) -> None:
    assert echo(src, names) == expected


@pytest.mark.parametrize(
    ("src", "language", "n", "expected"),
    [
        ("I like cats and dogs", "en", 3, 0.0),
        ("no no no no no", "en", 3, 2 / 3),
        ("a b a b a b", "en", 2, 3 / 5),
        ("no no", "en", 3, 0.0),
        ("", "en", 1, 0.0),
        ("ははははは", "ja", 3, 2 / 3),
        ("猫が好きだ", "ja", 3, 0.0),
        ("a a", "en", 1, 0.5),
    ],
    ids=[
        "none",
        "one word",
        "two words",
        "too short",
        "empty",
        "characters",
        "none in Japanese",
        "words by themselves",
    ],
)
def test_repetition(src: str, language: str, n: int, expected: float) -> None:
    assert repetition(src, language, n) == pytest.approx(expected)


def test_languages_are_asked_for_text_only_and_held_to_their_range() -> None:
    assert languages(LatinIsEnglish(), ["cat", "", "猫", " ", "dog"], "en") == [1.0, 0.0, 0.0, 0.0, 1.0]


def test_cosines_keep_the_order_and_embed_each_text_once() -> None:
    encoder = CountingEncoder()
    assert similarities(encoder, [("ab", "cd"), ("ab", ""), ("ab", "ab"), (" ", ""), ("cd", "ab")], 2) == [
        pytest.approx(0.980581, abs=1e-6),
        0.0,
        1.0,
        0.0,
        pytest.approx(0.980581, abs=1e-6),
    ]
    assert encoder.asked == ["ab", "cd"]


def test_cosines_of_nothing() -> None:
    assert similarities(CountingEncoder(), [], 2) == []
    assert similarities(CountingEncoder(), [("", "")], 2) == [0.0]


def test_cosines_across_blocks_are_those_of_the_pairs_alone() -> None:
    letters = [chr(ord("a") + number % 26) + chr(ord("z") - number % 7) for number in range(2 * BLOCK_BATCHES + 3)]
    pairs = list(zip(letters, reversed(letters), strict=True))
    assert similarities(CountingEncoder(), pairs, 1) == [
        similarities(CountingEncoder(), [pair], 1)[0] for pair in pairs
    ]


def test_features_of_a_plain_pair() -> None:
    segment = {"id": "a", "src": "It is a cat.", "tgt": "それは猫です。", "logprob": -0.123456789}
    (found,) = features([segment], SETTINGS, LatinIsEnglish(), [0.9])
    assert found == {
        "src_chars": 12.0,
        "length_ratio": 0.583333,
        "src_script": 1.0,
        "tgt_script": 1.0,
        "src_language": 1.0,
        "tgt_language": 1.0,
        "copy": 0.0,
        "echo": 0.0,
        "repetition": 0.0,
        "similarity": 0.9,
        "logprob": -0.123457,
    }
    assert tuple(found) == FEATURES


@given(st.lists(st.tuples(st.one_of(text, mixed), st.one_of(text, mixed).filter(str.strip)), min_size=1, max_size=5))
def test_every_feature_is_finite_and_in_its_range(texts: list[tuple[str, str]]) -> None:
    segments = [{"id": str(i), "src": src, "tgt": tgt, "logprob": -1} for i, (src, tgt) in enumerate(texts)]
    similarity = similarities(CountingEncoder(), texts, 2)
    for (src, tgt), found in zip(texts, features(segments, SETTINGS, LatinIsEnglish(), similarity), strict=True):
        assert all(type(value) is float and math.isfinite(value) for value in found.values())
        assert found["src_chars"] == len(src.strip())
        assert found["length_ratio"] >= 0
        assert -1 <= found["similarity"] <= 1
        for name in set(FEATURES) - {"src_chars", "length_ratio", "similarity", "logprob"}:
            assert 0 <= found[name] <= 1, name
        if not src.strip():
            assert not any(
                value for name, value in found.items() if name not in ("length_ratio", "logprob") and "tgt" not in name
            )
            assert found["length_ratio"] == len(tgt.strip())


@given(st.lists(st.tuples(mixed, mixed.filter(str.strip)), min_size=1, max_size=5))
def test_features_do_not_depend_on_the_neighbours(texts: list[tuple[str, str]]) -> None:
    segments = [{"id": str(i), "src": src, "tgt": tgt, "logprob": -i} for i, (src, tgt) in enumerate(texts)]
    together = features(segments, SETTINGS, LatinIsEnglish(), similarities(CountingEncoder(), texts, 2))
    for segment, pair, found in zip(segments, texts, together, strict=True):
        assert [found] == features([segment], SETTINGS, LatinIsEnglish(), similarities(CountingEncoder(), [pair], 2))


@given(text.filter(str.strip))
def test_a_verbatim_copy_is_a_whole_copy(tgt: str) -> None:
    assert text_features(tgt, tgt, SETTINGS)["copy"] == 1.0
    assert text_features(tgt, tgt, SETTINGS)["length_ratio"] == 1.0
