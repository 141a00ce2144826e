"""How long, how fast and in which precision a model is fine-tuned, and how its batches are dealt out."""

import math
from dataclasses import dataclass
from typing import Literal

from mt.errors import InputError
from mt.lm import Precision
from mt.processes import count, device


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and in which precision a model is fine-tuned; the names are TrainingArguments' own.

    `batch_size` is that of an optimizer step, over all micro batches and processes. A micro batch of more than
    `micro_batch_tokens` tokens, padding included, is read in parts.
    """

    seed: int
    epochs: int
    learning_rate: float
    schedule: Literal["cosine", "linear", "constant_with_warmup"]
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    batch_size: int
    micro_batch_size: int
    micro_batch_tokens: int
    precision: Precision
    gradient_checkpointing: bool
    group_by_length: bool
    save_steps: int

    def __post_init__(self) -> None:
        for name in ("batch_size", "micro_batch_size", "micro_batch_tokens", "save_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("epochs", "warmup_steps", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")


def accumulation(schedule: Schedule) -> int:
    """How many micro batches each process gathers for an optimizer step, so that all together hold `batch_size` rows.

    Raises:
        InputError: loss scaling is asked for where there is no GPU.
    """
    if schedule.precision == "float16" and device().type == "cpu":
        raise InputError("params.yaml: precision: float16 scales its loss, for which it needs a GPU; write bfloat16")
    return math.ceil(schedule.batch_size / (schedule.micro_batch_size * count()))
