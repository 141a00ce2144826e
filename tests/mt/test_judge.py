import dataclasses
import gc
import math
import random
import shutil
from typing import Any

import numpy as np
import pytest
import torch

import tiny
import tiny_comet
from mt import judge as module
from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.files import digests, read_json, write_json
from mt.judge import Judge, Judging, load_comet, release_memory
from mt.lm import load_base
from mt.lora import adapt
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
    monkeypatch.setattr(module, "state", lambda _: "weights")
    monkeypatch.setattr(module, "diverged", lambda _: False)
    judging = dataclasses.replace(JUDGING, **changes)
    comet: Any = FakeComet(scores)
    return Judge(model, None, PROMPTER, SEGMENTS, judging, comet, {}, folder)


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


def write(name, content):
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        pytest.param(write("judge.json", "{}"), "judge.json", id="an empty object"),
        pytest.param(write("judge.json", "[]"), "judge.json", id="a list"),
        pytest.param(write("judge.json", '{"epochs": [1], "hyps": []}'), "judge.json", id="other rows"),
        pytest.param(
            write("judge.json", '{"epochs": [{"epoch": 1, "loss": 1.0, "comet_fake": 0.3}], "hyps": []}'),
            "judge.json",
            id="too few translations",
        ),
        pytest.param(lambda folder: (folder / "judge.json").unlink(), "judge.json", id="no judge.json"),
        pytest.param(lambda folder: shutil.rmtree(folder / "best"), "best/adapter_config.json", id="no best"),
        pytest.param(write("best/adapter_config.json", "{"), "best/adapter_config.json", id="best cut"),
        pytest.param(lambda folder: (folder / "checkpoint-3/scheduler.pt").unlink(), "checkpoint-3/scheduler.pt"),
    ],
)
def test_a_judge_does_not_go_on_from_a_damaged_checkpoint(monkeypatch, tmp_path, spoil, name):
    first = judged(monkeypatch, FakeModel(), [0.3], tmp_path / "out")
    assert first(1, 1.0)
    folder = tmp_path / "step-3"
    (folder / "checkpoint-3").mkdir(parents=True)
    (folder / "checkpoint-3" / "scheduler.pt").write_bytes(b"state")
    first.write(folder)
    spoil(folder)
    again = judged(monkeypatch, FakeModel(), [], tmp_path / "again")
    with pytest.raises(InputError, match=f"^{folder}/{name}: is not what provenance.json names; remove {folder} and"):
        again.read(folder)
    assert (again.epochs, again.hyps, (tmp_path / "again").exists()) == ([], [], False)


ROW = '{"epoch": 1, "loss": 1.0, "chrf": 2.0, "comet_fake": 0.3}'


def rewrite(content):
    return lambda folder: (folder / "judge.json").write_text(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rewrite("[]"), "judge.json: must hold an object"),
        (rewrite("{}"), "judge.json: epochs: missing"),
        (rewrite('{"epochs": "x", "hyps": []}'), "judge.json: epochs: must be a list"),
        (rewrite(f'{{"epochs": [{ROW}], "hyps": [1]}}'), r"judge.json: hyps\[0\]: must be text"),
        (rewrite(f'{{"epochs": [{ROW}], "hyps": ["x"]}}'), "judge.json: hyps: must be one of each development segment"),
        (
            rewrite(f'{{"epochs": [{ROW.replace("fake", "other")}], "hyps": []}}'),
            r"judge.json: epochs\[0\].comet_fake: missing",
        ),
        (lambda folder: shutil.rmtree(folder / "best"), "provenance.json: does not name best/adapter_config.json"),
    ],
)
def test_a_judge_does_not_go_on_from_what_no_judge_wrote(monkeypatch, tmp_path, spoil, message):
    first = judged(monkeypatch, FakeModel(), [0.3], tmp_path / "out")
    assert first(1, 1.0)
    folder = tmp_path / "step-3"
    folder.mkdir()
    first.write(folder)
    spoil(folder)
    (folder / "provenance.json").unlink()
    write_json(folder / "provenance.json", {"files": digests(folder)})
    again = judged(monkeypatch, FakeModel(), [], tmp_path / "again")
    with pytest.raises(InputError, match=f"^{folder}/{message}.*; remove {folder} and run `dvc repro`$"):
        again.read(folder)
    assert (again.epochs, again.hyps, (tmp_path / "again").exists()) == ([], [], False)


@pytest.mark.parametrize("content", [None, "{}", "[]", '{"files": {}}'])
def test_a_checkpoint_without_digests_is_nothing_to_go_on_from(monkeypatch, tmp_path, content):
    judge = judged(monkeypatch, FakeModel(), [], tmp_path / "out")
    judge.write(tmp_path)
    (tmp_path / "provenance.json").unlink()
    if content:
        (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(InputError, match=f"^{tmp_path}/provenance.json: "):
        judge.read(tmp_path)


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
    model = adapt(base, tiny.LORA)
    tiny_comet.save_comet(folder / "comet", tiny_comet.save_encoder(folder / "encoder"))
    comet = load_comet(folder / "comet", JUDGING)
    prompter = Prompter(TEMPLATE, Languages("en", "ja"), REVERSE, [])
    return Judge(model, tokenizer, prompter, SEGMENTS, JUDGING, comet, {}, folder / "out")


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


@pytest.mark.parametrize(
    ("direction", "loss", "weight", "place"),
    [
        ("forward", 1.0, math.nan, "finetune"),
        ("reverse", 1.0, -math.inf, "reverse.finetune"),
        ("forward", math.nan, 0.0, "finetune"),
    ],
)
def test_a_training_that_diverged_is_told(tmp_path, direction, loss, weight, place):
    base, tokenizer = load_base(tiny.save_gemma(tmp_path / "base"), "float32")
    model = adapt(base, tiny.LORA)
    judging = dataclasses.replace(JUDGING, select_by="chrf", direction=direction)
    judge = Judge(model, tokenizer, PROMPTER, SEGMENTS, judging, None, {"revision": "base"}, tmp_path / "out")
    with torch.no_grad():
        next(weights for name, weights in model.named_parameters() if "lora_B" in name)[0, 0] = weight
    with pytest.raises(InputError, match=rf"^params.yaml: {place}.learning_rate: .* in epoch 2, .*; lower it$"):
        judge(2, loss)
    assert (judge.epochs, (tmp_path / "out").exists()) == ([], False)


def test_an_adapter_that_has_changed_translates_anew(monkeypatch, tmp_path, capsys):
    base, tokenizer = load_base(tiny.save_gemma(tmp_path / "base"), "float32")
    model = adapt(base, tiny.LORA)
    seen = []
    monkeypatch.setattr(module, "chrf", lambda hyps, _: seen.append(hyps) or Score(1.0, "signature"))
    judging = dataclasses.replace(JUDGING, select_by="chrf")
    judge = Judge(model, tokenizer, PROMPTER, SEGMENTS, judging, None, {"revision": "base"}, tmp_path / "out")
    learnt = [weights for name, weights in model.named_parameters() if "lora_B" in name]

    def translated(epoch, value):
        with torch.no_grad():
            for weights in learnt:
                weights.fill_(value)
        judge(epoch, 1.0)
        return seen[-1], translate(model, tokenizer, PROMPTER, SEGMENTS, judging.decode, None)

    (first, fresh), (second, changed) = translated(1, 0.0), translated(2, 3.0)
    assert (first, second) == (fresh, changed)
    assert first != second
    assert "in the memory" not in capsys.readouterr().out
    assert translated(3, 0.0) == (first, first)
    assert "3 translations: 3 from the memory, 0 new" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["patience", "comet_batch_size"])
def test_refused_settings(name):
    changes: Any = {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        dataclasses.replace(JUDGING, **changes)


@pytest.mark.parametrize("there", [False, True])
def test_a_gpu_alone_is_asked_to_give_back_memory(monkeypatch, there):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("empty_cache"))
    monkeypatch.setattr(gc, "collect", lambda: asked.append("collect"))
    release_memory()
    assert asked == (["collect", "empty_cache"] if there else [])
