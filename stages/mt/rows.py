"""The rows that a language model learns from: made from segments, put in order, stacked into batches."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from mt.lm import pad_left, positions, split_ids
from mt.prompt import Prompter
from mt.segments import Segment
from mt.tally import Tally

IGNORED = -100

Example = dict[str, Any]
"""One training text: `input_ids`, of which the last `target_tokens` are learnt."""


def examples(
    tokenizer: Any, prompter: Prompter, segments: Sequence[Segment], max_tokens: int, tally: Tally
) -> list[Example]:
    """Tokenize segments; those of more than `max_tokens` tokens are dropped and counted."""
    kept = []
    for segment in segments:
        prompt, target = split_ids(tokenizer, prompter.prompt(segment), prompter.continuation(segment))
        if len(prompt) + len(target) > max_tokens:
            tally.drop("more than max_tokens tokens", segment)
        else:
            tally.keep()
            kept.append({"input_ids": prompt + target, "target_tokens": len(target)})
    return kept


def blank(pad: int) -> Example:
    """A row of which nothing is learnt."""
    return {"input_ids": [pad, pad], "target_tokens": 0}


def collate(batch: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Stack examples so that all targets end together, [rows, longest], padded on the left."""
    rows = [example["input_ids"] for example in batch]
    ids = pad_left(rows, pad)
    mask = pad_left([[1] * len(row) for row in rows], 0)
    starts = [len(row) - example["target_tokens"] for row, example in zip(rows, batch, strict=True)]
    labels = pad_left([row[start:] for row, start in zip(rows, starts, strict=True)], IGNORED)
    labels = torch.nn.functional.pad(labels, (ids.shape[1] - labels.shape[1], 0), value=IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask), "labels": labels}


class Order(Sampler[int]):
    """The order of the rows, epoch by epoch: it follows from the seed and the epoch's number, and from nothing else.

    So the rows that an optimizer step learns from are the same whatever the micro batch and the number of processes,
    and in a training that was cut off and goes on. A step that the micro batches do not make up exactly, and the last
    of an epoch, is filled up with blank rows: no row counts twice, and none is left out.

    Args:
        lengths: of the rows, in tokens.
        batch_size: rows an optimizer step.
        filled: the same with blank rows, at least `batch_size`.
        seed: of the order.
        grouped: whether rows of like length share an optimizer step, as with transformers' LengthGroupedSampler.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, filled: int, seed: int, grouped: bool) -> None:
        self._lengths, self._batch_size, self._filled = lengths, batch_size, filled
        self._seed, self._grouped = seed, grouped
        self._epoch = 0
        self.steps = math.ceil(len(lengths) / batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, that the next pass stands for."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self.steps * self._filled

    def __iter__(self) -> Iterator[int]:
        """Yield the number of each row, and `len(lengths)` for a blank one."""
        from transformers.trainer_pt_utils import get_length_grouped_indices

        rows = len(self._lengths)
        digest = hashlib.sha256(f"{self._seed}:{self._epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
        if self._grouped:
            order = get_length_grouped_indices(list(self._lengths), self._batch_size, generator=generator)
        else:
            order = torch.randperm(rows, generator=generator).tolist()
        for start in range(0, rows, self._batch_size):
            step = order[start : start + self._batch_size]
            yield from [*step, *[rows] * (self._filled - len(step))]
