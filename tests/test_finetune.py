import dataclasses
import json
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tiny
import tiny_comet
from finetune import Finetune, Params, Paths, followed, notes, run
from launch import STAGES, call, flags, forked, parameters
from mt.decode import Decoding
from mt.errors import InputError
from mt.files import read_json
from mt.lm import load_base
from mt.memory import FILE, origins
from mt.prompt import Languages
from mt.segments import read_segments, write_segments

LORA = tiny.LORA
SCHEDULE = dataclasses.replace(tiny.SCHEDULE, warmup_steps=0, batch_size=2, micro_batch_size=1, group_by_length=True)
SETTINGS = Finetune(
    **dataclasses.asdict(SCHEDULE),
    weights="float32",
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


@pytest.fixture(autouse=True)
def root(tmp_path_factory, monkeypatch):
    """Where checkpoints go."""
    folder = tmp_path_factory.mktemp("root")
    monkeypatch.setenv("DVC_ROOT", str(folder))
    return folder


@pytest.fixture
def paths(tmp_path):
    tiny.save_gemma(tmp_path / "base")
    for name in ("train", "dev"):
        write_segments(tmp_path / f"{name}.jsonl", SEGMENTS)
    places = {name: tmp_path / name for name in ("base", "out", "history")}
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


def named(root):
    """What the memory's translations were made with besides the adapter's own weights."""
    facts = [origin.facts["model"] for origin in origins(root / ".cache" / FILE)]
    return [{key: value for key, value in model.items() if key != "adapter"} for model in facts]


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(PARAMS, lora=dataclasses.replace(LORA, alpha=8)),
        dataclasses.replace(PARAMS, finetune=dataclasses.replace(SETTINGS, weights="bfloat16")),
    ],
    ids=["the adapter's scale", "the type of the frozen weights"],
)
def test_translations_of_other_trainings_are_not_taken_for_its_own(paths, root, tmp_path, changed):
    run(paths, PARAMS)
    first = named(root)
    assert first == first[:1] * SETTINGS.epochs
    run(dataclasses.replace(paths, out=tmp_path / "out2", history=tmp_path / "log2"), changed)
    second = named(root)[len(first) :]
    assert second == second[:1] * SETTINGS.epochs
    assert second[0] != first[0]


def test_the_log_has_a_row_an_epoch_and_the_translations_of_the_best(paths):
    run(paths, PARAMS)
    rows = json.loads((paths.history / "epochs.json").read_text())
    log = json.loads((paths.history / "log.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["best"] for row in rows].count(True) == 1
    assert max(row["chrf"] for row in rows) == next(row["chrf"] for row in rows if row["best"])
    assert log["steps"] == log["planned_steps"] == 4
    assert log["segments"]["read"] == 3
    assert [row["id"] for row in read_segments(paths.history / "dev.jsonl", ())] == ["0", "1", "2"]


def test_twice_the_same_bytes(paths, tmp_path):
    run(paths, PARAMS)
    again = dataclasses.replace(paths, out=tmp_path / "out2", history=tmp_path / "log2")
    run(again, PARAMS)
    assert tree(paths.out) == tree(again.out)
    assert tree(paths.history) == tree(again.history)


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
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": -1, "direction": "reverse"}, "epochs must not be negative"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"save_steps": 0}, "save_steps must be at least 1"),
        ({"precision": "bf32", "weights": "bfloat16"}, "bf32 needs weights float32, not bfloat16"),
    ],
)
def test_refused_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **changes)


def test_a_reverse_model_may_stay_untrained(paths):
    run(paths, dataclasses.replace(PARAMS, finetune=dataclasses.replace(SETTINGS, direction="reverse", epochs=0)))
    assert sorted(tree(paths.out)) == ["README.md"]
    assert "not fine-tuned" in (paths.out / "README.md").read_text()
    assert sorted(tree(paths.history)) == ["epochs.json", "log.json"]
    assert read_json(paths.history / "epochs.json") == []
    log = read_json(paths.history / "log.json")
    assert (log["steps"], log["planned_steps"], log["notes"]) == (0, 0, ["nothing is trained: epochs is 0"])


def test_nothing_stays_of_a_training_that_ended_when_the_next_has(paths, root):
    for seed, save_steps in ((1, 1), (2, 1000)):
        settings = dataclasses.replace(SETTINGS, seed=seed, save_steps=save_steps)
        run(paths, dataclasses.replace(PARAMS, finetune=settings))
    assert list((root / ".cache" / "checkpoints").iterdir()) == []


def test_what_a_training_follows_from(paths):
    first = followed(paths, PARAMS)
    assert followed(paths, PARAMS) == first
    assert json.loads(json.dumps(first)) == json.loads(json.dumps(followed(paths, PARAMS)))
    assert first != followed(paths, dataclasses.replace(PARAMS, lora=dataclasses.replace(LORA, rank=3)))
    for name in ("train.jsonl", "dev.jsonl", "base/model.safetensors"):
        whole = (paths.train.parent / name).read_bytes()
        (paths.train.parent / name).write_bytes(whole + b" ")
        assert first != followed(paths, PARAMS), name
        (paths.train.parent / name).write_bytes(whole)
    assert first == followed(paths, PARAMS)


LINE = ("--at", "lora=lora", "--at", "finetune=finetune")
KEYS = {
    "lora.rank": 2,
    "lora.dropout": 0.1,
    "lora.target_modules": ["q_proj", "v_proj"],
    "finetune.epochs": 3,
    "finetune.patience": 3,
    "finetune.select_by": "chrf",
    "finetune.learning_rate": 0.01,
    "finetune.warmup_steps": 1,
    "finetune.batch_size": 2,
    "finetune.micro_batch_size": 1,
    "finetune.decode.max_new_tokens": 8,
    "finetune.save_steps": 1000,
}

CUT_OFF = """
import os, signal, sys
import finetune
from mt.checkpoints import Checkpoints
from mt.cli import main
from mt.processes import is_main

step, written = int(sys.argv.pop(1)), sys.argv.pop(1)
keep = Checkpoints.keep

def kill(self, at, complete):
    if at != step or written != "half":
        keep(self, at, complete)
    if at == step and is_main():
        os.kill(os.getppid() if written == "launcher" else os.getpid(), signal.SIGKILL)

Checkpoints.keep = kill
main(finetune.run, finetune.Paths, finetune.Params)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A base model and segments to learn from, with five pairs."""
    folder = tmp_path_factory.mktemp("files")
    tiny.save_gemma(folder / "base")
    rows = [{"id": str(i), "src": f"{src} {i}", "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS * 5)]
    write_segments(folder / "train.jsonl", rows[:13])
    write_segments(folder / "short.jsonl", rows[:5])
    write_segments(folder / "dev.jsonl", SEGMENTS)
    return folder


def placed(files, place, train="train.jsonl", comet="none"):
    here = {"train": files / train, "dev": files / "dev.jsonl", "base": files / "base", "comet": files / comet}
    return Paths(**here, out=place / "out", history=place / "history")


def launched(files, place, script=STAGES / "finetune.py", before=(), processes=1, launcher=None, paths=None, **changes):
    """Run the stage in processes of its own, under a launcher if one is named, with DVC's root at `place`."""
    place.mkdir(exist_ok=True)
    params = parameters(place, KEYS | {key.replace("__", "."): value for key, value in changes.items()})
    line = [*before, "--params", params, *LINE, *flags(paths or placed(files, place))]
    if launcher:
        return call(script, *line, root=place, launcher=launcher)
    return forked(script, *line, processes=processes, root=place)


@pytest.fixture(scope="module")
def undisturbed(files, tmp_path_factory):
    """What a training of nine steps, three an epoch, writes when nothing cuts it off."""
    place = tmp_path_factory.mktemp("undisturbed")
    done = launched(files, place, paths=placed(files, place, "short.jsonl"), finetune__save_steps=2)
    assert done.returncode == 0, done.stderr
    assert "going on" not in done.stdout
    return place


@pytest.mark.slow
@pytest.mark.parametrize(
    ("save_steps", "step", "written", "goes_on"),
    [
        pytest.param(2, 4, "whole", 4, id="in the middle of an epoch"),
        pytest.param(2, 6, "whole", 6, id="right after the end of an epoch"),
        pytest.param(2, 6, "half", 4, id="while a checkpoint is written"),
    ],
)
def test_a_training_that_was_killed_ends_as_if_it_had_not_been(
    files, undisturbed, tmp_path, save_steps, step, written, goes_on
):
    cut_off(files, tmp_path, (step, written), goes_on, finetune__save_steps=save_steps)
    for name in ("out", "history"):
        assert tree(tmp_path / name) == tree(undisturbed / name)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "weights"), [("bfloat16", "bfloat16"), ("bf32", "float32")])
def test_in_other_precisions_too(files, tmp_path, precision, weights):
    changes = {"finetune__save_steps": 2, "finetune__precision": precision, "finetune__weights": weights}
    whole = tmp_path / "whole"
    done = launched(files, whole, paths=placed(files, whole, "short.jsonl"), **changes)
    assert done.returncode == 0, done.stderr
    cut_off(files, tmp_path / "cut", (4, "whole"), 4, **changes)
    for name in ("out", "history"):
        assert tree(tmp_path / "cut" / name) == tree(whole / name)


def cut_off(files, place, killed_at, goes_on, **changes):
    """Train, killed at a step, and then let it go on to its end."""
    place.mkdir(exist_ok=True)
    script = place / "cut_off.py"
    script.write_text(CUT_OFF)
    paths = placed(files, place, "short.jsonl")
    killed = launched(files, place, script, killed_at, paths=paths, **changes)
    assert killed.returncode == -signal.SIGKILL
    assert not paths.out.exists()
    done = launched(files, place, paths=paths, **changes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"going on from the checkpoint after step {goes_on} of 9") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("save_steps", "last"), [(2, 8), (3, 6)], ids=["one step", "save_steps"])
def test_a_training_whose_end_dvc_did_not_see_is_not_done_again(files, undisturbed, tmp_path, save_steps, last):
    paths = placed(files, tmp_path, "short.jsonl")
    for goes_on in (False, True):
        done = launched(files, tmp_path, paths=paths, finetune__save_steps=save_steps)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(f"going on from the checkpoint after step {last} of 9") == goes_on
        for name in ("out", "history"):
            assert tree(tmp_path / name) == tree(undisturbed / name)
            shutil.rmtree(tmp_path / name)


def losses(done):
    """The loss of each optimizer step, as the Trainer prints it."""
    return [float(loss) for loss in re.findall(r"\{'loss': ([0-9.]+)", done.stdout)]


@pytest.fixture(scope="module")
def alone(files, tmp_path_factory):
    """One process, two micro batches of four a step, two steps an epoch, of which the second has three blank rows."""
    place = tmp_path_factory.mktemp("alone")
    tiny_comet.save_comet(files / "comet", tiny_comet.save_encoder(files / "encoder"))
    paths = placed(files, place, comet="comet")
    changes = {"finetune__batch_size": 8, "lora__dropout": 0.0, "finetune__select_by": "comet"}
    done = launched(files, place, paths=paths, finetune__micro_batch_size=4, **changes)
    assert done.returncode == 0, done.stderr
    return paths, losses(done), changes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "micro", "tokens", "checkpointing"),
    [
        pytest.param(None, 4, 4096, False, id="no accumulation"),
        pytest.param(None, 4, 60, False, id="parts of a micro batch"),
        pytest.param(None, 2, 4096, True, id="accumulation and a blank micro batch"),
        pytest.param("accelerate", 3, 4096, False, id="micro batches that do not divide the batch"),
    ],
)
def test_two_processes_train_as_one_does(files, alone, tmp_path, launcher, micro, tokens, checkpointing):
    one, expected, changes = alone
    paths = placed(files, tmp_path, comet="comet")
    own = {
        "finetune__micro_batch_size": micro,
        "finetune__micro_batch_tokens": tokens,
        "finetune__gradient_checkpointing": checkpointing,
    }
    done = launched(files, tmp_path, processes=2, launcher=launcher, paths=paths, **own, **changes)
    assert done.returncode == 0, done.stderr
    assert len(expected) == 6
    assert losses(done) == pytest.approx(expected, abs=1.0001e-4)
    assert expected[-1] < expected[0] - 0.1
    rows = [read_json(place.history / "epochs.json") for place in (one, paths)]
    for row, found in zip(*rows, strict=True):
        assert found == pytest.approx(row, abs=1.0001e-4)
    assert (paths.history / "dev.jsonl").read_bytes() == (one.history / "dev.jsonl").read_bytes()
    weights = [load_file(place.out / "adapter_model.safetensors") for place in (one, paths)]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[0])
    assert done.stdout.count("epoch=1 ") == 1


@pytest.mark.slow
def test_two_processes_go_on_from_a_checkpoint(files, tmp_path):
    script = tmp_path / "cut_off.py"
    script.write_text(CUT_OFF)
    outs = []
    for cut in (None, "whole", "launcher"):
        place = tmp_path / str(cut)
        paths = placed(files, place)
        launcher = "torchrun" if cut == "launcher" else None
        changes = {"paths": paths, "finetune__save_steps": 5, "processes": 2, "launcher": launcher}
        if cut:
            assert launched(files, place, script, (10, cut), **changes).returncode != 0
            assert not paths.out.exists()
        done = launched(files, place, **changes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("going on from the checkpoint after step 10 of 21") == bool(cut)
        outs.append(tree(paths.out) | tree(paths.history))
    assert outs[0] == outs[1] == outs[2]
