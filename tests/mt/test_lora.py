import dataclasses
import importlib.util
import sys

import pytest
import torch
from peft import PeftModel

import tiny
from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.lm import load_adapted, load_base
from mt.lora import adapt, load_frozen, save, state
from mt.prompt import FORWARD, Languages, Prompter
from mt.rows import examples
from mt.tally import Tally
from mt.training import trainer
from random_model import Shape, text
from random_model import save as save_random

LORA = tiny.LORA
SCHEDULE = dataclasses.replace(tiny.SCHEDULE, warmup_steps=0, micro_batch_size=2, group_by_length=True)
PROMPTER = Prompter("{src_language}: {src}\n{tgt_language}: {tgt}\n", Languages("en", "ja"), FORWARD, [])
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")]
SEGMENTS = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]
GREEDY = Decoding("greedy", 1, 1.0, 1.0, 1, 8, 3.0, 4, 400)
needs_bitsandbytes = pytest.mark.skipif(not importlib.util.find_spec("bitsandbytes"), reason="needs bitsandbytes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_gemma(tmp_path_factory.mktemp("base"))


def trained(folder, place, lora, weights="float32", **changes):
    """An adapted model after six steps, and its losses."""
    schedule = dataclasses.replace(SCHEDULE, **changes)
    torch.manual_seed(1)
    base, tokenizer = load_frozen(folder, weights, schedule.precision)
    model = adapt(base, lora)
    data = examples(tokenizer, PROMPTER, SEGMENTS * 4, 256, Tally(1))
    losses: list[float] = []
    pad = tokenizer.pad_token_id
    trainer(model, data, pad, schedule, place, lambda _, loss: losses.append(loss) or True, lambda _: None).train()
    return model.eval(), losses


def logits(model):
    ids = torch.tensor([[2, 20, 30, 40, 50]], device=next(model.parameters()).device)
    with torch.inference_mode():
        return model(input_ids=ids).logits.float()


@pytest.mark.parametrize("changes", [{}, {"dora": True}, {"rslora": True}, {"dora": True, "rslora": True}])
def test_each_kind_trains_opens_with_plain_peft_and_merges(folder, tmp_path, changes):
    model, losses = trained(folder, tmp_path / "trainer", dataclasses.replace(LORA, **changes))
    assert losses[1] < losses[0]
    expected = logits(model)
    base, _ = load_base(folder, "float32")
    assert not torch.allclose(expected, logits(base), atol=1e-3)
    save(model, tmp_path / "adapter")
    opened = PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert state(opened) == state(model)
    assert torch.allclose(logits(opened), expected, atol=1e-5)  # mt.lora_linear adds in another order
    merged, _ = load_adapted(folder, tmp_path / "adapter", "float32")
    assert torch.allclose(logits(merged), expected, atol=1e-3)
    assert not any("lora" in name for name, _ in merged.named_parameters())


@pytest.mark.parametrize(
    ("weights", "precision"),
    [("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "float32"), ("bfloat16", "bfloat16")],
)
def test_the_base_keeps_its_type_and_the_adapter_is_float32(folder, tmp_path, weights, precision):
    model, losses = trained(folder, tmp_path, LORA, weights, precision=precision)
    kinds = {(p.requires_grad, p.dtype) for p in model.parameters()}
    assert kinds == {(False, getattr(torch, weights)), (True, torch.float32)}
    assert losses[1] < losses[0]


def test_float16_weights_need_no_loss_scaling_by_themselves(folder):
    model = adapt(load_frozen(folder, "float16", "float32")[0], LORA)
    assert {(p.requires_grad, p.dtype) for p in model.parameters()} == {(False, torch.float16), (True, torch.float32)}


def test_nf4_without_bitsandbytes_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(InputError, match=r"nf4 needs bitsandbytes; run pip install '.\[qlora\]'"):
        load_frozen(folder, "nf4", "bfloat16")


@needs_bitsandbytes
@pytest.mark.parametrize(("checkpointing", "precision"), [(False, "float32"), (True, "bfloat16")])
def test_nf4_trains_and_its_adapter_fits_the_whole_weights(folder, tmp_path, checkpointing, precision):
    model, losses = trained(
        folder, tmp_path / "trainer", LORA, "nf4", gradient_checkpointing=checkpointing, precision=precision
    )
    layer = model.base_model.model.model.layers[0].self_attn.q_proj.base_layer.weight
    assert (type(layer).__name__, layer.dtype, layer.quant_state.quant_type) == ("Params4bit", torch.uint8, "nf4")
    assert layer.quant_state.nested
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert losses[1] < losses[0]
    save(model, tmp_path / "adapter")
    merged, _ = load_adapted(folder, tmp_path / "adapter", "float32")
    assert logits(merged).isfinite().all()


@needs_bitsandbytes
@pytest.mark.parametrize("dora", [False, True])
def test_nf4_decodes_between_epochs(tmp_path, dora):
    save_random(Shape(hidden=128, intermediate=256, layers=2, heads=4, kv_heads=2, vocabulary=256), tmp_path / "base")
    base, tokenizer = load_frozen(tmp_path / "base", "nf4", "bfloat16")
    model = adapt(base, dataclasses.replace(LORA, dora=dora))
    segments = [{"id": str(i), "src": text(8, 256, i), "tgt": text(6, 256, i + 100)} for i in range(6)]
    prompter = Prompter("{src}\n{tgt}\n", Languages("en", "ja"), FORWARD, [])
    found = []

    def judge(epoch, loss):
        found.append((epoch, loss, len(translate(model, tokenizer, prompter, segments, GREEDY, None))))
        return True

    schedule = dataclasses.replace(SCHEDULE, precision="bfloat16", gradient_checkpointing=True)
    data = examples(tokenizer, prompter, segments, 256, Tally(1))
    trainer(model, data, tokenizer.pad_token_id, schedule, tmp_path / "trainer", judge, lambda _: None).train()
    assert [(epoch, hyps) for epoch, _, hyps in found] == [(1, 6), (2, 6)]
    assert found[1][1] < found[0][1]


def test_a_saved_adapter_names_its_modules_in_order(folder, tmp_path):
    from mt.files import read_json

    save(
        adapt(load_base(folder, "float32")[0], dataclasses.replace(LORA, target_modules=("v_proj", "q_proj"))), tmp_path
    )
    assert read_json(tmp_path / "adapter_config.json")["target_modules"] == ["q_proj", "v_proj"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"rank": 0}, "rank"), ({"dropout": 1.0}, "dropout"), ({"target_modules": ()}, "target_modules is empty")],
)
def test_refused_lora(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LORA, **changes)
