import dataclasses

import pytest
import torch
from transformers.models.gemma3.modeling_gemma3 import Gemma3Attention, Gemma3RMSNorm

import tiny
from mt.layers import exchange
from mt.lm import load_base
from mt.lora import adapt
from mt.rms_norm import RmsNorm
from mt.rotary import Attention


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize(
    ("weights", "kinds"), [("float32", {RmsNorm, Attention}), ("bfloat16", {Gemma3RMSNorm, Gemma3Attention})]
)
def test_a_model_that_trains_in_float32_on_a_cpu_has_them(tmp_path, monkeypatch, weights, kinds, dora):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = adapt(load_base(tiny.save_gemma(tmp_path / "base"), weights)[0], dataclasses.replace(tiny.LORA, dora=dora))
    usual = (Gemma3RMSNorm, Gemma3Attention)
    assert {type(one) for one in model.modules() if isinstance(one, usual)} == kinds


def test_a_layer_of_a_class_below_is_left_alone():
    class Own(torch.nn.Linear):
        pass

    class Faster(torch.nn.Linear):
        pass

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), Own(2, 2), torch.nn.ReLU())
    exchange(model, (Faster,))
    assert [type(layer) for layer in model] == [Faster, Own, torch.nn.ReLU]
