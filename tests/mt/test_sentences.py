"""Sentences of running text."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.sentences import is_sentence, sentences

pytest.importorskip("sentencex")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("雨が降る。風も吹く！", ["雨が降る。", "風も吹く！"], id="full stops"),
        pytest.param(
            "彼は「行くよ。すぐ行く。」と言った。次。", ["彼は「行くよ。すぐ行く。」と言った。", "次。"], id="inside"
        ),
        pytest.param("「本当ですか？」と聞いた。", ["「本当ですか？」と聞いた。"], id="and on with a particle"),
        pytest.param(
            "「はい。」「いいえ。」もう一度聞く。",
            ["「はい。」", "「いいえ。」", "もう一度聞く。"],
            id="two quotations",
        ),
        pytest.param("『モーニング娘。』は歌う。", ["『モーニング娘。』は歌う。"], id="a title"),
        pytest.param(
            "源氏物語（平安中期の作。）は長い。", ["源氏物語（平安中期の作。）は長い。"], id="full-width brackets"
        ),
        pytest.param("一文。(二文。三文。)四文。", ["一文。", "(二文。三文。)四文。"], id="half-width brackets"),
        pytest.param("（「中の。」と外。）で終わる。", ["（「中の。」と外。）で終わる。"], id="brackets in brackets"),
        pytest.param("「開いたまま。次の文。", ["「開いたまま。", "次の文。"], id="no closing bracket"),
        pytest.param("閉じだけ。」次の文。", ["閉じだけ。」", "次の文。"], id="no opening bracket"),
        pytest.param(
            "概要\n\n京都府は府。\r\n歴史\n遷都。", ["概要", "京都府は府。", "歴史", "遷都。"], id="lines and headings"
        ),
        pytest.param("\u3000全角。\u2028次。 ", ["全角。", "次。"], id="space around"),
        pytest.param("なに！？そうか……。次。", ["なに！？", "そうか……。", "次。"], id="several marks"),
        pytest.param("値は3.14で、U.S.A.は国。", ["値は3.14で、U.S.A.は国。"], id="points in words"),
        pytest.param("句点なし", ["句点なし"], id="no mark"),
        pytest.param(" \n\t\n", [], id="nothing"),
    ],
)
def test_japanese(text: str, expected: list[str]) -> None:
    assert sentences(text, "ja") == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", 'Mr. Smith came. He said "Go." See Fig. 3.', ["Mr. Smith came.", 'He said "Go."', "See Fig. 3."]),
        ("de", "Das ist z. B. gut. Am 3. Mai kam er.", ["Das ist z. B. gut.", "Am 3. Mai kam er."]),
    ],
)
def test_other_languages(language: str, text: str, expected: list[str]) -> None:
    assert sentences(text, language) == expected


@pytest.mark.parametrize(
    "text", ["「" * 10**5 + "』" * 10**5, "「" * 10**5 + "」" * 10**5, "。」" * 10**5, "“" * 10**5]
)
def test_a_long_line_is_given_whole(text: str) -> None:
    start = process_time()
    assert sentences(f"{text}\n猫。", "ja") == [text, "猫。"]
    assert process_time() - start < 2


@pytest.mark.parametrize("text", ["「" * 9000 + "』" * 9000, "「" * 9000 + "」" * 9000, "。」" * 9000, "“" * 18000])
def test_hostile_brackets_of_a_line_that_is_split(text: str) -> None:
    start = process_time()
    assert "".join(sentences(text, "ja")) == text
    assert process_time() - start < 2


@given(st.text("あと。！「」『』（）()..a \n"), st.sampled_from(["ja", "en"]))
def test_nothing_but_space_is_lost(text: str, language: str) -> None:
    found = sentences(text, language)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("雨が降る。", True), ("「行く。」", True), ("何？", True), ("そう……", True), ("It rains.", True),
        ('"Go!"', True), ("It is (not).", True), ("Section 2.1", False),
        ("概要", False), ("大阪府（おおさかふ）", False), ("・一つ", False), ("次のとおり：", False), ("", False),
    ],
)  # fmt: skip
def test_what_ends_as_a_sentence_does(text: str, expected: bool) -> None:
    assert is_sentence(text) == expected
