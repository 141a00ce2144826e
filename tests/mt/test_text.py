"""Normal form, words, keys, n-grams and scripts."""

import re
import unicodedata
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.text import _ELLIPSIS, key, length_ratio, ngrams, normalise, script_share, words

JAPANESE = st.text(
    st.sampled_from("猫は犬がＡAａ1１ｶﾞー～~〜!！?？.．,，、。:：;；(（)）｢｣「」…・･・ 　\u200b\u3099゛゜\t"),
    max_size=20,
)
ANY = st.one_of(st.text(max_size=20), JAPANESE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("ＡＢＣ　１２３％", "ABC 123%", id="full width letters, digits, signs"),
        pytest.param("ｺｰﾋｰﾊﾞｰ", "コーヒーバー", id="half width kana"),
        pytest.param("か\u3099き", "がき", id="combining voice mark"),
        pytest.param("①㎏㌔", "1kgキロ", id="compatibility characters"),
        pytest.param("本当! そう? はい(笑)", "本当！そう？はい（笑）", id="ASCII marks become Japanese"),
        pytest.param("本当！？（笑）", "本当！？（笑）", id="Japanese marks stay although NFKC changes them"),
        pytest.param("はい,そうです.", "はい、そうです。", id="ASCII comma and stop"),
        pytest.param("はい，そうです．", "はい、そうです。", id="full width comma and stop"),
        pytest.param("「はい」.", "「はい」。", id="stop after a bracket"),
        pytest.param("3.5と1,000とU.S.A.と10:30", "3.5と1,000とU.S.A.と10:30", id="numbers and abbreviations stay"),
        pytest.param("次は.NETです", "次は.NETです", id="stop before a Latin letter stays"),
        pytest.param("https://a.jp/を見る", "https://a.jp/を見る", id="address stays"),
        pytest.param("例:これ;あれ", "例：これ；あれ", id="colon and semicolon"),
        pytest.param("｢はい｣｡､･", "「はい」。、・", id="half width marks"),
        pytest.param("10～20、10~20、10∼20、10〜20", "10〜20、10〜20、10〜20、10〜20", id="wave dashes"),
        pytest.param("ええと...あの…まあ・・・ね……", "ええと…あの…まあ…ね…", id="ellipses"),
        pytest.param("ジョン・スミス", "ジョン・スミス", id="one middle dot stays"),
        pytest.param("あ―い—う", "あ—い—う", id="dashes"),
        pytest.param("え？　はい！ 私 です", "え？はい！私 です", id="spaces beside Japanese marks only"),
        pytest.param("“はい”‘うん’", "\"はい\"'うん'", id="curly quotes"),
        pytest.param("葛\U000e0100城", "葛城", id="variation selector"),
    ],
)
def test_normalise_japanese(text: str, expected: str) -> None:
    assert normalise(text, "ja") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("It’s “fine”, ‘really’.", "It's \"fine\", 'really'.", id="curly quotes"),
        pytest.param("„Ja“", '"Ja"', id="low quotes"),
        pytest.param("made \u200b\u200bout\u00ad of\ufeff paper", "made out of paper", id="invisible characters"),
        pytest.param("a\tb\u2028c\u0085d\ve\ff\r\ng", "a b c d e f g", id="separators"),
        pytest.param("\u3000a\u00a0 b ", "a b", id="spaces"),
        pytest.param("a\x00\x07b\ue000", "ab", id="controls and private use"),
        pytest.param("half\ud800 pair", "half pair", id="half a surrogate pair"),
        pytest.param("Wait… what?!", "Wait... what?!", id="NFKC's own ellipsis, ASCII marks stay"),
        pytest.param("e\u0301t\u200be\u0301", "été", id="composed, also across what is removed"),
        pytest.param("well‐known −5 — x", "well-known -5 — x", id="hyphens and minus"),
        pytest.param("\u200b\u200e", "", id="nothing visible"),
    ],
)
def test_normalise_english(text: str, expected: str) -> None:
    assert normalise(text, "en") == expected


@given(ANY, st.sampled_from(["en", "ja", "de"]))
def test_normal_text_is_its_own_normal_form(text: str, language: str) -> None:
    once = normalise(text, language)
    assert normalise(once, language) == once


@given(ANY, st.sampled_from(["en", "ja"]))
def test_normal_text_is_one_line_without_invisible_characters(text: str, language: str) -> None:
    normal = normalise(text, language)
    assert len(normal.splitlines()) <= 1
    assert normal == " ".join(normal.split(" ")).strip()
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in normal)
    normal.encode("utf-8")


@given(ANY)
def test_normal_form_keeps_the_key(text: str) -> None:
    # What normalising changes are spaces, marks and width, never letters or digits.
    removed = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    visible = "".join(c for c in removed if c.isalnum() or c.isspace() or unicodedata.category(c)[0] == "P")
    for language in ("en", "ja"):
        assert key(normalise(visible, language)) == key(" ".join(visible.split()))


def test_words_are_mecabs_short_units_in_japanese() -> None:
    assert words("猫が好きです。", "ja") == ["猫", "が", "好き", "です", "。"]


def test_words_join_to_the_japanese_text() -> None:
    text = "彼は「本当？」と言って、Tokyoへ3回行った。"
    assert "".join(words(text, "ja")) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, it's 3.", ["Don't", "stop", "it's", "3"]),
        ("a well-known café — naïve", ["a", "well-known", "café", "naïve"]),
        ("-- !", []),
        ("", []),
    ],
)
def test_words_elsewhere_are_runs_of_letters_and_digits(text: str, expected: list[str]) -> None:
    assert words(text, "en") == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, World!", "hello world"),
        ("ＡＢＣ！", "abc"),
        ("ｺｰﾋｰ、どうぞ。", "コーヒー どうぞ"),
        ("STRASSE", "Straße"),
        ("「はい」", "はい"),
    ],
)
def test_key_is_blind_to_case_width_and_marks(one: str, other: str) -> None:
    assert key(one) == key(other) != ""


@pytest.mark.parametrize(("one", "other"), [("コーヒー", "コヒ"), ("か", "が"), ("a1", "a2"), ("はし", "ハシ")])
def test_key_tells_letters_apart(one: str, other: str) -> None:
    assert key(one) != key(other)


@given(st.text(max_size=20))
def test_key_of_a_key_is_itself(text: str) -> None:
    assert key(key(text)) == key(text)


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("abcd", 3, {"abc", "bcd"}),
        ("aaaa", 2, {"aa"}),
        ("ab", 3, {"ab"}),
        ("abc", 3, {"abc"}),
        ("", 3, set()),
    ],
)
def test_ngrams(text: str, n: int, expected: set[str]) -> None:
    assert ngrams(text, n) == expected


@pytest.mark.parametrize(("src", "tgt", "expected"), [("abcd", "ab", 0.5), ("ab", "abcd", 2.0), ("", "abc", 3.0)])
def test_length_ratio(src: str, tgt: str, expected: float) -> None:
    assert length_ratio(src, tgt) == expected


@given(st.text(min_size=1), st.text(min_size=1))
def test_length_ratio_turns_over_with_its_sides(src: str, tgt: str) -> None:
    assert length_ratio(src, tgt) * length_ratio(tgt, src) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        pytest.param("東京へコーヒーを", "ja", 1.0, id="three scripts of Japanese"),
        pytest.param("人々、ラーメン〆ﾗｰﾒﾝ", "ja", 1.0, id="iteration, long vowel and half width marks"),
        pytest.param("ABあい", "ja", 0.5, id="half"),
        pytest.param("3月、AI!", "ja", 1 / 3, id="digits and marks apart"),
        pytest.param("Hello, café", "en", 1.0, id="Latin"),
        pytest.param("ＡＢあい", "en", 0.5, id="full width Latin"),
        pytest.param("Привет", "en", 0.0, id="Cyrillic is not Latin"),
        pytest.param("Straße", "de", 1.0, id="unlisted language"),
        pytest.param("123!?", "ja", 0.0, id="no letter"),
        pytest.param("", "en", 0.0, id="empty"),
    ],
)
def test_script_share(text: str, language: str, expected: float) -> None:
    assert script_share(text, language) == pytest.approx(expected)


BACKTRACKING = re.compile(r"(?:\. ?)*(?:\.{2,}|・{3,})(?: ?(?:\.|・{3,}))*")
"""What the rule for dots says, in a form that takes a minute for a line of them."""


@given(st.lists(st.sampled_from([".", ". ", "・", "・・・", " ", "猫", ". .."]), max_size=30).map("".join))
def test_dots_are_what_the_plain_rule_says(text: str) -> None:
    assert _ELLIPSIS.sub("…", text) == BACKTRACKING.sub("…", text)


@pytest.mark.parametrize("unit", [". ", ". . x", "・", "・・ ", ".・", "..", "、 ", ": ", "a'", "!? "])
@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_line_of_one_megabyte_takes_no_longer_than_its_length(unit: str, language: str) -> None:
    text = unit * (2**20 // len(unit)) + "x"
    start = process_time()
    normalise(text, language)
    assert process_time() - start < 5
