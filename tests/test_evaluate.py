"""The evaluate stage with faked models, held to sacreBLEU and to arithmetic."""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sacrebleu

import evaluate
from mt.degenerate import COUNTS, Limits
from mt.errors import InputError
from mt.params import load
from mt.prompt import Languages
from mt.results import read_testset
from mt.segments import Segment, write_segments

PARAMS = evaluate.Params(
    languages=Languages("en", "ja"),
    evaluate=evaluate.Evaluate(
        bleu_tokenizer="ja-mecab",
        bootstrap_samples=200,
        confidence=0.95,
        seed=12345,
        batch_size=4,
        min_tgt_language=0.5,
        degenerate=Limits(repetition_ngram=3, max_repetition=0.5, copy_ngram=3, max_copy=0.8, min_tgt_language=0.3),
    ),
)
NOUNS = ("猫", "犬", "雨", "本", "茶", "山", "海", "駅", "父", "歌")
TEST = [
    {"id": f"t:{i}", "src": f"Sentence {i}.", "tgt": f"私は今日その{noun}を見ました。"} for i, noun in enumerate(NOUNS)
]
HYPS = {
    "baseline": [f"Sentence {i}." if i % 2 else "" for i in range(10)],
    "bt": [f"その{noun}" for noun in NOUNS],
    "ft": [segment["tgt"] for segment in TEST],
    "ft_bt": [segment["tgt"] for segment in TEST],
}


class FakeComet:
    """Scores the share of the reference's length that the hypothesis has."""

    key = "comet_fake"
    signature = "nrefs:1|checkpoint:fake"
    scored: ClassVar[list[tuple[str, str, str]]] = []

    def __init__(self, folder: Path) -> None:
        assert folder.name == "comet"
        self.scored.clear()

    def score(self, srcs: Sequence[str], hyps: Sequence[str], refs: Sequence[str], batch_size: int) -> list[float]:
        assert batch_size == 4
        self.scored.extend(zip(srcs, hyps, refs, strict=True))
        assert all(src.startswith("Sentence") for src in srcs)
        return [len(hyp) / len(ref) / 3 for hyp, ref in zip(hyps, refs, strict=True)]


class FakeLanguageId:
    """Sure of Japanese without ASCII."""

    def __init__(self, folder: Path) -> None:
        assert folder.name == "lid"

    def probabilities(self, texts: Sequence[str], language: str) -> list[float]:
        assert language == "ja"
        return [0.9 if text and not text.isascii() else 0.2 for text in texts]


def rows(system: str) -> list[Segment]:
    """As `translate` writes them; bt's first three were cut."""
    return [
        {**segment, "hyp": hyp, "cut": system == "bt" and i < 3, "model": f"m/{system}"}
        for i, (segment, hyp) in enumerate(zip(TEST, HYPS[system], strict=True))
    ]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> evaluate.Paths:
    monkeypatch.setattr(evaluate, "Comet", FakeComet)
    monkeypatch.setattr(evaluate, "LanguageId", FakeLanguageId)
    made = evaluate.Paths(**{field.name: tmp_path / field.name for field in fields(evaluate.Paths)})
    made = replace(made, test=tmp_path / "tatoeba.jsonl", out=tmp_path / "scores" / "tatoeba.json")
    for folder in (made.comet, made.lid):
        folder.mkdir()
    write_segments(made.test, TEST)
    for system, path in made.hyps.items():
        write_segments(path, rows(system))
    return made


@pytest.fixture
def report(paths: evaluate.Paths) -> dict[str, Any]:
    evaluate.run(paths, PARAMS)
    return json.loads(paths.out.read_text(encoding="utf-8"))


def test_head(report):
    assert (report["testset"], report["segments"]) == ("tatoeba", 10)
    assert report["bootstrap"] == {"samples": 200, "confidence": 0.95, "seed": 12345}
    assert list(report["systems"]) == ["baseline", "bt", "ft", "ft_bt"]


def test_values_and_signatures_are_sacrebleus(report):
    refs = [[segment["tgt"] for segment in TEST]]
    for metric, theirs in (("bleu", sacrebleu.BLEU(tokenize="ja-mecab")), ("chrf", sacrebleu.CHRF())):
        for system, hyps in HYPS.items():
            expected = theirs.corpus_score(hyps, refs).score
            assert report["systems"][system][metric]["value"] == pytest.approx(expected, abs=1e-6)
        assert report["signatures"][metric] == str(theirs.get_signature())


def test_comet_is_the_mean_of_its_segments_each_scored_once(report):
    distinct = {(one["src"], hyp, one["tgt"]) for hyps in HYPS.values() for hyp, one in zip(hyps, TEST, strict=True)}
    assert sorted(FakeComet.scored) == sorted(distinct)
    for system, hyps in HYPS.items():
        expected = [round(len(hyp) / len(segment["tgt"]) / 3, 6) for hyp, segment in zip(hyps, TEST, strict=True)]
        assert report["segment_scores"][system]["comet_fake"] == expected
        assert report["systems"][system]["comet_fake"]["value"] == pytest.approx(sum(expected) / 10, abs=1e-6)
    assert report["signatures"]["comet_fake"] == "nrefs:1|checkpoint:fake"


def test_segment_chrf(report):
    assert report["segment_scores"]["ft"]["chrf"] == pytest.approx([100] * 10)
    assert report["segment_scores"]["baseline"]["chrf"] == [0] * 10
    assert all(0 < score < 100 for score in report["segment_scores"]["bt"]["chrf"])


def test_intervals_hold_the_value(report):
    for system in report["systems"].values():
        for metric in ("bleu", "chrf", "comet_fake"):
            assert system[metric]["low"] <= system[metric]["value"] <= system[metric]["high"]
    baseline = report["systems"]["baseline"]["comet_fake"]
    assert baseline["low"] < baseline["value"] < baseline["high"]


def test_model_and_language(report):
    assert [report["systems"][name]["ja"] for name in HYPS] == [0, 1, 1, 1]
    assert report["systems"]["ft_bt"]["model"] == "m/ft_bt"


def test_degenerate_hypotheses_are_counted(report):
    found = {name: {kind: report["systems"][name][kind] for kind in COUNTS} for name in HYPS}
    none = dict.fromkeys(COUNTS, 0)
    assert found["baseline"] == none | {"empty": 5, "copy": 5, "wrong_language": 5, "degenerate": 10}
    assert found["bt"] == none | {"cut": 3, "degenerate": 3}
    assert found["ft"] == found["ft_bt"] == none


def test_every_pair_is_tested_once_a_metric(report):
    tests = {(row["metric"], row["a"], row["b"]): row for row in report["paired"]}
    assert len(tests) == len(report["paired"]) == 3 * 6
    for (metric, a, b), row in tests.items():
        values = [report["systems"][name][metric]["value"] for name in (a, b)]
        assert row["difference"] == pytest.approx(values[0] - values[1], abs=2e-6)
    assert tests["chrf", "ft", "ft_bt"]["p"] == 1
    assert tests["chrf", "baseline", "ft"]["p"] == pytest.approx(1 / 201, abs=1e-6)


def test_the_report_stage_reads_it(report, paths):
    found = read_testset(paths.out)
    assert found.test("ft", "bt", "chrf").difference > 0
    assert found.systems["baseline"].degenerate["empty"] == 5


def test_the_same_bytes_again(report, paths):
    before = paths.out.read_bytes()
    evaluate.run(paths, PARAMS)
    assert paths.out.read_bytes() == before


def change(index: int, **values: Any) -> Any:
    def apply(rows: list[Segment]) -> list[Segment]:
        rows[index] = {key: value for key, value in {**rows[index], **values}.items() if value is not None}
        return rows

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows[:-1], "bt: 9 hypotheses for 10 segments"),
        (
            change(2, src="An" + "other." * 1000),
            r"bt:3: 'src' is 'Another\.[^,]{90}o, the test set has 'Sent",
        ),
        (lambda rows: [rows[1], rows[0], *rows[2:]], "bt:1: 'id' is 't:1', the test set has 't:0'"),
        (change(2, src="Another."), "bt:3: 'src' is 'Another.', the test set has 'Sentence 2.'"),
        (change(9, tgt="別の文。"), "bt:10: 'tgt' is '別の文。'"),
        (change(4, hyp=None), "bt:5: 'hyp' is missing"),
        (change(4, hyp=7), "bt:5: 'hyp' is no text"),
        (change(3, cut=None), "bt:4: 'cut' must be true or false"),
        (change(3, cut=1), "bt:4: 'cut' must be true or false"),
        (change(1, model=None), "bt:2: 'model' is missing"),
        (change(1, model="m/other"), "bt:2: 'model' differs from line 1"),
    ],
    ids=[
        "fewer",
        "long",
        "order",
        "src",
        "tgt",
        "no hyp",
        "hyp no text",
        "no cut",
        "cut no truth",
        "no model",
        "two models",
    ],
)
def test_hypotheses_that_do_not_fit(paths, spoil, message):
    write_segments(paths.bt, spoil(rows("bt")))
    with pytest.raises(InputError, match=message):
        evaluate.run(paths, PARAMS)
    assert not paths.out.exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bleu_tokenizer": "mecab"}, "bleu_tokenizer: 'mecab' is none of sacreBLEU's"),
        ({"confidence": 95.0}, "confidence: must lie between 0 and 1"),
        ({"bootstrap_samples": 0}, "bootstrap_samples: must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size: must be at least 1, not 0"),
        ({"min_tgt_language": 1.0}, "min_tgt_language: must lie in"),
        ({"seed": -1}, "seed: must be 0 or more"),
    ],
    ids=str,
)
def test_params_that_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        replace(PARAMS.evaluate, **values)


def test_the_embedded_preset_is_fine():
    preset = Path(__file__).parents[1] / "presets" / "embedded.yaml"
    assert load(evaluate.Params, preset, {}).evaluate.bleu_tokenizer == "ja-mecab"
