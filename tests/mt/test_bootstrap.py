"""mt.bootstrap: held beside sacreBLEU's own test, and to what intervals and p-values promise."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from mt.bootstrap import interval, p_value, resampled_scores, resamples
from mt.quality import bleu_statistics, chrf_statistics, mean_statistics

SAMPLES = 1000
SACREBLEU_SEED = 12345
CHARACTERS = list("猫犬雨本茶山海駅父歌がをは")


def corpus(segments: int, noise: float, seed: int) -> tuple[list[str], list[str], list[str]]:
    """References, and two systems of which the second gets one character in `noise` more wrong."""
    rng = np.random.default_rng(seed)
    refs = rng.choice(CHARACTERS, (segments, 12))
    first = np.where(rng.random(refs.shape) < 0.4, rng.choice(CHARACTERS, refs.shape), refs)
    second = np.where(rng.random(refs.shape) < noise, rng.choice(CHARACTERS, refs.shape), first)
    texts = [["".join(row) for row in side] for side in (refs, first, second)]
    return texts[0], texts[1], texts[2]


def test_resamples_are_draws_with_replacement():
    counts = resamples(50, 200, 7)
    assert counts.shape == (200, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert counts.mean(axis=0) == pytest.approx(1, abs=0.4)
    assert counts.max() > 2
    assert (counts == resamples(50, 200, 7)).all()
    assert (counts != resamples(50, 200, 8)).any()


def test_resampled_scores_are_those_of_the_drawn_segments():
    refs, hyps, _ = corpus(20, 0, 1)
    statistics = chrf_statistics(hyps, refs)
    counts = resamples(20, 5, 3)
    drawn = [[i for i, count in enumerate(row) for _ in range(int(count))] for row in counts]
    expected = [chrf_statistics([hyps[i] for i in row], [refs[i] for i in row]).value for row in drawn]
    assert resampled_scores(statistics, counts) == pytest.approx(expected)


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.02, 0.1])
def test_p_is_near_sacrebleus_which_is_one_sided(noise, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", str(SACREBLEU_SEED))
    refs, first, second = corpus(80, noise, 2)
    _, found = PairedTest(
        [("a", first), ("b", second)],
        {"BLEU": BLEU(tokenize="char"), "CHRF": CHRF()},
        [refs],
        test_type="bs",
        n_samples=SAMPLES,
    )()
    counts = resamples(len(refs), SAMPLES, SACREBLEU_SEED)
    for name, one, two in (
        ("BLEU", bleu_statistics(first, refs, "char"), bleu_statistics(second, refs, "char")),
        ("chrF2", chrf_statistics(first, refs), chrf_statistics(second, refs)),
    ):
        p = p_value(one.value - two.value, resampled_scores(one, counts), resampled_scores(two, counts))
        least, most = found[name][1].p_value / 2.5, found[name][1].p_value * 2.5
        assert least - 2 / SAMPLES <= p <= most + 2 / SAMPLES
        assert one.value == pytest.approx(found[name][0].score)


def test_equal_systems_come_out_below_a_level_as_often_as_it_says():
    rng = np.random.default_rng(6)
    counts = resamples(100, 200, 1)
    low = 0
    for _ in range(500):
        one, two = (mean_statistics(rng.normal(0, 1, 100).tolist(), "") for _ in range(2))
        p = p_value(one.value - two.value, resampled_scores(one, counts), resampled_scores(two, counts))
        low += p < 0.1
    assert low / 500 == pytest.approx(0.1, abs=0.035)


def test_p_is_small_for_unlike_systems_and_1_for_the_same():
    refs, first, second = corpus(100, 0.5, 3)
    one, two = chrf_statistics(first, refs), chrf_statistics(second, refs)
    counts = resamples(100, SAMPLES, 1)
    scores = resampled_scores(one, counts), resampled_scores(two, counts)
    assert p_value(one.value - two.value, *scores) == 1 / (SAMPLES + 1)
    assert p_value(0.0, scores[0], scores[0]) == 1.0


def test_p_does_not_depend_on_the_order_of_the_systems():
    refs, first, second = corpus(60, 0.02, 4)
    one, two = chrf_statistics(first, refs), chrf_statistics(second, refs)
    counts = resamples(60, SAMPLES, 1)
    a, b = resampled_scores(one, counts), resampled_scores(two, counts)
    difference = one.value - two.value
    assert p_value(difference, a, b) == p_value(-difference, b, a)
    assert 0.001 < p_value(difference, a, b) < 1


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_interval_covers_the_truth_as_often_as_it_says(confidence):
    rng = np.random.default_rng(5)
    counts = resamples(100, 400, 1)
    covered = 0
    for _ in range(400):
        scores = resampled_scores(mean_statistics(rng.normal(0.3, 1, 100).tolist(), ""), counts)
        low, high = interval(scores, confidence)
        covered += low <= 0.3 <= high
    assert covered / 400 == pytest.approx(confidence, abs=0.05)


def test_interval_bounds_are_percentiles():
    assert interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))
