"""mt.page_data: the figures of the files that it reads, each where it belongs."""

import copy

import pytest

from mt.page_data import comet_section, corpus_section, noise_section, waterfall
from report_inputs import COMET, COUNTS, FILTER, NOISE


def test_the_waterfall_adds_up():
    steps = waterfall(FILTER)
    assert steps[0] == ("read", FILTER["read"])
    assert steps[-1] == ("kept", FILTER["kept"])
    assert [name for name, _ in steps[1:-1]] == FILTER["reasons"]
    assert sum(count for _, count in steps[:-1]) == FILTER["kept"]


def test_kept_and_dropped_stand_beside_each_other():
    page = "\n".join(noise_section(NOISE, FILTER, "plots"))
    for side in ("kept", "dropped"):
        assert f"{FILTER['oracle'][side]['chrf']:.2f}" in page
    assert f"corpus chrF {NOISE['oracle']['corpus_chrf']:.2f}" in page


def test_unknown_sources_are_said_to_be_unknown():
    noise, filtered = copy.deepcopy(NOISE), copy.deepcopy(FILTER)
    noise["oracle"] = {"segments": 0}
    for side in filtered["oracle"].values():
        side.update(segments=0, chrf=None, similarity=None)
    page = "\n".join(noise_section(noise, filtered, "plots"))
    assert "the noise cannot be measured" in page
    assert "None" not in page


def test_every_split_is_listed_with_its_size():
    page = "\n".join(corpus_section(COUNTS))
    for name, split in COUNTS["splits"].items():
        assert f"| {name} | {split['segments']:,} |" in page


@pytest.mark.parametrize(("metrics", "shown"), [(["bleu", "comet_mini"], True), (["comet_wmt22-comet-da"], False)])
def test_only_a_stand_in_is_explained(metrics, shown):
    page = "\n".join(comet_section(COMET, metrics))
    assert bool(page) == shown
    assert (f"{100 * COMET['ranking_accuracy']:.1f} %" in page) == shown
