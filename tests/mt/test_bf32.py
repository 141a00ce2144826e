from typing import Any

import pytest
import torch

import mt.bf32
import tiny
from mt.bf32 import ROWS, Bf32Linear, available, multiply_in_bf32, product
from mt.lm import computed, held, load_base

matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]


@pytest.fixture
def amx(monkeypatch):
    """As on a CPU with AMX; without it, torch multiplies float32."""
    monkeypatch.setattr(mt.bf32, "available", lambda: True)


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64).float()


@pytest.mark.parametrize(
    ("capabilities", "kind", "expected"),
    [
        ({"amx_bf16": True}, "cpu", True),
        ({"amx_bf16": False, "avx512_bf16": True}, "cpu", False),
        ({"architecture": "aarch64"}, "cpu", False),
        ({"amx_bf16": True}, "cuda", False),
    ],
)
def test_bf32_wants_a_cpu_with_amx(monkeypatch, capabilities, kind, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(mt.bf32, "device", lambda: torch.device(kind))
    assert available() is expected
    assert computed("bf32") == ("bf32" if expected else "float32")
    assert [computed(name) for name in ("float32", "bfloat16")] == ["float32", "bfloat16"]


def test_weights_are_held_in_float32():
    assert [held(name) for name in ("bf32", "float32", "bfloat16")] == [torch.float32, torch.float32, torch.bfloat16]


def test_the_product_has_bfloat16_numbers_and_float32_sums():
    left, right = numbers(64, 512), numbers(512, 48)
    exact = left.double() @ right.double()
    rounded = left.bfloat16().double() @ right.bfloat16().double()
    found = product(left, right)
    assert found.dtype == torch.float32
    apart = min((found - expected).abs().max() for expected in (exact, rounded))
    assert apart < 1e-4
    if available():
        assert (found - rounded).abs().max() < 1e-4 < (found - exact).abs().max()


def test_the_product_leaves_all_others_as_they_were():
    before = matmul.fp32_precision
    product(numbers(2, 3), numbers(3, 2))
    assert matmul.fp32_precision == before
    with pytest.raises(RuntimeError):
        product(numbers(2, 3), numbers(2, 3))
    assert matmul.fp32_precision == before


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 32), (ROWS, 32), (3, 5, 32)])
def test_a_layer_and_its_gradient_are_those_of_float32_but_for_rounding(amx, bias, shape):
    plain = torch.nn.Linear(32, 8, bias=bias).requires_grad_(False)
    fast = torch.nn.Sequential(torch.nn.Linear(32, 8, bias=bias)).requires_grad_(False)
    fast[0].load_state_dict(plain.state_dict())
    multiply_in_bf32(fast)
    assert isinstance(fast[0], Bf32Linear)
    made = []
    for layer in (plain, fast):
        x = numbers(*shape).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        made.append((y, x.grad))
    for expected, found in zip(*made, strict=True):
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, rtol=0.02, atol=0.02)


def test_weights_that_would_be_trained_are_refused(amx):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4))
    multiply_in_bf32(model)
    with pytest.raises(ValueError, match="freeze them"):
        model(numbers(ROWS, 4))
    with torch.inference_mode():
        model(numbers(ROWS, 4))


def test_without_amx_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(mt.bf32, "available", lambda: False)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4))
    multiply_in_bf32(model)
    assert type(model[0]) is torch.nn.Linear


def test_a_model_is_loaded_in_bf32(amx, tmp_path):
    model, _ = load_base(tiny.save_gemma(tmp_path / "base"), "bf32")
    layers = {type(layer) for layer in model.modules() if isinstance(layer, torch.nn.Linear)}
    assert layers == {Bf32Linear}
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
