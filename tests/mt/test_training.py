import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer

import tiny
from mt.lm import load_base
from mt.lora import adapt
from mt.prompt import FORWARD, Languages, Prompter
from mt.rows import IGNORED, blank, collate, examples
from mt.tally import Tally
from mt.training import Epochs, OneDevice, adamw, parts, trainer

SCHEDULE = tiny.SCHEDULE
LORA = tiny.LORA
PROMPTER = Prompter("{src_language}: {src}\n{tgt_language}: {tgt}\n", Languages("en", "ja"), FORWARD, [])
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")] * 4
SEGMENTS = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]


def trainable(folder):
    """A model of which every weight is trained, and its tokenizer."""
    model, tokenizer = load_base(tiny.save_gemma(folder), "float32")
    return model.requires_grad_(True), tokenizer


@pytest.fixture
def loaded(tmp_path):
    return trainable(tmp_path / "base")


def made(loaded, folder: Path, judge, keep=lambda step: None, **changes):
    model, tokenizer = loaded
    data = examples(tokenizer, PROMPTER, SEGMENTS, 256, Tally(1))
    schedule = dataclasses.replace(SCHEDULE, **changes)
    return trainer(model, data, tokenizer.pad_token_id, schedule, folder, judge, keep), data


def on(model, batch):
    return {name: tensor.to(model.device) for name, tensor in batch.items()}


def test_the_loss_is_the_mean_over_target_tokens(loaded, tmp_path):
    model, _ = loaded
    built, data = made(loaded, tmp_path, lambda epoch, loss: True)
    loss = built.compute_loss(model, on(model, collate(data, pad=0)))
    total, count = 0.0, 0
    for text in data:
        ids, start = text["input_ids"], len(text["input_ids"]) - text["target_tokens"]
        with torch.inference_mode():
            spread = model(torch.tensor([ids], device=model.device)).logits[0].log_softmax(-1)
        for i in range(start, len(ids)):
            total -= float(spread[i - 1, ids[i]])
            count += 1
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-5)


def test_logits_are_computed_for_targets_alone(loaded, tmp_path):
    """As a count, which no load of the machine changes: of all that training costs, it is the most."""
    model, tokenizer = loaded
    built, data = made(loaded, tmp_path, lambda epoch, loss: True)
    read: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda _, __, logits: read.append(len(logits.flatten(0, -2))))
    blanks = [blank(tokenizer.pad_token_id)] * 2
    built.compute_loss(model, on(model, collate([*data, *blanks], pad=0)))
    assert read == [sum(row["target_tokens"] for row in data)]
    built.compute_loss(model, on(model, collate(blanks, pad=0)), num_items_in_batch=torch.tensor(1)).backward()
    assert read[1:] == [0]


def test_micro_batches_give_the_loss_and_weights_of_the_whole_batch(tmp_path):
    curves = []
    for micro in (4, 1):
        losses: list[float] = []
        folder = tmp_path / str(micro)
        loaded = trainable(folder / "base")
        built, _ = made(
            loaded, folder, lambda epoch, loss, seen=losses: seen.append(loss) or True, micro_batch_size=micro
        )
        built.train()
        curves.append(losses)
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    assert curves[0][1] < curves[0][0]


@pytest.mark.parametrize(
    ("tokens", "rows"),
    [
        (1000, [[2, 4, 0, 3, 1]]),
        (21, [[2, 4, 0], [3, 1]]),
        (14, [[2, 4], [0, 3], [1]]),
        (6, [[2], [4], [0], [3], [1]]),
        (1, [[2], [4], [0], [3], [1]]),
    ],
)
def test_parts(tokens, rows):
    """The longest rows come first, and no part has padding in all of its rows."""
    lengths = torch.tensor([5, 2, 7, 4, 7])
    mask = (torch.arange(9) >= 9 - lengths[:, None]).long()
    batch = {"input_ids": torch.arange(45).view(5, 9), "attention_mask": mask}
    found = parts(batch, tokens)
    expected = [(part, lengths[part[0]]) for part in rows]
    assert all(
        torch.equal(one["input_ids"], batch["input_ids"][part, -longest:])
        for one, (part, longest) in zip(found, expected, strict=True)
    )
    assert sum(int(one["attention_mask"].sum()) for one in found) == lengths.sum()


@pytest.mark.parametrize(("rows", "times"), [(0, 12), (1, 12), (5, 2)])
def test_a_micro_batch_in_parts_gives_the_loss_and_gradients_of_the_whole(loaded, tmp_path, rows, times):
    model, _ = loaded
    found = []
    longest = max(len(row["input_ids"]) for row in made(loaded, tmp_path, lambda epoch, loss: True)[1])
    for most in (4096, max(1, rows * longest)):
        built, data = made(loaded, tmp_path, lambda epoch, loss: True, micro_batch_size=12, micro_batch_tokens=most)
        batch = on(model, collate(data, pad=0))
        read: list[int] = []
        handle = model.register_forward_pre_hook(lambda _, __, given, into=read: into.append(1), with_kwargs=True)
        number = (batch["labels"] != IGNORED).sum()
        loss = built.training_step(model, batch, num_items_in_batch=number)
        handle.remove()
        found.append((float(loss), [weights.grad.clone() for weights in model.parameters()], len(read)))
        model.zero_grad()
    (loss, gradients, once), (other_loss, others, more) = found
    assert (once, more) == (1, times)
    assert other_loss == pytest.approx(loss, rel=1e-5)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(gradients, others, strict=True))


def test_training_stops_when_the_judge_says_so(loaded, tmp_path):
    seen = []
    built, _ = made(loaded, tmp_path, lambda epoch, loss: bool(seen.append(epoch)), epochs=5)
    built.train()
    assert seen == [1]


@pytest.mark.parametrize(
    ("warmup", "changes", "total"),
    [
        pytest.param(2, {}, 6, id="ordinary"),
        pytest.param(500, {"epochs": 8, "batch_size": 1, "micro_batch_size": 1}, 96, id="the paper's"),
    ],
)
def test_the_learning_rate_warms_up_and_falls_as_a_cosine(loaded, tmp_path, warmup, changes, total):
    """Each step's rate against the formula; the paper's warm-up is longer than its training."""
    base, tokenizer = loaded
    lora = dataclasses.replace(LORA, target_modules=("q_proj",))
    built, _ = made((adapt(base, lora), tokenizer), tmp_path, lambda epoch, loss: True, warmup_steps=warmup, **changes)
    built.train()
    rates = [entry["learning_rate"] for entry in built.state.log_history if "learning_rate" in entry]
    factors = [
        step / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        for step in range(total)
    ]
    assert rates == pytest.approx([SCHEDULE.learning_rate * factor for factor in factors], rel=1e-9)


def test_the_optimizer_is_adamw_and_decays_the_adapter(loaded, tmp_path):
    base, tokenizer = loaded
    built, _ = made((adapt(base, LORA), tokenizer), tmp_path, lambda epoch, loss: True)
    optimizer = built.create_optimizer()
    decays = {group["weight_decay"] for group in optimizer.param_groups if group["params"]}
    assert (type(optimizer), decays) == (torch.optim.AdamW, {SCHEDULE.weight_decay})
    assert optimizer.defaults["fused"]


def test_a_step_that_loss_scaling_skips_counts_as_none():
    """As accelerate sees it, on which the schedule depends; a CPU has no such training but a scaler."""
    Accelerator(cpu=True)
    skipped = {}
    for precision in ("float16", "bfloat16"):
        weights = torch.nn.Parameter(torch.ones(2))
        fused = adamw(precision) == "adamw_torch_fused"
        scaler = torch.amp.GradScaler("cpu")
        optimizer = AcceleratedOptimizer(torch.optim.AdamW([weights], fused=fused), scaler=scaler)
        scaler.scale((weights * torch.inf).sum()).backward()
        optimizer.step()
        skipped[precision] = optimizer.step_was_skipped
        assert torch.equal(weights, torch.ones(2))
    assert skipped == {"float16": True, "bfloat16": False}


def test_blank_rows_change_no_loss(loaded, tmp_path):
    model, tokenizer = loaded
    built, data = made(loaded, tmp_path, lambda epoch, loss: True)
    losses = []
    for blanks in (0, 1, 3):
        batch = collate([*data[:3], *[blank(tokenizer.pad_token_id)] * blanks], tokenizer.pad_token_id)
        losses.append(float(built.compute_loss(model, on(model, batch)).detach()))
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


def test_the_last_step_of_an_epoch_is_as_long_as_the_others(loaded, tmp_path):
    model, tokenizer = loaded
    data = examples(tokenizer, PROMPTER, SEGMENTS, 256, Tally(1))[:9]
    built = trainer(model, data, tokenizer.pad_token_id, SCHEDULE, tmp_path, lambda *_: True, lambda step: None)
    batches = list(built.get_train_dataloader())
    assert [len(batch["labels"]) for batch in batches] == [4, 4, 4]
    assert [int((batch["labels"] != IGNORED).any(-1).sum()) for batch in batches] == [4, 4, 1]


def test_a_blank_micro_batch_has_a_loss_of_zero_and_gradients_of_zero(loaded, tmp_path):
    base, tokenizer = loaded
    model = adapt(base, LORA)
    built, _ = made((model, tokenizer), tmp_path, lambda epoch, loss: True)
    batch = on(base, collate([blank(1), blank(1)], 1))
    loss = built.compute_loss(model, batch, num_items_in_batch=torch.tensor(7, device=base.device))
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert float(loss.detach()) == 0
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_gradient_checkpointing_changes_no_gradient(tmp_path):
    found = []
    for checkpointing in (False, True):
        base, tokenizer = load_base(tiny.save_gemma(tmp_path / str(checkpointing)), "float32")
        torch.manual_seed(3)
        model = adapt(base, LORA)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        built, data = made((model, tokenizer), tmp_path, lambda epoch, loss: True, gradient_checkpointing=checkpointing)
        if checkpointing:
            model.gradient_checkpointing_enable(built.args.gradient_checkpointing_kwargs)
        model.train()
        assert base.is_gradient_checkpointing == checkpointing
        built.compute_loss(model, on(base, collate(data, tokenizer.pad_token_id))).backward()
        found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) and found[0][name].any() for name in found[0])


def test_one_process_trains_on_one_device(tmp_path):
    arguments = OneDevice(output_dir=str(tmp_path), use_cpu=True, per_device_train_batch_size=4)
    arguments._n_gpu = 4
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, 4)


@pytest.mark.parametrize(
    ("save_steps", "changes", "expected"),
    [
        pytest.param(1, {}, ["1", "2", "judge 1", "3", "4", "5", "judge 2"], id="at once, but after the judge"),
        pytest.param(2, {}, ["2", "judge 1", "4", "judge 2"], id="every second"),
        pytest.param(3, {}, ["judge 1", "3", "judge 2"], id="at the end of an epoch"),
        pytest.param(1000, {}, ["judge 1", "judge 2"], id="never"),
    ],
)
def test_checkpoints_fall_due(loaded, tmp_path, save_steps, changes, expected):
    base, tokenizer = loaded
    seen: list[str] = []

    def judge(epoch, loss):
        seen.append(f"judge {epoch}")
        return True

    def keep(step):
        assert (tmp_path / f"checkpoint-{step}" / "optimizer.pt").is_file()
        seen.append(str(step))

    built, _ = made((adapt(base, LORA), tokenizer), tmp_path, judge, keep, save_steps=save_steps)
    built.train()
    assert seen == expected


def test_a_judge_that_stops_the_training_leaves_no_checkpoint_to_go_on_from(loaded, tmp_path):
    kept: list[int] = []
    built, _ = made(loaded, tmp_path, lambda epoch, loss: False, kept.append, save_steps=3)
    built.train()
    assert kept == []


def test_an_epoch_is_judged_by_the_losses_of_its_own_steps():
    seen = []
    epochs = Epochs(lambda epoch, loss: seen.append((epoch, loss)) or True, lambda step: None, steps=2, save_steps=9)
    history = [{"step": step, "loss": float(step)} for step in (1, 2, 3, 4)] + [{"step": 4, "train_loss": 9.0}]
    state = SimpleNamespace(log_history=history, global_step=4, epoch=2.0)
    control = SimpleNamespace(should_training_stop=False, should_save=False)
    epochs.on_epoch_end(None, state, control, torch.nn.Linear(1, 1))
    assert seen == [(2, 3.5)]
