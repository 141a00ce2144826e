"""German→English as docs/adding.md adds it: the page's own diff, through all stages, on 128 sentences.

The sizes are cut to the corpus, and a small random model from a model hub's cache stands in the place of the language
model, so that the scores mean nothing; the encoder, the language identifier and the COMET that is built are real.
"""

import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

import tiny_hub
from clone import UNFILTERED, Clone, changed, cloned
from disturbed import Disturbed, Moment, outs
from mt.degenerate import COUNTS
from mt.files import read_json
from mt.results import SYSTEMS
from mt.segments import read_segments
from pipeline import ROOT, rerun

PAGE = ROOT / "docs" / "adding.md"
CORPUS = ROOT / "tests" / "data" / "german_english.tsv"
SPLITS = {"tests/held_out": 8, "dev": 4, "comet": 40, "train": 16, "mono": 24}
SAVE_STEPS = 1
CUT: dict[str, Any] = {
    "models.source.format": "hub",
    "models.source.repo": tiny_hub.MISTRAL,
    "models.source.sha256": None,
    "models.source.archives": [],
    "comet.held_out": 8,
    "comet.epochs": 1,
    "prepare.test": SPLITS["tests/held_out"],
    **{f"prepare.{name}": size for name, size in SPLITS.items() if "/" not in name},
    "base.vocabulary": "full",
    "prompt.shots": 2,
    **{
        f"{section}.{key}": value
        for section in ("finetune", "reverse.finetune")
        for key, value in {
            "epochs": 1,
            "warmup_steps": 0,
            "batch_size": 8,
            "micro_batch_size": 8,
            "micro_batch_tokens": 4096,
            "max_tokens": 512,
            "save_steps": SAVE_STEPS,
            "decode.batch_tokens": 256,
            "decode.max_new_tokens": 8,
        }.items()
    },
    **{
        f"{section}.decode.{key}": value
        for section in ("backtranslate", "translate")
        for key, value in {"max_new_tokens": 8, "batch_tokens": 256}.items()
    },
    **UNFILTERED,
    "merge.ratio": 0.25,
    "evaluate.bootstrap_samples": 50,
    "report.samples": 3,
}
"""Sizes; the model; and, since it writes nothing of sense, a filter that lets it pass."""

KILLS = (
    (r"^\{'loss':|\| 1/2 \[", 0, 0.3, signal.SIGKILL),
    ("Running stage 'finetune@", 1, 0.0, signal.SIGTERM),
    ("Running stage 'translate@", 1, 0.0, signal.SIGKILL),
    ("Running stage 'evaluate@", 0, 4.0, signal.SIGKILL),
)
"""What has been printed, at first a step of training; how many rows more the memory holds then, so that work is under
way; how many seconds later, at the most, the run ends; and by what."""

pytestmark = pytest.mark.slow


def diff() -> str:
    """The diff that the page shows."""
    (shown,) = re.findall(r"^```diff\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return str(shown)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone in which the page was followed."""
    place = tmp_path_factory.mktemp("language pair")
    pinned = tiny_hub.fill(place / "hub")[tiny_hub.MISTRAL]
    environment = {"HF_HUB_CACHE": str(place / "hub"), "HF_HUB_OFFLINE": "1"}
    preset = (ROOT / "presets" / "embedded.yaml").read_text(encoding="utf-8")
    with cloned(place / "a clone", preset, environment) as made:
        shutil.copyfile(CORPUS, made.folder / "data/testsets/german_english.tsv")
        shutil.copyfile(made.folder / "presets/embedded.yaml", made.folder / "presets/deen.yaml")
        subprocess.run(["git", "apply"], cwd=made.folder, input=diff(), text=True, check=True)
        cut = changed(made.folder / "presets/deen.yaml", {**CUT, "models.source.revision": pinned.revision})
        (made.folder / "params.yaml").write_text(cut, encoding="utf-8")
        made.walk()
        made.dvc("commit", "--force")
        yield made


def test_the_splits_are_as_large_as_was_asked(clone: Clone) -> None:
    prepared = clone.folder / "data/prepared"
    assert {name: len(read_segments(prepared / f"{name}.jsonl", ("tgt",))) for name in SPLITS} == SPLITS


def test_no_sentence_of_the_corpus_is_dropped(clone: Clone) -> None:
    counts = read_json(clone.folder / "data/prepared/counts.json")["parallel"]
    assert {reason: count for reason, count in counts["dropped"].items() if count} == {}


def test_sources_are_german_and_targets_english(clone: Clone) -> None:
    pairs = dict(line.split("\t") for line in CORPUS.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    for segment in read_segments(clone.folder / "data/prepared/train.jsonl", ("src", "tgt")):
        assert pairs[segment["src"]] == segment["tgt"]


def test_every_system_is_scored_with_its_share_of_english(clone: Clone) -> None:
    summary = clone.summary()
    assert list(summary) == ["held_out"]
    assert sorted(summary["held_out"]) == sorted(SYSTEMS)
    for scores in summary["held_out"].values():
        assert set(scores) == {"bleu", "chrf", "comet_mini-en", *COUNTS, "en"}


def test_every_system_is_another_model(clone: Clone) -> None:
    systems = read_json(clone.folder / "data/scores/held_out.json")["systems"]
    assert len({scores["model"] for scores in systems.values()}) == len(SYSTEMS)


def test_bleu_splits_at_spaces(clone: Clone) -> None:
    signature = read_json(clone.folder / "data/scores/held_out.json")["signatures"]["bleu"]
    assert "|tok:13a|" in signature


@pytest.mark.parametrize("text", ["Japan", "`ja`", 'lang="ja"', "2511.12109"])
def test_the_report_says_nothing_of_another_pair(clone: Clone, text: str) -> None:
    for name in ("report.md", "report.html"):
        assert text not in (clone.folder / "metrics" / name).read_text(encoding="utf-8")


def test_the_report_names_preset_language_and_stand_in(clone: Clone) -> None:
    page = (clone.folder / "metrics/report.md").read_text(encoding="utf-8")
    for text in ("Preset deen", "`en`: the share of hypotheses", "mini-en (stand-in)"):
        assert text in page


def test_what_is_cut_off_again_and_again_ends_as_if_it_had_not_been(clone: Clone) -> None:
    other = ("  seed: 1\n  epochs: 1\n", "  seed: 2\n  epochs: 1\n")
    clone.commit()
    clone.replace("params.yaml", *other)
    clone.walk(rerun(["finetune.seed"], [], {}, clone.folder))
    expected = outs(clone)
    clone.reset()
    shutil.rmtree(clone.folder / ".cache")
    clone.replace("params.yaml", *other)
    runs, rng = Disturbed(clone, expected, SAVE_STEPS), random.Random(1)
    moments = [(Moment(text, kept, rng.uniform(0, most)), number) for text, kept, most, number in KILLS]
    hits = [runs.kill(moment, number, "--no-run-cache") for moment, number in moments]
    print(*hits, sep="\n")
    assert len({hit.state.stage for hit in hits if hit}) > 1
    assert any(hit.state.held for hit in hits if hit)
    assert [fault for hit in hits if hit for fault in hit.faults] == []
    assert runs.through("--no-run-cache") == []
