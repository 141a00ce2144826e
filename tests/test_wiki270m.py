"""The wiki270m preset, stage by stage, cut to 8 pairs, on a sample of its corpus where that is at hand.

A small random Gemma, packed as the real one is, stands in its place; tests/test_smoke.py has the real one. The encoder,
the language identifier and the COMET that is built are real.
"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import tiny
from clone import UNFILTERED, Clone, cloned, preset
from mt.archives import user_cache
from mt.files import read_json, sha256
from mt.results import SYSTEMS
from mt.segments import read_segments
from pipeline import ROOT
from wheels import halves

SAMPLE = ROOT.parent / "shared" / "wikicorpus" / "wiki_corpus_2.01_sample.tar.gz"
CUT = {
    "corpora.tests.1.limit": 8,
    "corpora.tests.2.limit": 4,
    "comet.held_out": 20,
    "comet.epochs": 1,
    "prepare.train": 8,
    "prepare.dev": 4,
    "prepare.test": 8,
    "prepare.mono": 16,
    "prepare.comet": 40,
    "prepare.max_chars": 80,
    "prompt.shots": 1,
    "reverse.finetune.epochs": 1,
    "reverse.finetune.batch_size": 8,
    "reverse.finetune.decode.max_new_tokens": 8,
    "backtranslate.decode.max_new_tokens": 16,
    **UNFILTERED,
    "merge.ratio": 0.25,
    "finetune.epochs": 1,
    "finetune.batch_size": 8,
    "finetune.decode.max_new_tokens": 8,
    "translate.decode.max_new_tokens": 8,
    "evaluate.bootstrap_samples": 50,
    "report.samples": 3,
}
"""Sizes; and, since the model writes nothing of sense, a filter that lets it pass."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not SAMPLE.is_file(), reason="needs the sample of the corpus")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone in which the preset has run; the sample stands where the corpus would be downloaded to."""
    place = tmp_path_factory.mktemp("wiki270m")
    cache = place / "cache" / "honyaku"
    cache.mkdir(parents=True)
    user_cache().mkdir(parents=True, exist_ok=True)
    for archive in user_cache().iterdir():
        (cache / archive.name).symlink_to(archive)
    corpus = cache / "wiki_corpus_2.01.tar.gz"
    corpus.unlink(missing_ok=True)  # or the user's own would be written over
    shutil.copyfile(SAMPLE, corpus)
    values = CUT | packed(cache, place / "tiny.gguf")
    with cloned(place / "a clone", preset("wiki270m", values), {"XDG_CACHE_HOME": str(cache.parent)}) as made:
        made.walk()
        yield made


def packed(cache: Path, file: Path) -> dict[str, Any]:
    """Put a small random Gemma where the archives of the real one would be, and pin it."""
    vocabulary = tiny.pieces()
    model = tiny.gemma(len(vocabulary.tokens))
    model.config.max_position_embeddings = 2048
    archives = halves(cache, tiny.write_gguf(file, model, vocabulary).read_bytes())
    return {"models.source.sha256": sha256(file), "models.source.archives": [asdict(one) for one in archives]}


def test_every_article_but_the_broken_one_is_read(clone: Clone) -> None:
    counts = read_json(clone.folder / "data/raw/counts.json")["parallel"]
    assert (counts["read"] - counts["dropped"]["malformed"], counts["dropped"]["malformed"]) == (9072, 1)


def test_no_article_stands_in_two_splits(clone: Clone) -> None:
    prepared = clone.folder / "data/prepared"
    files = [
        *(prepared / f"{name}.jsonl" for name in ("train", "dev", "mono", "comet", "pool")),
        prepared / "tests/wikicorpus.jsonl",
    ]
    articles = [{segment["id"].split(":")[1] for segment in read_segments(file, ("tgt",))} for file in files]
    assert len(set.union(*articles)) == sum(map(len, articles))


def test_every_system_is_scored_on_every_test_set(clone: Clone) -> None:
    assert {name: sorted(scores) for name, scores in clone.summary().items()} == {
        name: sorted(SYSTEMS) for name in ("wikicorpus", "tatoeba", "kyoto")
    }


def test_the_limit_holds(clone: Clone) -> None:
    tests = clone.folder / "data/prepared/tests"
    sizes = {
        name: len(read_segments(tests / f"{name}.jsonl", ("src", "tgt"))) for name in ("wikicorpus", "tatoeba", "kyoto")
    }
    assert sizes == {"wikicorpus": 8, "tatoeba": 8, "kyoto": 4}
