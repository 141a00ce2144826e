"""Gemma's rotary position embedding as one function with a gradient of its own, for training on a CPU.

The halves (a, b) of a head become (a cos - b sin, b cos + a sin) (Su et al. 2021, equation 34). transformers writes it
in steps that each have a gradient, and those of slices are made in tensors of zeros; on a CPU that took a twentieth of
a training step.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.models.gemma3 import modeling_gemma3
from transformers.models.gemma3.modeling_gemma3 import Gemma3Attention

USUAL = modeling_gemma3.apply_rotary_pos_emb


class Attention(Gemma3Attention):  # type: ignore[misc]
    """transformers' own layer, which trains faster: in float32, without autocast."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What transformers' gives: from [rows, tokens, units] to the same, and the attention's weights."""
        if torch.is_autocast_enabled("cpu"):
            return super().forward(*args, **kwargs)
        with _rotated():
            return super().forward(*args, **kwargs)


@contextmanager
def _rotated() -> Iterator[None]:
    modeling_gemma3.apply_rotary_pos_emb = rotate
    try:
        yield
    finally:
        modeling_gemma3.apply_rotary_pos_emb = USUAL


def rotate(
    query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Query and key, [rows, heads, tokens, size], turned by angles whose `cos` and `sin` are [rows, tokens, size], of
    which the second half is as the first.
    """
    apply: Any = _Rotated.apply
    return apply(query, cos[:, None], sin[:, None]), apply(key, cos[:, None], sin[:, None])


class _Rotated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(gradient, cos, sin, -1), None, None


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, way: int) -> torch.Tensor:
    """Turn x, [..., size], by the angles, or where `way` is -1 and not 1 back by them."""
    (a, b), (sine, _) = x.chunk(2, -1), sin.chunk(2, -1)
    out = x * cos
    of_a, of_b = out.chunk(2, -1)
    of_a.addcmul_(b, sine, value=-way)
    of_b.addcmul_(a, sine, value=way)
    return out
