import dataclasses
import math
from typing import Any

import pytest
import torch

from mt import schedule
from mt.errors import InputError
from mt.schedule import Schedule, accumulation

SCHEDULE = Schedule(
    seed=1,
    epochs=2,
    learning_rate=0.01,
    schedule="cosine",
    warmup_steps=2,
    weight_decay=0.01,
    max_grad_norm=1.0,
    batch_size=128,
    micro_batch_size=4,
    precision="float32",
    gradient_checkpointing=False,
    group_by_length=False,
    save_steps=50,
)


@pytest.mark.parametrize(("micro", "processes", "steps"), [(4, 1, 32), (4, 2, 16), (128, 1, 1), (16, 8, 1)])
def test_accumulation_keeps_the_batch(monkeypatch, micro, processes, steps):
    monkeypatch.setattr(schedule, "count", lambda: processes)
    assert accumulation(dataclasses.replace(SCHEDULE, micro_batch_size=micro)) == steps


@pytest.mark.parametrize(
    ("batch", "micro", "processes", "mend"),
    [
        pytest.param(128, 32, 8, "micro_batch_size 16", id="more than there is"),
        pytest.param(128, 16, 16, "micro_batch_size 8", id="a divisor"),
        pytest.param(24, 4, 4, "micro_batch_size 3", id="no power of two"),
        pytest.param(128, 4, 3, "batch_size 120", id="three processes"),
        pytest.param(4, 4, 3, "batch_size 12", id="less than one each"),
    ],
)
def test_a_batch_that_cannot_be_dealt_out(monkeypatch, batch, micro, processes, mend):
    monkeypatch.setattr(schedule, "count", lambda: processes)
    settings = dataclasses.replace(SCHEDULE, batch_size=batch, micro_batch_size=micro)
    with pytest.raises(InputError, match=f"× {processes} processes; write {mend}$"):
        accumulation(settings)
    name, _, value = mend.partition(" ")
    mended: Any = {name: int(value)}
    assert accumulation(dataclasses.replace(settings, **mended)) >= 1


def test_loss_scaling_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(schedule, "device", lambda: torch.device("cpu"))
    with pytest.raises(InputError, match=r"float16 .* write bfloat16"):
        accumulation(dataclasses.replace(SCHEDULE, precision="float16"))
    assert accumulation(dataclasses.replace(SCHEDULE, precision="bfloat16")) == 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 6, "micro_batch_size": 4}, "must be divisible by micro_batch_size 4; write 4"),
        ({"batch_size": 2, "micro_batch_size": 4}, "must be divisible by micro_batch_size 4; write 4"),
        ({"epochs": -1}, "epochs must not be negative"),
        ({"save_steps": 0}, "save_steps must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative"),
    ],
)
def test_refused_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SCHEDULE, **changes)
