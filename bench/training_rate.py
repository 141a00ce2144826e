"""Training tokens per second of LoRA on a frozen model, peak memory, and the share of the device's matrix rate.

Operations are counted after the PaLM paper's appendix B (Chowdhery et al. 2022), for weights that are frozen: N weights
of a matrix cost 2N operations a token forward, and 2N backward for the gradient of the activations; the 2N for that of
the weights are not spent. With gradient checkpointing the layers run forward once more. So with L the weights of the
layers and H those of the output matrix, for T tokens, of which P have logits:

    model operations     4 L T + 4 H P                          mfu = model operations / seconds / matrix rate
    device operations    the same, and 2 L T for recomputing    hfu = device operations / seconds / matrix rate

Attention's own products and the adapters, about 1 % each at these sizes, are not counted.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import TrainerCallback

from mt.lora import Lora, Weights, adapt
from mt.prompt import FORWARD, Languages, Prompter
from mt.rows import examples
from mt.schedule import Schedule
from mt.tally import Tally
from mt.training import trainer
from random_model import Shape, text
from timing import forget, peak, synchronize

LORA = Lora(
    rank=16,
    alpha=32,
    dropout=0.05,
    target_modules=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    rslora=False,
    dora=False,
)
WHAT = (
    "LoRA of rank {rank} on all linear layers, frozen weights {weights}, bfloat16 autocast, rows of {tokens} tokens, "
    "{targets} of them targets, one micro batch an optimizer step; seconds of a step: median of {least} to {most} "
    "steps after {warm}, from the end of one to the end of the next; tokens per second from it; peak since before the "
    "Trainer was made, weights in it; mfu and hfu: see the docstring of bench/training_rate.py"
)


@dataclass(frozen=True)
class Size:
    """Tokens of a row, rows of a micro batch, and how many optimizer steps are timed.

    After `warm` steps, at least `least` and at most `most`, and no more once `enough` seconds have passed.
    """

    tokens: int
    targets: int
    rows: tuple[int, ...]
    warm: int
    least: int
    most: int
    enough: float


class StepClock(TrainerCallback):  # type: ignore[misc]
    """Seconds of each optimizer step after the first `warm`; ends the training when it has seen enough."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._ends: list[float] = []

    @property
    def seconds(self) -> list[float]:
        """Each timed step's."""
        ends = self._ends[self._size.warm - 1 :]
        return [after - before for before, after in pairwise(ends)]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note when the device has done with a step."""
        synchronize()
        self._ends.append(time.perf_counter())
        done = len(self.seconds)
        if done >= self._size.most or (done >= self._size.least and sum(self.seconds) >= self._size.enough):
            control.should_training_stop = True


def measure(
    model: Any, tokenizer: Any, weights: Weights, shape: Shape, size: Size, tflops: float
) -> Iterator[dict[str, Any]]:
    """Figures without and with gradient checkpointing, for more and more rows until memory ends; all so far, each time.

    Args:
        model: frozen, without an adapter.
        tokenizer: its own.
        weights: the type of the model's.
        shape: the model's.
        size: what to measure.
        tflops: the device's matrix rate.
    """
    adapted = adapt(model, LORA)
    what = WHAT.format(rank=LORA.rank, weights=weights, **vars(size))
    figures: list[dict[str, Any]] = []
    for checkpointing in (False, True):
        for rows in size.rows:
            figures.append(rate(adapted, tokenizer, shape, size, rows, checkpointing, tflops))
            yield {"what": what, "figures": figures}
            if "out_of_memory" in figures[-1]:
                break


def rate(
    model: Any,
    tokenizer: Any,
    shape: Shape,
    size: Size,
    rows: int,
    checkpointing: bool,
    tflops: float,
) -> dict[str, Any]:
    """Figures of one size of micro batch, or that it does not fit."""
    found: dict[str, Any] = {"micro_batch_size": rows, "gradient_checkpointing": checkpointing}
    forget()
    try:
        step = step_seconds(model, tokenizer, size, rows, checkpointing)
    except torch.OutOfMemoryError:
        return found | {"out_of_memory": True}
    tokens, targets = rows * size.tokens, rows * size.targets
    used, spent = operations(shape, tokens, targets + rows, checkpointing)
    return found | {
        "step_seconds": step,
        "tokens_per_second": tokens / step,
        "target_tokens_per_second": targets / step,
        "mfu": used / step / (tflops * 1e12),
        "hfu": spent / step / (tflops * 1e12),
        "peak": peak(),
    }


def operations(shape: Shape, tokens: int, logits: int, recomputed: bool) -> tuple[int, int]:
    """Model operations and device operations of a step, see the module's docstring.

    Args:
        shape: the model's.
        tokens: of all rows.
        logits: tokens that have logits; the Trainer keeps those of the targets and one more a row.
        recomputed: whether the layers run forward twice.
    """
    used = 4 * shape.layer_weights * tokens + 4 * shape.head_weights * logits
    return used, used + (2 * shape.layer_weights * tokens if recomputed else 0)


def step_seconds(model: Any, tokenizer: Any, size: Size, rows: int, checkpointing: bool) -> float:
    """Median seconds of an optimizer step of one micro batch."""
    schedule = Schedule(
        seed=1,
        epochs=1,
        learning_rate=0.00002,
        schedule="cosine",
        warmup_steps=0,
        weight_decay=0.01,
        max_grad_norm=1.0,
        batch_size=rows,
        micro_batch_size=rows,
        micro_batch_tokens=rows * size.tokens,
        precision="bfloat16",
        gradient_checkpointing=checkpointing,
        group_by_length=False,
        save_steps=1_000_000,
    )
    prompter = Prompter("{src}\n{tgt}\n", Languages("en", "ja"), FORWARD, [])
    vocabulary = len(tokenizer)
    segments = [
        {
            "id": str(i),
            "src": text(size.tokens - size.targets - 1, vocabulary, 2 * i),
            "tgt": text(size.targets, vocabulary, 2 * i + 1),
        }
        for i in range(rows * (size.warm + size.most))
    ]
    data = examples(tokenizer, prompter, segments, size.tokens, Tally(0))
    clock = StepClock(size)
    with TemporaryDirectory() as folder:
        made = trainer(model, data, tokenizer.pad_token_id, schedule, Path(folder), go_on, nothing)
        made.add_callback(clock)
        try:
            made.train()
        finally:
            made.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # or each Trainer wraps it once more
    return median(clock.seconds)


def go_on(*_: object) -> bool:
    """The judgement of an epoch."""
    return True


def nothing(step: int) -> None:
    """What is done after a checkpoint; none is written."""
