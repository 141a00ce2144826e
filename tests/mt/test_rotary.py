import copy

import pytest
import torch
from transformers.models.gemma3 import modeling_gemma3
from transformers.models.gemma3.modeling_gemma3 import apply_rotary_pos_emb

import tiny
from mt.layers import exchange
from mt.lm import load_base
from mt.rotary import Attention, rotate


def angles(rows, tokens, size):
    """What transformers makes of positions: cos and sin, whose halves are the same."""
    half = torch.randn(rows, tokens, size // 2, generator=torch.Generator().manual_seed(1))
    whole = torch.cat([half, half], -1)
    return whole.cos(), whole.sin()


def turned(turn, scale):
    """Query and key, turned, and the gradients of both."""
    numbers = torch.Generator().manual_seed(2)
    heads = [(torch.randn(3, n, 5, 8, generator=numbers) * scale).requires_grad_() for n in (4, 1)]
    found = turn(*heads, *angles(3, 5, 8))
    sum((one * torch.arange(one.numel()).view(one.shape).cos()).sum() for one in found).backward()
    return [*(one.detach() for one in found), *(one.grad for one in heads)]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_values_and_gradients_are_those_of_transformers(scale):
    for found, expected in zip(turned(rotate, scale), turned(apply_rotary_pos_emb, scale), strict=True):
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6 * scale)


def test_the_gradient_is_that_of_the_formula():
    cos, sin = (one.double() for one in angles(1, 2, 4))
    query, key = (torch.randn(1, n, 2, 4, dtype=torch.float64, requires_grad=True) for n in (2, 1))
    assert torch.autograd.gradcheck(lambda q, k: rotate(q, k, cos, sin), (query, key))


@pytest.fixture
def models(tmp_path):
    """A model whose attention is that of transformers, and one with this."""
    own = load_base(tiny.save_gemma(tmp_path / "base"), "float32")[0]
    ours = copy.deepcopy(own)
    exchange(ours, (Attention,))
    return own, ours


@pytest.fixture
def called(monkeypatch):
    """Grows by one whenever this function turns a layer's query and key."""
    calls = []
    monkeypatch.setattr("mt.rotary.rotate", lambda *given: calls.append(1) or rotate(*given))
    return calls


IDS = torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])


def test_a_model_gives_the_same_logits_and_leaves_transformers_as_it_was(models, called):
    own, ours = (model(input_ids=IDS).logits for model in models)
    assert len(called) == models[1].config.num_hidden_layers
    assert torch.allclose(own, ours, rtol=1e-5, atol=1e-5)
    assert modeling_gemma3.apply_rotary_pos_emb is apply_rotary_pos_emb


@pytest.mark.parametrize("again", [1, 2], ids=["once", "and once more, for the gradients"])
def test_gradients_through_a_model_are_the_same(models, called, again):
    found = []
    for model in models:
        model.train().requires_grad_(True)
        if again == 2:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model(input_ids=IDS, labels=IDS, use_cache=False).loss.backward()
        found.append([weights.grad for weights in model.parameters()])
    assert len(called) == again * models[1].config.num_hidden_layers
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-6) for one, other in zip(*found, strict=True))


def test_a_layer_that_fails_leaves_transformers_as_it_was(models):
    with pytest.raises(IndexError):
        models[1](input_ids=IDS + 10**6)
    layer = next(one for one in models[1].modules() if isinstance(one, Attention))
    with pytest.raises(TypeError):
        layer(torch.ones(1, 2, layer.config.hidden_size), None, None)
    assert modeling_gemma3.apply_rotary_pos_emb is apply_rotary_pos_emb


def test_autocast_is_left_to_transformers(models, called):
    with torch.autocast("cpu", torch.bfloat16):
        own, ours = (model(input_ids=IDS).logits for model in models)
    assert not called
    assert torch.equal(own, ours)
