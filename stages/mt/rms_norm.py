"""Gemma's RMS normalization as one function with a gradient of its own, for training on a CPU.

y = x / rms(x) · (1 + w) (Zhang and Sennrich 2019, equation 4; Gemma counts its weights from one). transformers writes
it in nine steps that each have a gradient; on a CPU they take a tenth of a training step, and keep four copies of x.
"""

from typing import Any

import torch
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm


class RmsNorm(Gemma3RMSNorm):  # type: ignore[misc]
    """transformers' own layer, which trains faster where its weights are frozen: in float32, without autocast."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From [..., size] to the same."""
        if self.weight.requires_grad or torch.is_autocast_enabled("cpu"):
            plain: torch.Tensor = super().forward(x)
            return plain
        apply: Any = _Normalized.apply
        out: torch.Tensor = apply(x, 1 + self.weight, self.eps)
        return out


class _Normalized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, eps: float) -> torch.Tensor:
        squares = torch.linalg.vecdot(x, x).unsqueeze(-1)
        inverse = squares.div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, scale, inverse)
        normal: torch.Tensor = x * inverse
        return normal.mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        x, scale, inverse = ctx.saved_tensors
        gradient = gradient * scale
        along = torch.linalg.vecdot(gradient, x).unsqueeze(-1)
        along.mul_(inverse.pow(3)).div_(-x.shape[-1])
        return gradient.mul_(inverse).addcmul_(x, along), None, None
