import dataclasses
import math

import pytest
import torch

import tiny
from mt import schedule
from mt.errors import InputError
from mt.schedule import accumulation

SCHEDULE = dataclasses.replace(tiny.SCHEDULE, batch_size=128, save_steps=50)


@pytest.mark.parametrize(
    ("micro", "processes", "steps"),
    [(4, 1, 32), (4, 2, 16), (128, 1, 1), (16, 8, 1), (4, 3, 11), (5, 1, 26), (32, 8, 1), (256, 1, 1)],
)
def test_micro_batches_are_gathered_until_they_hold_the_batch(monkeypatch, micro, processes, steps):
    monkeypatch.setattr(schedule, "count", lambda: processes)
    assert accumulation(dataclasses.replace(SCHEDULE, micro_batch_size=micro)) == steps


def test_loss_scaling_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(schedule, "device", lambda: torch.device("cpu"))
    with pytest.raises(InputError, match=r"float16 .* write bfloat16"):
        accumulation(dataclasses.replace(SCHEDULE, precision="float16"))
    assert accumulation(dataclasses.replace(SCHEDULE, precision="bfloat16")) == 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
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
