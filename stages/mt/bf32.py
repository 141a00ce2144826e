"""BF32: linear layers that hold and sum float32, and multiply bfloat16, three times as fast on a CPU with AMX.

Where a GPU computes, or a CPU without AMX, which multiplies bfloat16 no faster than float32, BF32 is float32. Source:
`torch.backends.mkldnn.matmul.fp32_precision` (https://docs.pytorch.org/docs/stable/notes/mkldnn.html).
"""

from typing import Any

import torch
from torch.autograd.function import FunctionCtx

from mt.processes import device

ROWS = 4
"""With fewer, most of the time goes into reading the weights, and bfloat16 must be made of them first."""


def available() -> bool:
    """Whether BF32 differs from float32 here."""
    return device().type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def multiply_in_bf32(model: torch.nn.Module) -> None:
    """Let a model's linear layers multiply in BF32, where that is available."""
    if not available():
        return
    for layer in model.modules():
        if type(layer) is torch.nn.Linear:
            layer.__class__ = Bf32Linear


class Bf32Linear(torch.nn.Linear):
    """A linear layer in BF32, from [..., inputs] to [..., outputs]; a training changes its input alone."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Multiply, then add the bias.

        Raises:
            ValueError: a gradient of the weights would be asked for.
        """
        if torch.is_grad_enabled() and self.weight.requires_grad:
            raise ValueError("a layer in BF32 has no gradient of its weights; freeze them")
        rows = input.reshape(-1, input.shape[-1])
        if len(rows) < ROWS:
            return super().forward(input)
        apply: Any = _Product.apply
        out: torch.Tensor = apply(rows, self.weight)
        out = out.view(*input.shape[:-1], out.shape[-1])
        return out if self.bias is None else out + self.bias


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(weight)
        return product(rows, weight.t())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (weight,) = ctx.saved_tensors
        return product(gradient, weight), None


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The matrix product in BF32; small ones around it, as in attention, are faster in float32."""
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        return left @ right
    finally:
        matmul.fp32_precision = before
