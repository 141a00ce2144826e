"""The score stage with a faked encoder and language identifier."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import score
from mt.errors import InputError
from mt.features import FEATURES
from mt.prompt import Languages

PARAMS = score.Params(
    languages=Languages("en", "ja"),
    template="{src_language}: {src}\n{tgt_language}: {tgt}\n",
    score=score.Score(prefix="query: ", precision="float32", batch_size=2, repetition_ngram=3, copy_ngram=3),
)
RAW: list[dict[str, Any]] = [
    {"id": "m:1", "src": "It is a cat.", "tgt": "それは猫です。", "logprob": -0.5, "model": "m"},
    {"id": "m:2", "src": "", "tgt": "犬が好きだ。", "logprob": -2, "model": "m"},
    {"id": "m:3", "src": "Japanese: 雨だ。", "tgt": "雨だ。", "logprob": -1.0, "model": "m"},
]
REFS = [{"id": "m:3", "src": "It rains."}, {"id": "m:1", "src": "It is a cat."}]


class FakeEncoder:
    """Texts without Japanese are one vector, texts with it another, half a right angle apart."""

    def __init__(self, folder: Path, prefix: str, precision: str) -> None:
        assert (folder.name, prefix, precision) == ("encoder", "query: ", "float32")

    def embed(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        assert batch_size == 2
        half = np.sqrt(np.float32(0.5))
        return np.array([[1, 0] if text.isascii() else [half, half] for text in texts], dtype=np.float32)


class FakeLanguageId:
    """Sure of English without a Japanese character, sure of Japanese with one."""

    def __init__(self, folder: Path) -> None:
        assert folder.name == "lid"

    def probabilities(self, texts: Sequence[str], language: str) -> list[float]:
        return [float(text.isascii() == (language == "en")) for text in texts]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> score.Paths:
    monkeypatch.setattr(score, "Encoder", FakeEncoder)
    monkeypatch.setattr(score, "LanguageId", FakeLanguageId)
    (tmp_path / "encoder").mkdir()
    return score.Paths(
        synthetic=lines(tmp_path / "raw.jsonl", RAW),
        mono_refs=lines(tmp_path / "refs.jsonl", REFS),
        encoder=tmp_path / "encoder",
        lid=tmp_path / "lid",
        out=tmp_path / "scored.jsonl",
        metrics=tmp_path / "noise.json",
    )


def lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_segments_keep_their_order_and_keys(paths: score.Paths) -> None:
    score.run(paths, PARAMS)
    found = read(paths.out)
    assert [{key: row[key] for key in RAW[0]} for row in found] == RAW
    assert [list(row) for row in found] == [["id", "src", "tgt", "logprob", "model", "scores", "oracle"]] * 3
    assert [tuple(row["scores"]) for row in found] == [FEATURES] * 3


def test_scores_and_oracle_belong_to_their_segments(paths: score.Paths) -> None:
    score.run(paths, PARAMS)
    first, second, third = read(paths.out)
    assert first["scores"]["similarity"] == third["oracle"]["similarity"] == pytest.approx(0.707107)
    assert first["oracle"] == {"chrf": 100.0, "similarity": 1.0}
    assert second["oracle"] == {}
    assert second["scores"]["similarity"] == second["scores"]["src_chars"] == second["scores"]["src_language"] == 0.0
    assert third["oracle"]["chrf"] < 10
    assert third["scores"]["similarity"] == 1.0
    assert (third["scores"]["echo"], third["scores"]["copy"], third["scores"]["tgt_language"]) == (0.5, 1.0, 1.0)
    assert [row["scores"]["logprob"] for row in (first, second, third)] == [-0.5, -2.0, -1.0]


def test_metrics(paths: score.Paths) -> None:
    score.run(paths, PARAMS)
    noise = json.loads(paths.metrics.read_text())
    assert (noise["segments"], noise["empty"]) == (3, 0.333333)
    assert set(noise["features"]) == set(FEATURES)
    assert noise["features"]["logprob"] == {"mean": -1.166667, "p05": -1.9, "p50": -1.0, "p95": -0.55}
    oracle = noise["oracle"]
    assert oracle["segments"] == 2
    assert oracle["similarity"] == pytest.approx((1 + 0.707107) / 2, abs=1e-6)
    known = [row["oracle"]["chrf"] for row in read(paths.out) if row["oracle"]]
    assert oracle["chrf"] == pytest.approx(sum(known) / 2, abs=1e-6)
    assert 40 < oracle["corpus_chrf"] < 100
    assert oracle["signatures"][0].startswith("nrefs:1|")


def test_no_true_source_is_known(paths: score.Paths) -> None:
    paths.mono_refs.write_text("")
    score.run(paths, PARAMS)
    assert [row["oracle"] for row in read(paths.out)] == [{}, {}, {}]
    assert json.loads(paths.metrics.read_text())["oracle"] == {
        "segments": 0,
        "corpus_chrf": None,
        "chrf": None,
        "similarity": None,
        "signatures": [],
    }


def test_twice_gives_the_same_bytes(paths: score.Paths) -> None:
    score.run(paths, PARAMS)
    before = paths.out.read_bytes(), paths.metrics.read_bytes()
    score.run(paths, PARAMS)
    assert (paths.out.read_bytes(), paths.metrics.read_bytes()) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"src": None}, "raw.jsonl:2: 'src'"),
        ({"src": "a\nb"}, "raw.jsonl:2: 'src'"),
        ({"tgt": ""}, "raw.jsonl:2: 'tgt'"),
        ({"logprob": None}, "raw.jsonl:2: 'logprob'"),
        ({"logprob": True}, "raw.jsonl:2: 'logprob'"),
        ({"logprob": -1.7e308}, r"raw.jsonl:2: 'logprob' must be a number of at most 1e\+12"),
        ({"logprob": float("nan")}, r"raw.jsonl:2: not JSON \(NaN is no number"),
        ({"id": "m:1"}, "raw.jsonl:2: the id 'm:1' stands twice"),
    ],
    ids=["no source", "two lines", "no target", "no logprob", "true", "too large", "nan", "same id"],
)
def test_a_broken_segment_is_named(paths: score.Paths, change: dict[str, object], says: str) -> None:
    lines(paths.synthetic, [RAW[0], {**RAW[1], **change}, RAW[2]])
    with pytest.raises(InputError, match=says):
        score.run(paths, PARAMS)
    assert not paths.out.exists()
    assert not paths.metrics.exists()


@pytest.mark.parametrize("name", ["batch_size", "repetition_ngram", "copy_ngram"])
def test_numbers_below_one_are_refused(name: str) -> None:
    changed: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0; write"):
        replace(PARAMS.score, **changed)
