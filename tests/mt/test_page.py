"""The page's tables, row by row, as they stand in the Markdown."""

from dataclasses import replace
from pathlib import Path

import pytest

from mt.page import Measured, page
from mt.results import Leaks, read_testset, read_training
from mt.samples import Sample
from mt.systems import System
from report_inputs import COMET, COUNTS, EMBEDDED, FILTER, LOG, NOISE, PUBLISHED, dump, epochs, scores

NASTY = "| <b>太字</b>\n*x*"
SCORES = {system: {"chrf": 20.0, "comet_mini": 0.5} for system in ("baseline", "bt", "ft", "ft_bt")}


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    dump(tmp_path / "kyoto.json", scores("kyoto", 3))
    for system in ("reverse", "bt"):
        dump(tmp_path / system / "epochs.json", epochs(system))
        dump(tmp_path / system / "log.json", LOG)
    hyps = {"baseline": NASTY, "bt": "", "ft": "良い。", "ft_bt": "とても良い。"}
    return Measured(
        setup=EMBEDDED,
        testsets=[read_testset(tmp_path / "kyoto.json")],
        trainings=[read_training(tmp_path / system, system) for system in ("reverse", "bt")],
        samples=[Sample("kyoto", "k:1", "A & B", "甲と乙", hyps, SCORES)],
        comet=COMET,
        prepared=COUNTS,
        noise=NOISE,
        filter=FILTER,
        leakage=[
            Leaks("data/train/bt.jsonl", 1100, 0, {"kyoto": 0}),
            Leaks("data/train/ft.jsonl", 400, 0, {"kyoto": 0}),
        ],
    )


ROWS = {
    "systems": (
        "- `baseline`: the base model, prompted with examples from the training set\n"
        "- `bt`: fine-tuned on backtranslated pairs only\n"
        "- `ft`: fine-tuned on genuine pairs only\n"
        "- `ft_bt`: fine-tuned on genuine and backtranslated pairs\n"
    ),
    "comparison": "- **Adding backtranslated pairs to the genuine ones** (`ft_bt` against `ft`)",
    "scores": "| `bt` | 0.90 [0.50, 1.34] | 12.00 [11.30, 12.77] | 0.4124 [0.3924, 0.4344] | 98.8 % |",
    "degenerate kinds": (
        "| system | of any kind | empty | endless repetition | copy of the source | wrong language | cut at the limit |"
    ),
    "degenerate": "| `bt` | 1,234 | 2 | 1 | 3 | 4 | 5 |",
    "a gain": "| `ft` − `baseline` | **+1.30 (p < 0.001)** | **+3.21 (p < 0.001)** | **+0.1089 (p < 0.001)** |",
    "a loss": "| `bt` − `baseline` | **−0.30 (p = 0.012)** | **−1.39 (p = 0.012)** | **±0.0000 (p = 0.012)** |",
    "chance": "| `ft_bt` − `ft` | +0.10 (p = 0.410) | +0.12 (p = 0.410) | +0.0099 (p = 0.410) |",
    "interval": "the bounds of the 90 % bootstrap interval over segments (500 resamples)",
    "owner": "### kyoto, k:1",
    "source": "| source | A &amp; B |  |  |",
    "markup": r"| `baseline` | \| &lt;b&gt;太字&lt;/b&gt; \*x\* | 20.00 | 0.5000 |",
    "empty": "| `bt` | *(empty)* | 20.00 | 0.5000 |",
    "paper": "| here, kyoto: BLEU | 1.20 | 0.90 | 2.50 | 2.60 |",
    "an epoch": "| `bt` | 1 | 2.8000 | 13.00 | 0.4800 |",
    "the kept epoch": "| **`bt`** | **2** | **2.5000** | **14.00** | **0.5000** |",
    "no COMET": "| `reverse` | 1 | 2.1000 | 32.00 | – |",
    "log": (
        "- `bt`: 50 of 75 steps on 399 segments; 1 dropped: more than max\\_tokens tokens; the warm-up of 500 steps "
        "never ends: the training has 75 steps."
    ),
    "reverse": "scale of their own.\n",
    "translator": "The reverse model translated 700 monolingual segments; 1.0 % came out empty.",
    "noise": "690 of them: corpus chrF 28.40, mean segment chrF 27.25, mean cosine of sentence vectors 0.8712.",
    "a threshold": r"| max\_repetition | 31 | 610 | 35 |",
    "kept": "| **kept** |  | **512** |  |",
    "oracle": "| dropped | 185 | 15.25 | – |",
    "rejected": r"| max\_copy | 0.75 (threshold 0.5) | トム\|Tom | トムだ。 |",
    "rejected as a leak": r"| near\_test | near to kyoto:1\* | It rained. | 雨だ。 |",
    "rejected and empty": r"| min\_src\_chars | 0 (threshold 1) | *(empty)* | はい。 |",
    "corpus": r"| near\_test | 3,300 | 190,000 |",
    "split": "| train | 400 | 24 [8, 71] | 24 [8, 71] | 24.000 [8.000, 71.000] |",
    "split of one side": "| mono | 700 | – | – | – |",
    "leakage": (
        "All that is learnt from, 1,500 segments in 2 files, was held on each side to both sides of the test sets, "
        "kyoto: no segment is near to a test segment.\n"
    ),
    "warning": "> **COMET-mini (stand-in) is no published COMET checkpoint.** This pipeline builds it",
    "stand-in": "| pairs ranked rightly | 97.1 % of 7,654 |",
    "perturbation": "| drop | 0.5500 | 95.0 % |",
    "signature": r"| kyoto | 3 | chrF | `nrefs:1\|case:mixed\|eff:yes\|nc:6\|nw:0\|space:no\|version:2.6.0` |",
    "revision": "| kyoto | `baseline-0a1b2c` | `bt-0a1b2c` | `ft-0a1b2c` | `ft_bt-0a1b2c` |",
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_page_says(measured: Measured, row: str) -> None:
    assert row in page(measured, "plots")


def test_one_rejected_segment_a_reason_in_the_order_of_reasons(measured: Measured) -> None:
    rejected = [{"reason": reason, "src": "a", "tgt": "b", "value": 1, "threshold": 2} for reason in ("max_copy",) * 3]
    rejected.append({**rejected[0], "reason": "max_echo"})
    text = page(replace(measured, filter={**FILTER, "rejected": rejected}), "plots")
    table = text.partition("One rejected segment of each reason:")[2].partition("\n## ")[0]
    assert table.count("max\\_copy") == 1
    assert table.index("max\\_echo") < table.index("max\\_copy")


def test_unknown_sources_are_said_to_be_unknown(measured: Measured) -> None:
    nothing: dict[str, object] = {
        "segments": 0,
        "corpus_chrf": None,
        "chrf": None,
        "similarity": None,
        "signatures": [],
    }
    text = page(replace(measured, noise={**NOISE, "oracle": nothing}), "plots")
    assert "The true source is known for none of them" in text
    assert "None" not in text


def test_no_word_of_stand_ins_where_there_is_none(measured: Measured) -> None:
    text = page(replace(measured, comet={**PUBLISHED, "checkpoint": "mini"}), "plots")
    assert "| COMET mini |" in text
    assert "stand-in" not in text


def test_what_systems_are_follows_from_the_parameters(measured: Measured) -> None:
    systems = replace(EMBEDDED.systems, bt=System(genuine=True, synthetic=True))
    text = page(replace(measured, setup=replace(EMBEDDED, shots=0, systems=systems)), "plots")
    assert "- `baseline`: the base model, prompted without examples\n" in text
    assert "- `bt`: fine-tuned on genuine and backtranslated pairs\n" in text
    assert "- **Fine-tuning on both** (`bt` against `baseline`)" in text
    assert "alone" not in text.partition("## Scores")[0]


def test_blocks_stand_apart_by_one_line(measured: Measured) -> None:
    text = page(measured, "plots")
    assert "\n\n\n" not in text
    assert text.endswith("|\n")
