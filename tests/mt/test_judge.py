import dataclasses
import gc
import random
from typing import Any

import numpy as np
import pytest
import torch

import tiny
import tiny_comet
from mt import judge as module
from mt.decode import Decoding
from mt.errors import InputError
from mt.files import read_json, write_json
from mt.judge import Judge, Judging, load_comet
from mt.lm import load_base
from mt.lora import Lora, adapt
from mt.prompt import FORWARD, REVERSE, Languages, Prompter
from mt.quality import Score
from mt.segments import read_segments

JUDGING = Judging("forward", 2, "comet", 8, Decoding("greedy", 1, 1.0, 1.0, 1, 8, 3.0, 4, 400))
TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
PROMPTER = Prompter(TEMPLATE, Languages("en", "ja"), FORWARD, [])
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")]
SEGMENTS = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]
HYPS = ["猫", "雨", "猫"]


class FakeComet:
    name = "fake"

    def __init__(self, scores):
        self._scores = iter(scores)

    def score(self, srcs, hyps, refs, batch_size):
        return [next(self._scores)] * len(hyps)


class FakeModel:
    def __init__(self):
        self.saved = 0

    def save_pretrained(self, folder):
        self.saved += 1
        write_json(folder / "adapter_config.json", {"target_modules": ["v_proj", "q_proj"], "saved": self.saved})


def judged(monkeypatch, model, scores, folder, **changes):
    monkeypatch.setattr(module, "translate", lambda *_: HYPS)
    judging = dataclasses.replace(JUDGING, **changes)
    comet: Any = FakeComet(scores)
    return Judge(model, None, PROMPTER, SEGMENTS, judging, comet, folder)


@pytest.mark.parametrize(
    ("scores", "patience", "best", "count", "saved"),
    [
        pytest.param([0.1, 0.3, 0.2, 0.4], 1, 2, 3, 2, id="stops at the first epoch without a gain"),
        pytest.param([0.1, 0.3, 0.2, 0.4], 2, 4, 4, 3, id="patience bridges one"),
        pytest.param([0.3, 0.3, 0.3, 0.3], 2, 1, 3, 1, id="a tie is no gain"),
    ],
)
def test_early_stopping(monkeypatch, tmp_path, scores, patience, best, count, saved):
    model = FakeModel()
    judge = judged(monkeypatch, model, scores, tmp_path, patience=patience)
    epochs = 0
    for epoch in range(1, 5):
        epochs += 1
        if not judge(epoch, 1.0):
            break
    assert (judge.best_epoch, epochs, model.saved) == (best, count, saved)
    assert set(judge.epochs[0]) == {"epoch", "loss", "chrf", "comet_fake"}
    assert read_json(tmp_path / "adapter_config.json")["target_modules"] == ["q_proj", "v_proj"]


def test_a_judge_goes_on_from_a_checkpoint(monkeypatch, tmp_path):
    first = judged(monkeypatch, FakeModel(), [0.3, 0.2], tmp_path / "out")
    assert first(1, 1.0)
    assert first(2, 1.0)
    (tmp_path / "checkpoint").mkdir()
    first.write(tmp_path / "checkpoint")
    monkeypatch.setattr(module, "translate", lambda *_: ["x"] * 3)
    model = FakeModel()
    again = judged(monkeypatch, model, [0.1], tmp_path / "again")
    again.read(tmp_path / "checkpoint")
    assert not again(3, 1.0)
    assert (again.best_epoch, model.saved) == (1, 0)
    assert again.epochs[:2] == first.epochs
    assert read_json(tmp_path / "again" / "adapter_config.json")["saved"] == 1
    (tmp_path / "log").mkdir()
    again.log(tmp_path / "log")
    assert [row["hyp"] for row in read_segments(tmp_path / "log" / "dev.jsonl", ())] == HYPS
    assert [row["best"] for row in read_json(tmp_path / "log" / "epochs.json")] == [True, False, False]


def test_a_checkpoint_before_the_first_epoch_has_nothing_to_go_on_from(monkeypatch, tmp_path):
    judged(monkeypatch, FakeModel(), [], tmp_path / "out").write(tmp_path)
    judge = judged(monkeypatch, FakeModel(), [], tmp_path / "again")
    judge.read(tmp_path)
    assert (judge.epochs, judge.hyps, (tmp_path / "again").exists()) == ([], [], False)


@pytest.mark.parametrize(("direction", "side"), [("forward", 1), ("reverse", 0)])
def test_what_is_written_is_compared_with_the_side_that_is_learnt(monkeypatch, tmp_path, direction, side):
    seen = []
    monkeypatch.setattr(module, "chrf", lambda hyps, refs: seen.append(refs) or Score(1.0, "signature"))
    judge = judged(monkeypatch, FakeModel(), [0.1], tmp_path, direction=direction)
    judge(1, 1.0)
    assert seen == [[pair[side] for pair in TEXTS]]


def test_comet_without_a_checkpoint_is_refused():
    with pytest.raises(InputError, match="write chrf"):
        load_comet(None, JUDGING)
    assert load_comet(None, dataclasses.replace(JUDGING, select_by="chrf")) is None


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A judge with a real model and a real COMET checkpoint."""
    folder = tmp_path_factory.mktemp("real")
    base, tokenizer = load_base(tiny.save_gemma(folder / "base"), "float32")
    model = adapt(base, Lora(2, 4, 0.0, ("q_proj",), rslora=False, dora=False))
    tiny_comet.save_comet(folder / "comet", tiny_comet.save_encoder(folder / "encoder"))
    comet = load_comet(folder / "comet", JUDGING)
    prompter = Prompter(TEMPLATE, Languages("en", "ja"), REVERSE, [])
    return Judge(model, tokenizer, prompter, SEGMENTS, JUDGING, comet, folder / "out")


def test_an_epoch_that_is_judged_leaves_no_memory_behind(real):
    def tensors():
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    real(1, 1.0)
    before = tensors()
    real(2, 1.0)
    assert tensors() == before
    assert "comet_tiny" in real.epochs[0]


def test_an_epoch_that_is_judged_draws_no_random_number(real):
    def numbers():
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    def seed():
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    seed()
    expected = numbers()
    seed()
    real(3, 1.0)
    assert numbers() == expected


@pytest.mark.parametrize("name", ["patience", "comet_batch_size"])
def test_refused_settings(name):
    changes: Any = {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        dataclasses.replace(JUDGING, **changes)
