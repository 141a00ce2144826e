"""mt.paper: what a run shares with the paper is said, and no more than that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mt.paper import paper_section
from mt.prompt import Languages
from mt.results import TestsetResult, read_testset
from mt.setup import Setup
from mt.systems import System
from mt.wording import labels
from report_inputs import COMET, EMBEDDED, METRICS, PUBLISHED, dump, scores

PAPER = replace(
    EMBEDDED,
    preset="paper",
    model="Mistral-7B-v0.3",
    repo="mistralai/Mistral-7B-v0.3",
    vocabulary="full",
    corpus="wikicorpus",
)
APART = "**The figures are not comparable.**"


@pytest.fixture
def testsets(tmp_path: Path) -> list[TestsetResult]:
    dump(tmp_path / "kyoto.json", scores("kyoto", 3))
    return [read_testset(tmp_path / "kyoto.json")]


def section(setup: Setup, pairs: int, testsets: list[TestsetResult], comet: dict[str, Any]) -> str:
    return "\n\n".join(paper_section(setup, pairs, testsets, labels(METRICS, comet is COMET), comet))


def test_the_embedded_preset_shares_nothing(testsets: list[TestsetResult]) -> None:
    assert (
        "The preset `embedded` beside that:\n\n"
        "- Model: gemma-3-270m, its vocabulary trimmed; not `mistralai/Mistral-7B-v0.3`.\n"
        "- Training pairs: 400 from another source, `tatoeba`.\n"
        "- COMET checkpoint: COMET-mini (stand-in), which is built here and not published.\n\n"
        f"{APART} What can be read from them is the direction within each row.\n\n"
    ) in section(EMBEDDED, 400, testsets, COMET)


def test_the_papers_preset_shares_all_that_is_known(testsets: list[TestsetResult]) -> None:
    text = section(PAPER, 1500, testsets, PUBLISHED)
    assert (
        "- Model: the same, `mistralai/Mistral-7B-v0.3`.\n"
        "- Training pairs: 1,500 of the same corpus, though perhaps not the same ones.\n"
        "- COMET checkpoint: COMET mini, `Unbabel/wmt22-comet-da`; whether the paper's is the same is not known.\n\n"
        "**The COMET figures are not comparable, since the paper's checkpoint is not known; "
    ) in text
    assert APART not in text


@pytest.mark.parametrize(
    ("change", "pairs", "line"),
    [
        ({"repo": "org/Mistral-7B-v0.3"}, 1500, "- Model: Mistral-7B-v0.3 from `org/Mistral-7B-v0.3`; not `mistralai/"),
        ({"repo": None}, 1500, "- Model: Mistral-7B-v0.3; not `mistralai/Mistral-7B-v0.3`."),
        ({"vocabulary": "trimmed"}, 1500, "- Model: the same, `mistralai/Mistral-7B-v0.3`, but with a trimmed voc"),
        ({"corpus": "tsv"}, 1500, "- Training pairs: 1,500 from another source, `tsv`."),
        ({}, 64, "- Training pairs: 64 of the same corpus, where the paper has 1,500."),
    ],
)
def test_one_thing_apart_makes_all_figures_incomparable(
    change: dict[str, Any], pairs: int, line: str, testsets: list[TestsetResult]
) -> None:
    text = section(replace(PAPER, **change), pairs, testsets, PUBLISHED)
    assert line in text
    assert APART in text


def test_a_stand_in_sets_all_figures_apart(testsets: list[TestsetResult]) -> None:
    assert APART in section(PAPER, 1500, testsets, COMET)


@pytest.mark.parametrize(("setup", "comet"), [(EMBEDDED, COMET), (PAPER, PUBLISHED), (PAPER, COMET)])
def test_comet_is_never_comparable(setup: Setup, comet: dict[str, Any], testsets: list[TestsetResult]) -> None:
    text = section(setup, 1500, testsets, comet)
    assert "figures are not comparable" in text
    assert "checkpoint: the same" not in text


def test_figures_stand_below_the_papers(testsets: list[TestsetResult]) -> None:
    assert (
        "| paper: COMET | 0.460 | 0.468 | 0.589 | 0.597 |\n"
        "| paper: BLEU | – | – | 1.97 | 1.41 |\n"
        "| here, kyoto: COMET-mini (stand-in) | 0.4124 | 0.4124 | 0.5213 | 0.5312 |\n"
        "| here, kyoto: BLEU | 1.20 | 0.90 | 2.50 | 2.60 |"
    ) in section(EMBEDDED, 400, testsets, COMET)


@pytest.mark.parametrize(
    "change",
    [
        {"languages": Languages("de", "en")},
        {"languages": Languages("ja", "en")},
        {"systems": replace(PAPER.systems, bt=System(True, True))},
    ],
    ids=["another pair", "the other way", "other systems"],
)
def test_nothing_is_set_beside_another_study(change: dict[str, Any], testsets: list[TestsetResult]) -> None:
    assert paper_section(replace(PAPER, **change), 1500, testsets, labels(METRICS, False), PUBLISHED) == []
