import copy

import pytest
import torch
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

from mt.layers import exchange
from mt.rms_norm import RmsNorm


@pytest.fixture
def layers():
    """The layer of transformers, and this one."""
    own = Gemma3RMSNorm(24).requires_grad_(False)
    own.weight.copy_(torch.randn(24, generator=torch.Generator().manual_seed(1)))
    ours = copy.deepcopy(own)
    exchange(ours, (RmsNorm,))
    assert type(ours) is RmsNorm
    return own, ours


@pytest.mark.parametrize("shape", [(24,), (3, 24), (2, 4, 5, 24)], ids=str)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_values_and_gradients_are_those_of_transformers(layers, shape, scale):
    found = []
    for layer in layers:
        x = (torch.randn(shape, generator=torch.Generator().manual_seed(2)) * scale).requires_grad_()
        y = layer(x)
        (y * torch.arange(y.numel()).view(y.shape).cos()).sum().backward()
        found.append((y.detach(), x.grad))
    (expected, expected_gradient), (values, gradient) = found
    assert torch.allclose(values, expected, rtol=1e-5, atol=1e-6)
    assert torch.allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6 / scale)


def test_the_gradient_is_that_of_the_formula(layers):
    layer = layers[1].double()
    assert torch.autograd.gradcheck(layer, torch.randn(3, 24, dtype=torch.float64, requires_grad=True))


def test_autocast_is_left_to_transformers(layers):
    found = []
    for layer in layers:
        x = torch.randn(3, 24, generator=torch.Generator().manual_seed(2)).bfloat16().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        y.sum().backward()
        assert x.grad is not None
        found.append((y, x.grad))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_weights_that_are_trained_have_a_gradient(layers):
    layer = layers[1].requires_grad_(True)
    layer(torch.ones(3, 24)).sum().backward()
    assert layer.weight.grad.abs().max() > 0
