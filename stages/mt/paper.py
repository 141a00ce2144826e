"""The paper that the study repeats, arXiv 2511.12109: its figures beside those of a run, and what the two share."""

from collections.abc import Mapping, Sequence
from typing import Any

from mt.markdown import code, escape, table
from mt.prompt import Languages
from mt.results import SYSTEMS, TestsetResult, is_built
from mt.setup import Setup, Systems, base_model
from mt.systems import System
from mt.wording import COMET, number

LANGUAGES = Languages("en", "ja")
TRAINED_ON = Systems(System(False, False), System(False, True), System(True, False), System(True, True))
MODEL = "mistralai/Mistral-7B-v0.3"
CORPUS, PAIRS = "wikicorpus", 1500

FIGURES = {
    "baseline": {"COMET": "0.460", "BLEU": "–"},
    "bt": {"COMET": "0.468", "BLEU": "–"},
    "ft": {"COMET": "0.589", "BLEU": "1.97"},
    "ft_bt": {"COMET": "0.597", "BLEU": "1.41"},
}
"""COMET and BLEU of the paper's systems, as it prints them."""


APART = "**The figures are not comparable.**"
PARTLY = (
    "**The COMET figures are not comparable, since the paper's checkpoint is not known; BLEU is comparable only as far "
    "as the test segments, the tokenizer and all other settings agree too.**"
)


def paper_section(
    setup: Setup, pairs: int, testsets: Sequence[TestsetResult], names: Mapping[str, str], comet: Mapping[str, Any]
) -> list[str]:
    """The paper's figures above those of the run; nothing where languages or systems are others.

    Args:
        setup: what the run is made with.
        pairs: how many genuine pairs train it.
        testsets: what was measured.
        names: metric → its name for readers.
        comet: what is known of the checkpoint, see mt.results.read_comet.
    """
    if (setup.languages, setup.systems) != (LANGUAGES, TRAINED_ON):
        return []
    metrics = [*(metric for metric in names if metric.startswith(COMET)), "bleu"]
    rows = [[f"paper: {name}", *(FIGURES[system][name] for system in SYSTEMS)] for name in ("COMET", "BLEU")]
    for testset in testsets:
        for metric in metrics:
            ours = [number(metric, testset.systems[system].scores[metric].value) for system in SYSTEMS]
            rows.append([f"here, {escape(testset.name)}: {names[metric]}", *ours])
    checkpoints = ", ".join(names[metric] for metric in metrics[:-1])
    shared = same_model(setup) and same_pairs(setup, pairs) and not is_built(comet)
    return [
        "## Beside the paper",
        "Fujita and Takada (arXiv 2511.12109, WMT 25) trained Mistral 7B v0.3 on 1,500 pairs of WikiCorpus and scored "
        f"with a COMET checkpoint that they do not name. The preset {code(setup.preset)} beside that:",
        "\n".join(f"- {line}" for line in (_model(setup), _pairs(setup, pairs), _checkpoint(checkpoints, comet))),
        f"{PARTLY if shared else APART} What can be read from them is the direction within each row.",
        table(["", *(f"`{system}`" for system in SYSTEMS)], "l" + "r" * len(SYSTEMS), rows),
    ]


def same_model(setup: Setup) -> bool:
    """Whether the base model is the paper's, whole."""
    return setup.repo == MODEL and setup.vocabulary == "full"


def same_pairs(setup: Setup, pairs: int) -> bool:
    """Whether the genuine pairs are as many as the paper's, of its corpus."""
    return setup.corpus == CORPUS and pairs == PAIRS


def _model(setup: Setup) -> str:
    if setup.repo != MODEL:
        return f"Model: {base_model(setup)}; not {code(MODEL)}."
    but = "" if same_model(setup) else ", but with a trimmed vocabulary"
    return f"Model: the same, {code(MODEL)}{but}."


def _pairs(setup: Setup, pairs: int) -> str:
    if setup.corpus != CORPUS:
        return f"Training pairs: {pairs:,} from another source, {code(setup.corpus)}."
    but = "though perhaps not the same ones" if same_pairs(setup, pairs) else f"where the paper has {PAIRS:,}"
    return f"Training pairs: {pairs:,} of the same corpus, {but}."


def _checkpoint(name: str, comet: Mapping[str, Any]) -> str:
    if is_built(comet):
        return f"COMET checkpoint: {name}, which is built here and not published."
    return f"COMET checkpoint: {name}, {code(comet['repo'])}; whether the paper's is the same is not known."
