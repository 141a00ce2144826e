"""mt.quality: sacreBLEU's own scores, from statistics that can be summed."""

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from mt.quality import bleu, bleu_statistics, chrf, chrf_statistics, mean_statistics, segment_chrf

CASES = [
    pytest.param(["今日はとてもいい天気です。"], ["今日はとてもいい天気です。"], 100.0, 100.0, id="same"),
    pytest.param([""], ["今日はとてもいい天気です。"], 0.0, 0.0, id="empty hypothesis"),
    pytest.param(["", ""], ["猫だ。", "犬だ。"], 0.0, 0.0, id="all empty"),
    pytest.param(["The cat sat."], ["猫が座っていた。"], 0.0, 0.0, id="nothing in common"),
    pytest.param(
        ["彼は昨日東京に行きました。", "", "雨が降っている ."],
        ["彼は昨日東京へ行った。", "犬が好きだ。", "雨が降っています。"],
        None,
        None,
        id="mixed",
    ),
]


@pytest.mark.parametrize(("hyps", "refs", "bleu_value", "chrf_value"), CASES)
def test_scores_and_signatures_are_sacrebleus(hyps, refs, bleu_value, chrf_value):
    theirs = sacrebleu.BLEU(tokenize="ja-mecab"), sacrebleu.CHRF()
    for ours, metric, value in zip(
        (bleu(hyps, refs, "ja-mecab"), chrf(hyps, refs)), theirs, (bleu_value, chrf_value), strict=True
    ):
        assert ours.value == pytest.approx(metric.corpus_score(hyps, [refs]).score, abs=1e-9)
        assert ours.signature == str(metric.get_signature())
        assert value is None or ours.value == pytest.approx(value)


def test_tokenizer_is_the_one_asked_for():
    hyps, refs = ["大きな猫が座っている。"], ["小さな猫が座っていた。"]
    assert "tok:char" in bleu(hyps, refs, "char").signature
    assert bleu(hyps, refs, "char").value != bleu(hyps, refs, "ja-mecab").value


def test_segment_chrf_is_the_sentence_score_in_order():
    hyps, refs = ["猫が好きだ。", "", "犬です。"], ["猫が大好きだ。", "雨だ。", "犬です。"]
    expected = [sacrebleu.CHRF().sentence_score(hyp, [ref]).score for hyp, ref in zip(hyps, refs, strict=True)]
    assert segment_chrf(hyps, refs) == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text("猫犬が 。a", max_size=8), st.text("猫犬が。a", min_size=1)), min_size=2, max_size=6))
def test_a_sum_of_rows_is_the_score_of_those_segments(pairs):
    hyps, refs = [hyp for hyp, _ in pairs], [ref for _, ref in pairs]
    picked = [0, *range(len(pairs)), 0]
    again = [hyps[i] for i in picked], [refs[i] for i in picked]
    for statistics, expected in (
        (chrf_statistics(hyps, refs), chrf(*again)),
        (bleu_statistics(hyps, refs, "char"), bleu(*again, "char")),
    ):
        assert statistics.score(statistics.segments[picked].sum(axis=0)) == pytest.approx(expected.value)


def test_mean_statistics():
    statistics = mean_statistics([0.25, 0.5, 1.5], "s")
    assert statistics.value == 0.75
    assert statistics.score(np.array([3.0, 4.0])) == 0.75
    assert statistics.signature == "s"


@pytest.mark.parametrize("refs", [["猫だ。"], ["猫だ。", "犬だ。", "雨だ。"]], ids=["fewer", "more"])
def test_unlike_numbers_are_an_error(refs):
    with pytest.raises(ValueError, match=f"2 hypotheses for {len(refs)} references"):
        chrf(["猫だ。", "犬だ。"], refs)
