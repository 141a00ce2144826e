import pytest

from mt.prompt import FORWARD, REVERSE, Languages, Prompter, check_template, labels

TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
EN_JA = Languages("en", "ja")
SEGMENT = {"id": "1", "src": "Hello.", "tgt": "こんにちは。"}


@pytest.mark.parametrize(
    ("direction", "prompt", "continuation", "source"),
    [
        pytest.param(FORWARD, "English: Hello.\nJapanese:", " こんにちは。\n", "Hello.", id="forward"),
        pytest.param(REVERSE, "Japanese: こんにちは。\nEnglish:", " Hello.\n", "こんにちは。", id="reverse"),
    ],
)
def test_prompt_and_continuation(direction, prompt, continuation, source):
    prompter = Prompter(TEMPLATE, EN_JA, direction, [])
    assert prompter.prompt(SEGMENT) == prompt
    assert prompter.continuation(SEGMENT) == continuation
    assert prompter.source(SEGMENT) == source


def test_examples_stand_in_front_in_their_order():
    shots = [{"id": "2", "src": "a", "tgt": "あ"}, {"id": "3", "src": "b", "tgt": "い"}]
    prompter = Prompter(TEMPLATE, EN_JA, FORWARD, shots)
    assert prompter.prompt(SEGMENT) == "English: a\nJapanese: あ\nEnglish: b\nJapanese: い\nEnglish: Hello.\nJapanese:"


def test_an_example_reads_as_prompt_and_continuation():
    prompter = Prompter(TEMPLATE, EN_JA, FORWARD, [SEGMENT])
    plain = Prompter(TEMPLATE, EN_JA, FORWARD, [])
    other = {"id": "2", "src": "x", "tgt": "y"}
    assert prompter.prompt(other) == plain.prompt(SEGMENT) + plain.continuation(SEGMENT) + plain.prompt(other)


def test_braces_in_a_text_are_text():
    odd = {"id": "1", "src": "{src} {0}", "tgt": "{tgt}"}
    prompter = Prompter(TEMPLATE, EN_JA, FORWARD, [odd])
    assert prompter.prompt(odd) == "English: {src} {0}\nJapanese: {tgt}\nEnglish: {src} {0}\nJapanese:"
    assert prompter.continuation(odd) == " {tgt}\n"


def test_labels():
    assert labels(TEMPLATE, EN_JA) == ["English:", "Japanese:"]
    assert labels("Translate to {tgt_language}.\n{src} = {tgt}\n", EN_JA) == [
        "=",
        "Translate to English.",
        "Translate to Japanese.",
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param("{src} {tgt}", "a line break must follow", id="no line end"),
        pytest.param("{src} {tgt}.\n", "a line break must follow", id="text after tgt"),
        pytest.param("{tgt} {src}\n", "after it", id="order"),
        pytest.param("{src} {src} {tgt}\n", "once", id="twice"),
        pytest.param("{src} {ref} {tgt}\n", "{ref} is unknown", id="unknown"),
        pytest.param("{src} {0} {tgt}\n", r"\{0\} is unknown", id="number"),
        pytest.param("{src:>999999999} {tgt}\n", "a bare name", id="width"),
        pytest.param("{src:} {tgt}\n", "a bare name", id="empty format"),
        pytest.param("{src:{tgt}} {tgt}\n", "a bare name", id="nested"),
        pytest.param("{src!r} {tgt}\n", "a bare name", id="conversion"),
        pytest.param("{src.x} {tgt}\n", "a bare name", id="attribute"),
        pytest.param("{src[0]} {tgt}\n", "a bare name", id="item"),
        pytest.param("{} {src} {tgt}\n", "a bare name", id="no name"),
        pytest.param("{ src} {src} {tgt}\n", "a bare name", id="space"),
        pytest.param("{src} {{src}} {tgt}\n", "a bare name", id="escaped"),
        pytest.param("} {src} {tgt}\n", "a bare name", id="closing"),
        pytest.param("{src} {tgt}\n{", "a bare name", id="opening"),
    ],
)
def test_refused_templates(template, message):
    with pytest.raises(ValueError, match=message):
        check_template(template)


@pytest.mark.parametrize("codes", [("en", "en"), ("en", "xx")])
def test_refused_languages(codes):
    with pytest.raises(ValueError, match="write"):
        Languages(*codes)
