import dataclasses
from typing import Any

import pytest
import torch
from peft.tuners.lora.layer import Linear

import mt.bf32
import tiny
from mt.bf32 import ROWS, Bf32Linear, available, multiply_in_bf32, product
from mt.lm import computed, held, load_adapted, load_base
from mt.lora import adapt, save

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


def test_weights_are_read_in_float32():
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


def test_weights_in_bfloat16_round_the_product_too():
    left, right = numbers(64, 512), numbers(512, 48)
    rounded = left.bfloat16().double() @ right.bfloat16().double()
    found = product(left, right.bfloat16())
    assert found.dtype == torch.float32
    assert torch.equal(found, found.bfloat16().float())
    assert torch.allclose(found.double(), rounded, rtol=2**-7, atol=1e-2)


def test_the_product_leaves_all_others_as_they_were():
    before = matmul.fp32_precision
    product(numbers(2, 3), numbers(3, 2))
    assert matmul.fp32_precision == before
    with pytest.raises(RuntimeError):
        product(numbers(2, 3), numbers(2, 3))
    assert matmul.fp32_precision == before


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 32), (ROWS, 32), (3, 5, 32)])
@pytest.mark.parametrize("makes_logits", [False, True])
def test_a_layer_and_its_gradient_are_those_of_float32_but_for_rounding(amx, bias, shape, makes_logits):
    plain = torch.nn.Linear(32, 8, bias=bias).requires_grad_(False)
    fast = torch.nn.Sequential(torch.nn.Linear(32, 8, bias=bias)).requires_grad_(False)
    fast[0].load_state_dict(plain.state_dict())
    multiply_in_bf32(fast, fast[0] if makes_logits else None)
    assert isinstance(fast[0], Bf32Linear)
    assert fast[0].weight.dtype == (torch.float32 if makes_logits else torch.bfloat16)
    made = []
    for layer in (plain, fast):
        x = numbers(*shape).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        made.append((y, x.grad))
    for expected, found in zip(*made, strict=True):
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, rtol=0.02, atol=0.02)


def test_weights_that_are_trained_are_left_as_they_are(amx):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4).requires_grad_(False))
    multiply_in_bf32(model, None)
    assert [type(layer) for layer in model] == [torch.nn.Linear, Bf32Linear]
    model(numbers(ROWS, 4)).sum().backward()
    assert model[0].weight.grad is not None


def test_without_amx_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(mt.bf32, "available", lambda: False)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4)).requires_grad_(False)
    multiply_in_bf32(model, None)
    assert type(model[0]) is torch.nn.Linear


@pytest.mark.parametrize("makes_logits", [False, True])
def test_what_an_encoder_looks_up_stays_where_it_is(amx, makes_logits):
    embedding, linear = torch.nn.Embedding(8, 4), torch.nn.Linear(4, 8)
    before = embedding.weight.data_ptr()
    model = torch.nn.Sequential(embedding, linear).requires_grad_(False)
    multiply_in_bf32(model, linear if makes_logits else None)
    assert (embedding.weight.data_ptr() == before) is not makes_logits


def test_a_model_is_loaded_in_bf32(amx, tmp_path):
    model, _ = load_base(tiny.save_gemma(tmp_path / "base"), "bf32")
    layers = {type(layer) for layer in model.modules() if isinstance(layer, torch.nn.Linear)}
    assert layers == {Bf32Linear}
    output = model.get_output_embeddings()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            assert layer.weight.dtype == (torch.float32 if layer is output else torch.bfloat16)
    assert output.weight is model.get_input_embeddings().weight


def adapter_of(base, targets, folder):
    """An adapter of some layers that changes what they do, saved."""
    model = adapt(load_base(base, "float32")[0], dataclasses.replace(tiny.LORA, target_modules=targets))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(weights, 1e-3)
    save(model, folder)
    return folder


def test_an_adapter_is_merged_before_its_weights_are_rounded(amx, tmp_path):
    base = tiny.save_gemma(tmp_path / "base")
    adapter = adapter_of(base, tiny.LORA.target_modules, tmp_path / "adapter")
    exact, found = (load_adapted(base, adapter, name)[0] for name in ("float32", "bf32"))
    assert {weights.dtype for weights in found.parameters()} == {torch.float32, torch.bfloat16}
    for (name, expected), weights in zip(exact.named_parameters(), found.parameters(), strict=True):
        assert torch.equal(weights, expected.to(weights.dtype)), name


def test_each_layer_is_rounded_before_the_next_is_merged(amx, tmp_path, monkeypatch):
    base = tiny.save_gemma(tmp_path / "base")
    adapter = adapter_of(base, ("q_proj", "down_proj"), tmp_path / "adapter")
    merge = Linear.merge
    merged: list[torch.nn.Linear] = []
    held: list[set[torch.dtype]] = []

    def watched(layer, **given):
        held.append({one.weight.dtype for one in merged})
        merge(layer, **given)
        merged.append(layer.get_base_layer())

    monkeypatch.setattr(Linear, "merge", watched)
    load_adapted(base, adapter, "bf32")
    assert len(held) > 2
    assert held == [set(), *([{torch.bfloat16}] * (len(held) - 1))]


def test_an_output_layer_with_an_adapter_is_not_rounded(amx, tmp_path):
    base = tiny.save_gemma(tmp_path / "base")
    adapter = adapter_of(base, ("q_proj", "lm_head"), tmp_path / "adapter")
    exact, found = (load_adapted(base, adapter, name)[0].get_output_embeddings() for name in ("float32", "bf32"))
    assert found.weight.dtype == torch.float32
    assert torch.equal(found.weight, exact.weight)
