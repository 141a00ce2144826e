import copy
import dataclasses

import pytest
import torch
from peft.tuners.lora.layer import Linear

import mt.bf32
import tiny
from mt.bf32 import hastened
from mt.lm import load_base
from mt.lora import adapt, load_frozen
from mt.lora_linear import LoraLinear, dropped

WITHOUT = dataclasses.replace(tiny.LORA, dropout=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_gemma(tmp_path_factory.mktemp("base"))


def adapted(folder, lora, precision="float32"):
    """A model whose adapter is not zero, as a fresh one is."""
    model = hastened(adapt(load_frozen(folder, "float32", precision)[0], lora), precision).train()
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.requires_grad:
                weights.copy_(torch.randn(weights.shape, generator=draws) / 10)
    return model


def by_peft(model):
    """The same model with peft's own layers."""
    twin = copy.deepcopy(model)
    for layer in twin.modules():
        if type(layer) is LoraLinear:
            layer.__class__ = Linear
    return twin


def gradients(model):
    ids = torch.tensor([[2, 20, 30, 40, 50], [2, 21, 31, 41, 51]])
    out = model(input_ids=ids, labels=ids)
    out.loss.backward()
    return out.logits, [weights.grad for weights in model.parameters() if weights.requires_grad]


@pytest.mark.parametrize("changes", [{}, {"rslora": True}])
def test_values_and_gradients_are_those_of_peft(folder, changes):
    model = adapted(folder, dataclasses.replace(WITHOUT, **changes))
    assert any(type(layer) is LoraLinear for layer in model.modules())
    (values, found), (expected_values, expected) = gradients(model), gradients(by_peft(model))
    assert torch.allclose(values, expected_values, atol=1e-5)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert other.abs().max() > 0
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)


def test_values_are_those_of_peft_and_nothing_is_dropped_where_it_does_not_train(folder):
    model = adapted(folder, dataclasses.replace(tiny.LORA, dropout=0.5)).eval()
    ids = torch.tensor([[2, 20, 30, 40, 50]])
    with torch.inference_mode():
        values, expected = model(input_ids=ids).logits, by_peft(model)(input_ids=ids).logits
    assert torch.allclose(values, expected, atol=1e-5)


def test_bf32_differs_by_rounding_alone(folder, monkeypatch):
    monkeypatch.setattr(mt.bf32, "available", lambda: True)
    model = adapted(folder, WITHOUT, "bf32")
    layers = [layer for layer in model.modules() if type(layer) is LoraLinear]
    assert {layer.base_layer.weight.dtype for layer in layers} == {torch.bfloat16}
    assert {weights.dtype for weights in model.parameters() if weights.requires_grad} == {torch.float32}
    values, found = gradients(model)
    expected_values, expected = gradients(adapted(folder, WITHOUT))
    assert 0 < (values - expected_values).norm() < 0.02 * expected_values.norm()
    cosines = [torch.cosine_similarity(a.flatten(), b.flatten(), 0) for a, b in zip(found, expected, strict=True)]
    assert min(cosines) > 0.99


@pytest.mark.parametrize("changes", [{"dora": True}])
def test_what_it_has_no_formula_for_is_left_to_peft(folder, changes):
    model = adapted(folder, dataclasses.replace(WITHOUT, **changes))
    assert not any(isinstance(layer, LoraLinear) for layer in model.modules())


def test_dora_in_bf32_begins_as_the_model_itself(folder, monkeypatch):
    monkeypatch.setattr(mt.bf32, "available", lambda: True)
    ids = torch.tensor([[2, 20, 30, 40, 50]])
    expected = load_base(folder, "float32")[0](input_ids=ids).logits
    base = load_frozen(folder, "float32", "bf32")[0]
    model = hastened(adapt(base, dataclasses.replace(tiny.LORA, dora=True)), "bf32").train()
    found = model(input_ids=ids).logits
    assert 0 < (found - expected).norm() < 0.02 * expected.norm()
    found.sum().backward()


def test_weights_of_fewer_bits_are_left_to_peft(folder):
    model = adapt(load_base(folder, "bfloat16")[0], WITHOUT)
    assert not any(isinstance(layer, LoraLinear) for layer in model.modules())


def test_autocast_is_left_to_peft(folder):
    model = adapted(folder, WITHOUT)
    with torch.autocast("cpu", torch.bfloat16):
        values, _ = gradients(model)
        expected, _ = gradients(by_peft(model))
    assert torch.equal(values, expected)


def test_gradients_are_those_of_the_formula_under_dropout(folder):
    layer = next(one for one in adapted(folder, tiny.LORA).modules() if type(one) is LoraLinear).double()
    layer.lora_dropout["default"].p = 0.5
    x = torch.randn(3, 4, layer.in_features, dtype=torch.float64, requires_grad=True)

    def same_draws(x):
        torch.manual_seed(1)
        return layer(x)

    assert torch.autograd.gradcheck(same_draws, (x,))
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert torch.autograd.gradcheck(lambda *_: same_draws(x.detach()), (down, up))


def test_the_mean_under_dropout_is_the_value_without(folder):
    layer = next(one for one in adapted(folder, tiny.LORA).modules() if type(one) is LoraLinear)
    layer.lora_dropout["default"].p = 0.5
    torch.manual_seed(1)
    x = torch.randn(4, layer.in_features)
    with torch.no_grad():
        mean = sum(layer(x) for _ in range(2000)) / 2000
        layer.eval()
        assert torch.allclose(mean, layer(x), atol=0.1 * layer(x).abs().max())
        assert not torch.equal(mean, layer(x))


@pytest.mark.parametrize(("share", "number"), [(0.05, 200_000), (0.5, 200_000), (0.999, 50_000), (1e-5, 1_000_000)])
def test_each_number_is_dropped_as_often_as_is_asked_and_by_itself(share, number):
    torch.manual_seed(1)
    hits = torch.zeros(number)
    hits[dropped(number, share)] = 1.0
    deviation = (number * share * (1 - share)) ** 0.5
    assert abs(hits.sum() - number * share) < 5 * deviation
    together = hits[1:] * hits[:-1]
    assert abs(together.sum() - number * share**2) < 5 * (number * share**2) ** 0.5 + 3 * deviation * share
    halves = hits[: number // 2].sum() - hits[number // 2 :].sum()
    assert abs(halves) < 5 * deviation


def test_a_share_of_next_to_nothing_drops_nothing():
    torch.manual_seed(1)
    assert len(dropped(100, 1e-300)) == 0


@pytest.mark.parametrize("number", [0, 1, 2, 3, 10])
def test_few_numbers_have_each_their_chance(number):
    torch.manual_seed(1)
    hits = torch.zeros(number)
    for _ in range(4000):
        places = dropped(number, 0.3)
        assert places.tolist() == sorted(set(places.tolist()))
        hits[places] += 1
    assert ((hits / 4000 - 0.3).abs() < 0.04).all()


def test_the_draws_follow_from_the_seed(folder):
    model = adapted(folder, dataclasses.replace(tiny.LORA, dropout=0.5))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(gradients(model)[0])
        model.zero_grad()
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
