"""Cleaning by a segment's own faults."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.clean import FAULTS, OVERLONG, Limits, clean, fault, normalised, overlong
from mt.prompt import Languages
from mt.segments import Segment
from mt.tally import Tally

LANGUAGES = Languages("en", "ja")
LIMITS = Limits(min_chars=4, max_chars=20, max_words=5, min_length_ratio=0.2, max_length_ratio=1.0)


@pytest.mark.parametrize(
    ("src", "tgt", "expected"),
    [
        pytest.param("A cat.", "猫です。", None, id="sound"),
        pytest.param("?!?!", "本当ですか", "empty", id="no letter in src"),
        pytest.param("Really?", "……！？", "empty", id="no letter in tgt"),
        pytest.param("Cat", "猫です。", "chars", id="src too short"),
        pytest.param("A cat.", "猫だ。", "chars", id="tgt too short"),
        pytest.param("A" * 21, "猫です。", "chars", id="src too long"),
        pytest.param("A" * 20, "猫です。", None, id="bounds of src are included"),
        pytest.param("A cat of mine is.", "猫" * 21, "chars", id="tgt too long"),
        pytest.param("A cat", "猫ですよね。", "length_ratio", id="tgt longer than allowed"),
        pytest.param("A cat", "猫ですよ。", None, id="upper ratio is included"),
        pytest.param("a b c d e f", "猫です。", "words", id="too many English words"),
        pytest.param("Antidisestablish", "猫も犬も鳥も", "words", id="too many Japanese words"),
    ],
)
def test_fault(src: str, tgt: str, expected: str | None) -> None:
    assert fault({"id": "x", "src": src, "tgt": tgt}, LANGUAGES, LIMITS) == expected


def test_lower_ratio_is_included() -> None:
    assert fault({"id": "x", "src": "A" * 20, "tgt": "猫です。"}, LANGUAGES, LIMITS) is None
    tight = Limits(4, 20, 5, 0.21, 1.0)
    assert fault({"id": "x", "src": "A" * 20, "tgt": "猫です。"}, LANGUAGES, tight) == "length_ratio"


@pytest.mark.parametrize(("tgt", "expected"), [("猫です。", None), ("猫", "chars"), ("！？！？", "empty")])
def test_monolingual_text_has_one_side(tgt: str, expected: str | None) -> None:
    assert fault({"id": "x", "tgt": tgt}, LANGUAGES, LIMITS) == expected


def test_each_side_is_normalised_in_its_language() -> None:
    assert normalised({"id": "x", "src": "Ｒeally？", "tgt": "本当?", "note": 1}, LANGUAGES) == {
        "id": "x",
        "src": "Really?",
        "tgt": "本当？",
    }


PAIRS = st.lists(st.tuples(st.text(max_size=25), st.text("猫犬が。 ", max_size=25)), max_size=8)


@given(PAIRS)
def test_what_is_left_is_sound_and_all_is_counted(texts: list[tuple[str, str]]) -> None:
    segments: list[Segment] = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(texts)]
    tally = Tally(1)
    kept = clean(segments, LANGUAGES, LIMITS, tally)
    assert kept == [normalised(s, LANGUAGES) for s in segments if s["id"] in {k["id"] for k in kept}]
    assert all(0.2 <= len(s["tgt"]) / len(s["src"]) <= 1.0 and 4 <= len(s["src"]) <= 20 for s in kept)
    assert len(kept) + sum(tally.dropped.values()) == len(segments)
    assert set(tally.dropped) <= set(FAULTS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 20, 5, 0.2, 1.0), "min_chars is 0"),
        ((4, 20, 0, 0.2, 1.0), "max_words 0"),
        ((4, 3, 5, 0.2, 1.0), "max_chars is 3; write min_chars, 4, or more"),
        ((4, 20, 5, 1.2, 1.0), "min_length_ratio is 1.2"),
        ((4, 20, 5, -0.1, 1.0), "min_length_ratio is -0.1"),
    ],
)
def test_limits_that_nothing_can_meet_are_refused(values: tuple[int, int, int, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(*values)


def test_an_overlong_side_is_dropped_before_it_is_normalised() -> None:
    marks = "猫" + "\u0301\u0316" * 200_000  # sorting these takes minutes
    tally = Tally(1)
    pairs: list[Segment] = [{"id": "a", "src": "A cat.", "tgt": marks}, {"id": "b", "src": "A cat.", "tgt": "猫です。"}]
    start = process_time()
    assert [segment["id"] for segment in clean(pairs, LANGUAGES, LIMITS, tally)] == ["b"]
    assert process_time() - start < 2
    assert tally.report()["rejected"] == [{"reason": "chars", "id": "a", "src": "A cat.", "tgt": marks[:20]}]


@pytest.mark.parametrize(("length", "long"), [(20 * OVERLONG, []), (20 * OVERLONG + 1, ["tgt"])])
def test_overlong(length: int, long: list[str]) -> None:
    assert overlong({"id": "x", "tgt": "あ" * length}, 20) == long


def test_a_text_that_is_short_once_normal_may_be_long_before() -> None:
    padded = "猫です。" + "\u200b" * (20 * OVERLONG - 4)
    assert [segment["tgt"] for segment in clean([{"id": "x", "tgt": padded}], LANGUAGES, LIMITS, Tally(0))] == [
        "猫です。"
    ]
