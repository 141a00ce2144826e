"""Every kind of degenerate hypothesis, planted and counted, in three target languages."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.degenerate import ANY, COUNTS, KINDS, Limits, Measured, counted, kinds, measured
from mt.text import script_share

LIMITS = Limits(repetition_ngram=3, max_repetition=0.5, copy_ngram=3, max_copy=0.8, min_tgt_language=0.1)
GERMAN = {"der", "die", "das", "und", "ich", "ist", "eine", "er", "sagte"}


class Words:
    """Identifies a language by its script, German and English by a few words."""

    def probabilities(self, texts: Sequence[str], language: str) -> list[float]:
        return [1.0 if self.language(text) == language else 0.01 for text in texts]

    def language(self, text: str) -> str:
        if script_share(text, "ja") > 0.4:
            return "ja"
        return "de" if GERMAN & set(text.casefold().split()) else "en"


SRC = {"ja": "The cat sat on the mat.", "de": "The cat sat on the mat.", "en": "猫がマットの上に座った。"}
REF = {"ja": "猫がマットの上に座った。", "de": "die Katze saß auf der Matte.", "en": "The cat sat on the mat."}
PLANTED = {
    "clean ja": ("ja", "猫はマットの上に座っていた。", False, ()),
    "clean de": ("de", "und die Katze saß auf einer Matte.", False, ()),
    "clean en": ("en", "A cat was sitting on the mat.", False, ()),
    "the reference": ("ja", REF["ja"], False, ()),
    "empty": ("ja", "", False, ("empty",)),
    "blank": ("de", " \u3000 ", False, ("empty",)),
    "nothing but a full stop": ("ja", "。", False, ("empty",)),
    "nothing but dots": ("en", "… .", False, ("empty",)),
    "nothing but zero width": ("ja", "\u200b\u200e\ufeff", False, ("empty",)),
    "nothing but bytes that are no character": ("ja", "\ufffd\ufffd", False, ("empty",)),
    "nothing but a filler": ("ja", "\u3164\u2800\ufe0f", False, ("empty",)),
    "nothing but a symbol": ("ja", "♪", False, ()),
    "one character in a loop": ("ja", "猫はははははははははは", False, ("repetition",)),
    "a clause in a loop": ("ja", "猫が座った。" * 6, False, ("repetition",)),
    "a loop after a sentence": ("ja", "猫がマットの上に座った。" + "座った、" * 9, False, ("repetition",)),
    "words in a loop": ("de", "die Katze saß auf der Matte " * 5, False, ("repetition",)),
    "one word in a loop": ("en", "The cat sat sat sat sat sat sat sat sat", False, ("repetition",)),
    "one letter in a loop": ("en", "a" * 26, False, ("repetition",)),
    "one mark in a loop": ("de", "!" * 26, False, ("empty", "repetition")),
    "one word four times": ("en", "the the the the", False, ("repetition",)),
    "a syllable in a loop": ("en", "no-" * 9 + "no", False, ("repetition",)),
    "two words twice": ("en", "Come on, come on!", False, ()),
    "a copy into Japanese": ("ja", SRC["ja"], False, ("copy", "wrong_language")),
    "a copy into German": ("de", "The cat sat on the mat!", False, ("copy", "wrong_language")),
    "a copy into English": ("en", SRC["en"], False, ("copy", "wrong_language")),
    "a copy after a legend": ("ja", "日本語訳は次のとおりです。" + SRC["ja"], False, ("copy",)),
    "a copy in quotes": ("ja", f"「{SRC['ja']}」と、確かに大きな声で言った。", False, ("copy",)),
    "a copy after an English legend": ("en", "The English translation is: " + SRC["en"], False, ("copy",)),
    "half a copy": ("ja", "The cat sat は猫が座ったという意味です。", False, ()),
    "English for Japanese": ("ja", "I like tea.", False, ("wrong_language",)),
    "English for German": ("de", "I like tea.", False, ("wrong_language",)),
    "Japanese for English": ("en", "私はお茶が好きです。", False, ("wrong_language",)),
    "nothing but a number": ("en", "270 (12:30)", False, ()),
    "cut": ("ja", "猫はマットの上に座っ", True, ("cut",)),
    "cut before it began": ("ja", "", True, ("empty", "cut")),
    "a loop that was cut": ("en", "on the mat " * 8, True, ("repetition", "cut")),
}


@pytest.mark.parametrize(("language", "hyp", "cut", "expected"), PLANTED.values(), ids=PLANTED)
def test_each_kind_is_counted_and_nothing_else(language, hyp, cut, expected):
    row = {"id": "1", "src": SRC[language], "tgt": REF[language], "hyp": hyp, "cut": cut}
    clean = {**row, "hyp": REF[language], "cut": False}
    found = counted([clean, row, clean], language, LIMITS, Words())
    assert found == {kind: int(kind in expected) for kind in KINDS} | {ANY: int(bool(expected))}


def test_a_hypothesis_of_two_kinds_is_degenerate_once():
    rows = [
        {"id": str(i), "src": SRC["ja"], "tgt": REF["ja"], "hyp": hyp, "cut": cut}
        for i, (hyp, cut) in enumerate([(SRC["ja"], False), ("", True), ("", False), (REF["ja"], False)])
    ]
    found = counted(rows, "ja", LIMITS, Words())
    assert found == {"empty": 2, "repetition": 0, "copy": 1, "wrong_language": 1, "cut": 1, "degenerate": 3}
    assert tuple(found) == COUNTS


@pytest.mark.parametrize(
    ("language", "src", "ref", "hyp"),
    [
        ("ja", "Ha ha ha ha ha!", "はははははははは！", "ははははははは！"),
        ("en", "はははははははは！", "Ha ha ha ha ha ha ha!", "ha ha ha ha ha ha"),
        ("ja", "https://example.org/a", "https://example.org/a", "https://example.org/a"),
        ("ja", "Thomas Alva Edison", "Thomas Alva Edison", "Thomas Alva Edison"),
    ],
    ids=["laughter", "laughter in words", "an address", "a name"],
)
def test_what_the_reference_does_is_no_fault(language, src, ref, hyp):
    row = {"id": "1", "src": src, "tgt": ref, "hyp": hyp, "cut": False}
    assert counted([row], language, LIMITS, Words())[ANY] == 0
    assert counted([{**row, "tgt": REF[language]}], language, LIMITS, Words())[ANY] == 1


@pytest.mark.parametrize(
    ("src", "ref", "hyp", "expected"),
    [
        ("Ha ha ha ha ha!", "はははははは！", "は" * 14, set()),
        ("Ha ha ha ha ha!", "はははははは！", "は" * 15, {"repetition"}),
        ("Ha ha ha ha ha!", "はははははは！", "は" * 300, {"repetition"}),
        ("Tom", "Tom", "Tom, Tomas", {"wrong_language"}),
        ("...", "…", "。", set()),
        ("...", "…", "。。。", {"empty"}),
    ],
    ids=["a longer laugh", "a laugh too long", "a loop", "a longer name", "no word either", "more marks"],
)
def test_a_much_longer_hypothesis_does_not_do_what_the_reference_does(src, ref, hyp, expected):
    row = {"id": "1", "src": src, "tgt": ref, "hyp": hyp, "cut": False}
    found = counted([row], "ja", LIMITS, Words())
    assert {kind for kind in KINDS if found[kind]} == expected


@pytest.mark.parametrize(
    ("src", "hyp", "copies"),
    [
        ("Mitsubishi Q", "三菱はMitsubishi Qと書く。", 1.0),
        ("Mitsubishis", "三菱はMitsubishisと書く。", 0.5625),
        (" Mitsubishis ", "三菱はMitsubishisと書く。", 0.5625),
    ],
    ids=["long enough", "a short name", "a short name between spaces"],
)
def test_a_short_source_is_not_looked_for(src, hyp, copies):
    (found,) = measured([hyp], [src], "ja", LIMITS, Words())
    assert found.copy == pytest.approx(copies, abs=1e-6)


@pytest.mark.parametrize(
    ("language", "text", "share"),
    [
        ("en", "the the the the the", 13 / 17),
        ("en", "the the the the the the", 3 / 4),
        ("en", "The cat sat on the mat.", 0.0),
        ("de", "aaaaa", 2 / 3),
        ("ja", "猫。" + " " * 30, 0.0),
        ("de", "", 0.0),
    ],
    ids=["five words, by characters", "six words, by words", "a sentence", "no words but letters", "spaces", "nothing"],
)
def test_repetition_is_of_characters_where_words_are_few(language, text, share):
    (found,) = measured([text], ["x"], language, LIMITS, Words())
    assert found.repetition == pytest.approx(share)


CLEAN = Measured(characters=9, shows=True, repetition=0.0, copy=0.0, language=1.0)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"repetition": 0.51}, "repetition"),
        ({"repetition": 0.5}, None),
        ({"copy": 0.81}, "copy"),
        ({"copy": 0.8}, None),
        ({"language": 0.09}, "wrong_language"),
        ({"language": 0.1}, None),
        ({"language": None}, None),
        ({"shows": False}, "empty"),
    ],
    ids=str,
)
def test_a_threshold_itself_is_not_beyond_it(change, kind):
    assert kinds(replace(CLEAN, **change), CLEAN, False, LIMITS) == ({kind} if kind else set())


@given(st.lists(st.tuples(st.text(max_size=12), st.booleans()), max_size=6))
def test_any_text_is_counted_within_bounds(hyps):
    rows = [{"id": "1", "src": SRC["ja"], "tgt": REF["ja"], "hyp": hyp, "cut": cut} for hyp, cut in hyps]
    found = counted(rows, "ja", LIMITS, Words())
    assert max(found[kind] for kind in KINDS) <= found[ANY] <= min(len(rows), sum(found[kind] for kind in KINDS))
    assert found["cut"] == sum(cut for _, cut in hyps)


def test_a_text_without_letters_is_in_no_language():
    assert [one.language for one in measured(["12", "", "十二"], ["a"] * 3, "ja", LIMITS, Words())] == [None, None, 1.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"repetition_ngram": 0}, "repetition_ngram: must be at least 1, not 0"),
        ({"copy_ngram": 0}, "copy_ngram: must be at least 1, not 0"),
        ({"max_repetition": 1.1}, r"max_repetition: must lie in \[0, 1\]"),
        ({"max_copy": -0.1}, r"max_copy: must lie in \[0, 1\]"),
        ({"min_tgt_language": 2.0}, r"min_tgt_language: must lie in \[0, 1\]"),
    ],
    ids=str,
)
def test_limits_that_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        replace(LIMITS, **values)
