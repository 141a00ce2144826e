"""BF32: a model in float32 whose frozen linear layers multiply bfloat16, three times as fast on a CPU with AMX.

Their weights are held in bfloat16, their inputs and results are rounded to it, and sums are taken in float32: what
autocast does, but to linear layers alone and without rounding the weights again at every product. The output layer's
logits are not rounded, as they would tie. Where a GPU computes, or a CPU without AMX, which multiplies bfloat16 no
faster than float32, BF32 is float32. Source: `torch.backends.mkldnn.matmul.fp32_precision`
(https://docs.pytorch.org/docs/stable/notes/mkldnn.html).
"""

from typing import Any

import torch
from torch.autograd.function import FunctionCtx

from mt.processes import device

ROWS = 4
"""With fewer, most of the time goes into reading float32 weights, and bfloat16 must be made of them first."""


def available() -> bool:
    """Whether BF32 differs from float32 here."""
    return device().type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def hastened(model: Any, precision: str) -> Any:
    """The same model of transformers or peft; where `precision` is bf32, its frozen layers multiply so from now on."""
    if precision == "bf32":
        output = model.get_output_embeddings()
        multiply_in_bf32(model, getattr(output, "base_layer", output))
    return model


def multiply_in_bf32(model: torch.nn.Module, output: torch.nn.Module | None) -> None:
    """Let a model's frozen linear layers multiply in BF32, where that is available.

    Args:
        model: any.
        output: the layer that makes logits; an encoder has none.
    """
    if not available():
        return
    for layer in model.modules():
        if type(layer) is not torch.nn.Linear or layer.weight.requires_grad:
            continue
        layer.__class__ = Bf32Linear
        if layer is not output:
            layer.weight = torch.nn.Parameter(layer.weight.to(torch.bfloat16), requires_grad=False)
    if output is None:  # and few rows of the embedding are used, which stays in its file
        return
    for weights in model.parameters():
        if weights.dtype == torch.float32:  # a part of the file, all of which stays in memory while a part is used
            weights.data = weights.data.clone()


class Bf32Linear(torch.nn.Linear):
    """A frozen linear layer in BF32, from [..., inputs] to [..., outputs]; it has no gradient of its weights."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Multiply, then add the bias."""
        rows = input.reshape(-1, input.shape[-1])
        if len(rows) < ROWS and self.weight.dtype == torch.float32:
            return super().forward(input)
        apply: Any = _Product.apply
        out: torch.Tensor = apply(rows, self.weight)
        out = out.view(*input.shape[:-1], out.shape[-1])
        return out if self.bias is None else out.add_(self.bias)


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
    """The matrix product in BF32, in float32, of weights `right`; its result is rounded where they are bfloat16."""
    if right.dtype == torch.bfloat16:
        return (left.to(torch.bfloat16) @ right).float()
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        return left @ right
    finally:
        matmul.fp32_precision = before
