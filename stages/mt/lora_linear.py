"""A linear layer and its LoRA adapter as one function with a gradient of its own, for training and judging on a CPU.

peft computes y = Wx + s B A dropout(x) (Hu et al. 2021, equation 3) in steps that scale and add all of y, and torch
draws dropout's numbers one by one on one core; on a CPU that takes as long as the matrix products.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from peft.tuners.lora.layer import Linear

from mt.bf32 import Bf32Linear, product

Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SLACK = 6
"""Standard deviations by which more gaps are drawn than are expected to do."""


class LoraLinear(Linear):  # type: ignore[misc]
    """peft's own layer, which computes faster: one adapter in float32, on a CPU, without autocast."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """From [..., inputs] to [..., outputs]."""
        if self.disable_adapters or self.merged or torch.is_autocast_enabled("cpu"):
            out: torch.Tensor = super().forward(x, *args, **kwargs)
            return out
        (name,) = self.active_adapters
        layer = self.base_layer
        rows = x.reshape(-1, x.shape[-1])
        share = getattr(self.lora_dropout[name], "p", 0.0) if self.training else 0.0  # none is an Identity
        apply: Any = _Adapted.apply
        out = apply(
            rows,
            layer.weight,
            self.lora_A[name].weight,
            self.lora_B[name].weight,
            self.scaling[name] / (1 - share),
            dropped(rows.numel(), share) if share else None,
            product if isinstance(layer, Bf32Linear) else torch.matmul,
        )
        out = out.view(*x.shape[:-1], out.shape[-1])
        return out if layer.bias is None else out + layer.bias


def dropped(number: int, share: float) -> torch.Tensor:
    """Which of so many numbers a dropout of `share` sets to zero, ascending.

    Drawn are the gaps between them, which have a geometric distribution (Devroye 1986, X.2).
    """
    expected = number * share
    enough = math.ceil(expected + SLACK * math.sqrt(expected) + SLACK)
    places = torch.full((1,), -1)
    while int(places[-1]) < number:
        gaps = torch.rand(enough).neg_().log1p_().div_(math.log1p(-share)).clamp_(max=number).long()
        places = torch.cat([places, gaps.add_(1).cumsum_(0).add_(places[-1])])
    return places[1 : int(torch.searchsorted(places, number))]


def without(rows: torch.Tensor, places: torch.Tensor | None) -> torch.Tensor:
    """A copy with zeros at some places, counted through all rows; where there are none to set, no copy."""
    if places is None:
        return rows
    copy = rows.clone(memory_format=torch.contiguous_format)
    copy.view(-1).index_fill_(0, places, 0.0)
    return copy


class _Adapted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        weight: torch.Tensor,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
        places: torch.Tensor | None,
        times: Product,
    ) -> torch.Tensor:
        inner = (without(rows, places) @ down.t()).mul_(scale)
        ctx.save_for_backward(rows, weight, down, up, inner, places)
        ctx.scale, ctx.times = scale, times
        return times(rows, weight.t()).addmm_(inner, up.t())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, weight, down, up, inner, places = ctx.saved_tensors
        of_inner = (gradient @ up).mul_(ctx.scale)
        of_down = of_inner.t() @ without(rows, places)
        of_rows = None
        if ctx.needs_input_grad[0]:
            through = of_inner @ down
            if places is not None:
                through.view(-1).index_fill_(0, places, 0.0)
            of_rows = ctx.times(gradient, weight).add_(through)
        return of_rows, None, of_down, (inner.t() @ gradient).t(), None, None, None
