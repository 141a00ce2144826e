import math

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler

import tiny
from mt.lm import load_base
from mt.prompt import FORWARD, Languages, Prompter
from mt.rows import IGNORED, Order, blank, collate, examples
from mt.tally import Tally

PROMPTER = Prompter("{src_language}: {src}\n{tgt_language}: {tgt}\n", Languages("en", "ja"), FORWARD, [])
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")]
SEGMENTS = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_base(tiny.save_gemma(tmp_path_factory.mktemp("base")), "float32")[1]


def test_examples_learn_the_translation_and_its_line_end(tokenizer):
    (example,) = examples(tokenizer, PROMPTER, SEGMENTS[:1], 256, Tally(1))
    ids, learnt = example["input_ids"], example["target_tokens"]
    assert tokenizer.decode(ids[:-learnt]) == "<bos>English: The cat sat.\nJapanese:"
    assert tokenizer.decode(ids[-learnt:]) == " 猫が座っています。\n"


def test_long_examples_are_dropped_and_counted(tokenizer):
    tally = Tally(1)
    lengths = [len(e["input_ids"]) for e in examples(tokenizer, PROMPTER, SEGMENTS, 256, Tally(1))]
    kept = examples(tokenizer, PROMPTER, SEGMENTS, max(lengths) - 1, tally)
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


def test_a_blank_row_has_no_target():
    batch = collate([example([2, 5], [7, 8]), blank(0)], pad=0)
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, 8], [IGNORED] * 4]
    alone = collate([blank(0), blank(0)], pad=0)
    assert alone["labels"].tolist() == [[IGNORED] * 2] * 2
    assert alone["labels"].dtype == torch.long


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(LENGTHS, st.integers(1, 20), st.integers(0, 3), st.integers(0, 5), st.booleans())
def test_every_row_comes_once_an_epoch_and_steps_are_filled_up(lengths, batch_size, more, epoch, grouped):
    order = Order(lengths, batch_size, batch_size + more, 1, grouped)
    order.set_epoch(epoch)
    found, rows = list(order), len(lengths)
    assert len(found) == len(order) == order.steps * (batch_size + more)
    assert sorted(row for row in found if row < rows) == list(range(rows))
    assert set(found) - {rows} == set(range(rows))
    steps = [found[start : start + batch_size + more] for start in range(0, len(found), batch_size + more)]
    assert [sum(row < rows for row in step) for step in steps[:-1]] == [batch_size] * (order.steps - 1)


@given(LENGTHS, st.integers(1, 20), st.integers(1, 7), st.integers(1, 4), st.booleans())
def test_a_step_has_the_same_rows_whatever_the_micro_batch_and_the_number_of_processes(
    lengths, batch_size, micro, processes, grouped
):
    gathered = math.ceil(batch_size / (micro * processes))
    filled = gathered * micro * processes
    rows = len(lengths)
    whole = list(Order(lengths, batch_size, batch_size, 1, grouped))
    dealt = [
        list(
            BatchSamplerShard(
                BatchSampler(Order(lengths, batch_size, filled, 1, grouped), micro, False), processes, number
            )
        )
        for number in range(processes)
    ]
    for step in range(len(whole) // batch_size):
        expected = whole[step * batch_size : (step + 1) * batch_size]
        mine = [row for part in dealt for micro_batch in part[step * gathered :][:gathered] for row in micro_batch]
        assert len(mine) == filled
        assert sorted(row for row in mine if row < rows) == sorted(row for row in expected if row < rows)


@pytest.mark.parametrize("grouped", [True, False])
def test_the_order_follows_from_the_seed_and_the_epoch_alone(grouped):
    def pass_of(seed, epoch):
        order = Order(list(range(1, 50)), 4, 4, seed, grouped)
        order.set_epoch(epoch)
        torch.rand(1)
        return list(order)

    assert pass_of(1, 0) == pass_of(1, 0)
    assert len({tuple(pass_of(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_rows_of_like_length_share_a_step():
    lengths = [1 + 7 * i % 100 for i in range(100)]

    def spans(grouped):
        found = list(Order(lengths, 10, 10, 1, grouped))
        steps = [[lengths[row] for row in found[i : i + 10]] for i in range(0, 100, 10)]
        return sum(max(step) - min(step) for step in steps)

    assert spans(True) < spans(False) * 2 / 3
