import dataclasses
import json
import math
from pathlib import Path

import pytest

import finetune
import tiny
from finetune import Finetune, Judge, Lora, Params, Paths, load_comet, notes, run
from mt.decode import Decoding
from mt.errors import InputError
from mt.files import read_json, write_json
from mt.lm import load_base
from mt.prompt import FORWARD, Languages, Prompter
from mt.segments import read_segments, write_segments

LORA = Lora(rank=2, alpha=4, dropout=0.0, target_modules=("q_proj", "v_proj"), rslora=False, dora=False)
SETTINGS = Finetune(
    seed=1,
    epochs=2,
    learning_rate=0.01,
    schedule="cosine",
    warmup_steps=0,
    weight_decay=0.01,
    max_grad_norm=1.0,
    batch_size=2,
    micro_batch_size=1,
    precision="float32",
    gradient_checkpointing=False,
    group_by_length=True,
    direction="forward",
    patience=2,
    select_by="chrf",
    max_tokens=128,
    rejected_sample=2,
    comet_batch_size=8,
    decode=Decoding("greedy", 1, 1.0, 1.0, 1, 8, 3.0, 4, 400),
)
PARAMS = Params(Languages("en", "ja"), "{src_language}: {src}\n{tgt_language}: {tgt}\n", LORA, SETTINGS)
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")]
SEGMENTS = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]


@pytest.fixture
def paths(tmp_path):
    tiny.save_gemma(tmp_path / "base")
    for name in ("train", "dev"):
        write_segments(tmp_path / f"{name}.jsonl", SEGMENTS)
    places = {name: tmp_path / name for name in ("base", "out", "log")}
    none = tmp_path / "none"
    return Paths(**places, train=tmp_path / "train.jsonl", dev=tmp_path / "dev.jsonl", comet=none)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_adapter_opens_with_plain_peft_and_was_trained(paths):
    from peft import PeftModel

    run(paths, PARAMS)
    base, _ = load_base(paths.base, "float32")
    model = PeftModel.from_pretrained(base, paths.out)
    trained = [p for name, p in model.named_parameters() if "lora_B" in name]
    assert trained
    assert all(float(p.detach().abs().max()) > 0 for p in trained)


def test_the_log_has_a_row_an_epoch_and_the_translations_of_the_best(paths):
    run(paths, PARAMS)
    rows = json.loads((paths.log / "epochs.json").read_text())
    log = json.loads((paths.log / "log.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["best"] for row in rows].count(True) == 1
    assert max(row["chrf"] for row in rows) == next(row["chrf"] for row in rows if row["best"])
    assert log["steps"] == log["planned_steps"] == 4
    assert log["segments"]["read"] == 3
    assert [row["id"] for row in read_segments(paths.log / "dev.jsonl", ())] == ["0", "1", "2"]


def test_twice_the_same_bytes(paths, tmp_path):
    run(paths, PARAMS)
    again = dataclasses.replace(paths, out=tmp_path / "out2", log=tmp_path / "log2")
    run(again, PARAMS)
    assert tree(paths.out) == tree(again.out)
    assert tree(paths.log) == tree(again.log)


def test_reverse_learns_the_other_side(paths, monkeypatch):
    seen = []
    monkeypatch.setattr(finetune, "chrf", lambda hyps, refs: seen.append(refs) or finetune_score())
    reverse = dataclasses.replace(PARAMS, finetune=dataclasses.replace(SETTINGS, direction="reverse"))
    run(paths, reverse)
    assert seen[0] == [src for src, _ in TEXTS]


def finetune_score():
    from mt.quality import Score

    return Score(1.0, "signature")


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
        write_json(folder / "adapter_config.json", {"target_modules": ["v_proj", "q_proj"]})


@pytest.mark.parametrize(
    ("scores", "patience", "best", "judged", "saved"),
    [
        pytest.param([0.1, 0.3, 0.2, 0.4], 1, 2, 3, 2, id="stops at the first epoch without a gain"),
        pytest.param([0.1, 0.3, 0.2, 0.4], 2, 4, 4, 3, id="patience bridges one"),
        pytest.param([0.3, 0.3, 0.3, 0.3], 2, 1, 3, 1, id="a tie is no gain"),
    ],
)
def test_early_stopping(monkeypatch, tmp_path, scores, patience, best, judged, saved):
    monkeypatch.setattr(finetune, "translate", lambda *_: ["猫", "雨", "猫"])
    settings = dataclasses.replace(SETTINGS, select_by="comet", patience=patience)
    prompter = Prompter(PARAMS.template, PARAMS.languages, FORWARD, [])
    model = FakeModel()
    judge = Judge(model, None, prompter, SEGMENTS, settings, FakeComet(scores), tmp_path)
    count = 0
    for epoch in range(1, 5):
        count += 1
        if not judge(epoch, 1.0):
            break
    assert (judge.best_epoch, count, model.saved) == (best, judged, saved)
    assert set(judge.epochs[0]) == {"epoch", "loss", "chrf", "comet_fake"}
    assert read_json(tmp_path / "adapter_config.json") == {"target_modules": ["q_proj", "v_proj"]}


def test_comet_without_a_checkpoint_is_refused():
    with pytest.raises(InputError, match="write chrf"):
        load_comet(None, dataclasses.replace(SETTINGS, select_by="comet"))


def test_an_unknown_module_is_refused_and_nothing_is_left(paths):
    lora = dataclasses.replace(LORA, target_modules=("q_proj", "qkv"))
    with pytest.raises(InputError, match="no qkv"):
        run(paths, dataclasses.replace(PARAMS, lora=lora))
    assert sorted(path.name for path in paths.out.parent.iterdir()) == ["base", "dev.jsonl", "train.jsonl"]


def test_no_pair_fits(paths):
    settings = dataclasses.replace(SETTINGS, max_tokens=3)
    with pytest.raises(InputError, match="no pair fits into max_tokens 3"):
        run(paths, dataclasses.replace(PARAMS, finetune=settings))


@pytest.mark.parametrize(("warmup", "steps", "count"), [(500, 96, 1), (96, 96, 1), (95, 96, 0)])
def test_a_warm_up_that_never_ends_is_noted(warmup, steps, count):
    found = notes(dataclasses.replace(SETTINGS, warmup_steps=warmup), steps)
    assert len(found) == count
    assert all(f"{warmup} steps never ends" in note for note in found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 6, "micro_batch_size": 4}, "must be divisible by micro_batch_size 4; write 4"),
        ({"batch_size": 2, "micro_batch_size": 4}, "must be divisible by micro_batch_size 4; write 4"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative"),
    ],
)
def test_refused_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"rank": 0}, "rank"), ({"dropout": 1.0}, "dropout"), ({"target_modules": ()}, "target_modules is empty")],
)
def test_refused_lora(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LORA, **changes)
