"""mt.page_data: the figures of the files that it reads, each where it belongs."""

from dataclasses import replace

import pytest

from mt.page_data import (
    comet_section,
    corpus_section,
    leakage_section,
    noise_section,
    training_section,
    waterfall,
)
from mt.results import Epoch, Leaks, Training
from report_inputs import (
    COMET,
    COUNTS,
    FILTER,
    FILTER_UNKNOWN,
    LOG,
    NOISE,
    NOISE_UNKNOWN,
    NOTHING_TRAINED,
    OTHER_MONO,
    PUBLISHED,
)

FT = Training("ft", [Epoch(1, 2.5, {"chrf": 13.0}, best=True)], LOG)
UNTRAINED = Training("reverse", [], NOTHING_TRAINED)


def test_the_waterfall_adds_up():
    steps = waterfall(FILTER)
    assert steps[0] == ("read", FILTER["read"])
    assert steps[-1] == ("kept", FILTER["kept"])
    assert [name for name, _ in steps[1:-1]] == FILTER["reasons"]
    assert sum(count for _, count in steps[:-1]) == FILTER["kept"]


def test_kept_and_dropped_stand_beside_each_other():
    page = "\n".join(noise_section(NOISE, FILTER, "The reverse model", "plots"))
    for side in ("kept", "dropped"):
        assert f"{FILTER['oracle'][side]['chrf']:.2f}" in page
    assert f"corpus chrF {NOISE['oracle']['corpus_chrf']:.2f}" in page


def test_unknown_sources_are_said_to_be_unknown():
    page = "\n".join(noise_section(NOISE_UNKNOWN, FILTER_UNKNOWN, "The reverse model", "plots"))
    assert "the noise cannot be measured" in page
    assert "None" not in page
    assert "set-aside" not in page


def test_a_reverse_model_without_training_has_its_note_and_no_row():
    page = "\n".join(training_section([UNTRAINED, FT], ["chrf"], {"chrf": "chrF"}, "", "plots"))
    assert "| `reverse`" not in page
    assert "- `reverse`: nothing is trained: epochs is 0.\n- `ft`: 50 of 75 steps" in page
    assert "| **`ft`** | **1** | **2.5000** | **13.00** |" in page


@pytest.mark.parametrize("counts", [COUNTS, OTHER_MONO], ids=["one corpus", "mono of its own"])
def test_every_split_is_listed_with_its_size(counts):
    page = "\n".join(corpus_section(counts))
    for name, split in counts["splits"].items():
        assert f"| {name} | {split['segments']:,} |" in page


def test_every_reason_falls_in_its_order():
    page = "\n".join(corpus_section(OTHER_MONO))
    fall = "| over\\_limit | 60 | 9,012 |\n| malformed | 12 | 9,000 |\n| same\\_document | 1,000 | 8,000 |"
    assert fall in page
    assert "| mono corpus | dropped | left |" in page
    assert "| mono | 5,000 | – | 24 [8, 71] | – |" in page


TRAIN = Leaks("data/prepared/train.jsonl", 4000, 0, {"tatoeba": 0, "kyoto": 0})


def test_no_leak_is_a_sentence():
    (sentence,) = leakage_section([TRAIN, TRAIN])
    assert "8,000 segments in 2 files" in sentence
    assert sentence.endswith("of the test sets, tatoeba, kyoto: no segment is near to a test segment.")


def test_files_that_leak_are_listed_and_no_other():
    leaky = Leaks("data/train/ft_bt.jsonl", 1500, 1200, {"tatoeba": 1200, "kyoto": 1})
    sentence, table = leakage_section([TRAIN, leaky])
    assert sentence.endswith(": 1,200 segments are near to a test segment.")
    assert table.split("\n") == [
        "| file | segments | near to a test segment | of tatoeba | of kyoto |",
        "| :-- | --: | --: | --: | --: |",
        "| data/train/ft\\_bt.jsonl | 1,500 | 1,200 | 1,200 | 1 |",
    ]


def test_one_leak_is_one():
    assert ": 1 segment is near" in leakage_section([replace(TRAIN, leaks=1)])[0]


@pytest.mark.parametrize(("comet", "shown"), [(COMET, True), (PUBLISHED, False)])
def test_only_a_stand_in_is_explained(comet, shown):
    page = "\n".join(comet_section(comet, "COMET-mini (stand-in)"))
    assert bool(page) == shown
    assert (f"{100 * COMET['ranking_accuracy']:.1f} %" in page) == shown
