"""Attention of one more token a row to what mt/cache.py holds: shared keys and values are read once for all rows.

Source: transformers' attention interface (https://huggingface.co/docs/transformers/attention_interface).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface

from mt.cache import Parts

NAME = "parted"


def possible(model: Any) -> bool:
    """Whether the model's attention can be this one, which stands for torch's scaled_dot_product_attention."""
    return bool(model.config._attn_implementation == "sdpa" and model.is_backend_compatible())


@contextmanager
def parted(model: Any) -> Iterator[None]:
    """Let the model's attention take `Parts`, and a mask that is added, [rows, 1, 1, tokens]."""
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def attend(
    _: torch.nn.Module,
    query: torch.Tensor,
    key: Parts,
    value: Parts,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from [rows, query heads, 1, head size]; returns [rows, 1, query heads, head size] and no weights."""
    rows, heads, _tokens, size = query.shape
    grouped = (query * (size**-0.5 if scaling is None else scaling)).view(rows, key.own.shape[1], -1, size)
    scores = torch.cat([_times(grouped, part.transpose(-1, -2)) for part in key], -1) + attention_mask
    if sliding_window and scores.shape[-1] > sliding_window:
        scores[..., :-sliding_window] = -torch.inf
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    shares = torch.split(weights, [part.shape[-2] for part in value], -1)
    found = torch.stack([_times(share, part) for share, part in zip(shares, value, strict=True)]).sum(0)
    return found.reshape(rows, 1, heads, -1), None


def _times(left: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """Matrix products of [rows, heads, group, …] and [fewer, heads, …, …], of which each serves as many rows."""
    rows, heads, group, width = left.shape
    sharing = rows // len(part)
    together = left.view(len(part), sharing, heads, group, width).transpose(1, 2).flatten(2, 3)
    apart: torch.Tensor = (together @ part).view(len(part), heads, sharing, group, -1).transpose(1, 2)
    return apart.reshape(rows, heads, group, -1)


AttentionInterface.register(NAME, attend)
