import dataclasses
import math
from pathlib import Path

import pytest
import torch

import tiny
from mt.lm import load_base
from mt.prompt import FORWARD, Languages, Prompter
from mt.tally import Tally
from mt.training import IGNORED, Schedule, collate, examples, trainer

SCHEDULE = Schedule(
    seed=1,
    epochs=2,
    learning_rate=0.01,
    schedule="cosine",
    warmup_steps=2,
    weight_decay=0.01,
    max_grad_norm=1.0,
    batch_size=4,
    micro_batch_size=4,
    precision="float32",
    gradient_checkpointing=False,
    group_by_length=False,
)
PROMPTER = Prompter("{src_language}: {src}\n{tgt_language}: {tgt}\n", Languages("en", "ja"), FORWARD, [])
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")] * 4
SEGMENTS = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]


@pytest.fixture
def loaded(tmp_path):
    return load_base(tiny.save_gemma(tmp_path / "base"), "float32")


def test_examples_learn_the_translation_and_its_line_end(loaded):
    _, tokenizer = loaded
    (example,) = examples(tokenizer, PROMPTER, SEGMENTS[:1], 256, Tally(1))
    ids, learnt = example["input_ids"], example["target_tokens"]
    assert tokenizer.decode(ids[:-learnt]) == "<bos>English: The cat sat.\nJapanese:"
    assert tokenizer.decode(ids[-learnt:]) == " 猫が座っています。\n"


def test_long_examples_are_dropped_and_counted(loaded):
    _, tokenizer = loaded
    tally = Tally(1)
    lengths = [len(e["input_ids"]) for e in examples(tokenizer, PROMPTER, SEGMENTS[:3], 256, Tally(1))]
    kept = examples(tokenizer, PROMPTER, SEGMENTS[:3], max(lengths) - 1, tally)
    report = tally.report()
    assert len(kept) == report["kept"] == 3 - lengths.count(max(lengths))
    assert report["dropped"] == {"more than max_tokens tokens": lengths.count(max(lengths))}


def example(prompt, target):
    return {"input_ids": prompt + target, "target_tokens": len(target)}


def test_collate_puts_targets_at_the_end():
    batch = collate([example([2, 5], [7, 8]), example([2, 5, 6], [9])], pad=0)
    assert batch["input_ids"].tolist() == [[2, 5, 7, 8], [2, 5, 6, 9]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, 8], [IGNORED, IGNORED, IGNORED, 9]]
    batch = collate([example([2], [7]), example([2, 5, 6], [9])], pad=0)
    assert batch["input_ids"].tolist() == [[0, 0, 2, 7], [2, 5, 6, 9]]
    assert batch["attention_mask"].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    assert batch["position_ids"].tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]


def made(loaded, folder: Path, judge, **changes):
    model, tokenizer = loaded
    data = examples(tokenizer, PROMPTER, SEGMENTS, 256, Tally(1))
    return trainer(model, data, tokenizer.pad_token_id, dataclasses.replace(SCHEDULE, **changes), folder, judge), data


def test_the_loss_is_the_mean_over_target_tokens(loaded, tmp_path):
    model, _ = loaded
    built, data = made(loaded, tmp_path, lambda epoch, loss: True)
    batch = {name: tensor.to(model.device) for name, tensor in collate(data, pad=0).items()}
    loss = built.compute_loss(model, batch)
    total, count = 0.0, 0
    for text in data:
        ids, start = text["input_ids"], len(text["input_ids"]) - text["target_tokens"]
        with torch.inference_mode():
            spread = model(torch.tensor([ids], device=model.device)).logits[0].log_softmax(-1)
        for i in range(start, len(ids)):
            total -= float(spread[i - 1, ids[i]])
            count += 1
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-5)


def test_micro_batches_give_the_loss_and_weights_of_the_whole_batch(tmp_path):
    curves = []
    for micro in (4, 1):
        losses: list[float] = []
        folder = tmp_path / str(micro)
        loaded = load_base(tiny.save_gemma(folder / "base"), "float32")
        built, _ = made(
            loaded, folder, lambda epoch, loss, seen=losses: seen.append(loss) or True, micro_batch_size=micro
        )
        built.train()
        curves.append(losses)
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    assert curves[0][1] < curves[0][0]


def test_training_stops_when_the_judge_says_so(loaded, tmp_path):
    seen = []
    built, _ = made(loaded, tmp_path, lambda epoch, loss: bool(seen.append(epoch)), epochs=5)
    built.train()
    assert seen == [1]


def test_the_learning_rate_warms_up_and_falls_as_a_cosine(loaded, tmp_path):
    built, _ = made(loaded, tmp_path, lambda epoch, loss: True)
    built.train()
    rates = [entry["learning_rate"] for entry in built.state.log_history if "learning_rate" in entry]
    total, warm = 6, SCHEDULE.warmup_steps
    factors = [
        step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
        for step in range(total)
    ]
    assert rates == pytest.approx([SCHEDULE.learning_rate * factor for factor in factors], rel=1e-6)


def test_rows_of_like_length_share_a_batch(loaded, tmp_path):
    built, data = made(loaded, tmp_path, lambda epoch, loss: True, group_by_length=True)
    lengths = [len(text["input_ids"]) for text in data]
    spans = [max(batch) - min(batch) for batch in (lengths_of(row) for row in built.get_train_dataloader())]
    assert sum(spans) < len(spans) * (max(lengths) - min(lengths))
    seen = sorted(length for row in built.get_train_dataloader() for length in lengths_of(row))
    assert seen == sorted(lengths)


def lengths_of(batch):
    return batch["attention_mask"].sum(-1).tolist()
