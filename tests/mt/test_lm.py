import hashlib
import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import normalizers

import mt.lm
import tiny
from mt.errors import InputError
from mt.lm import line_ends, load_adapted, load_base, mean_logprobs, pad_left, positions, revision, split_ids

LORA = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_gemma(tmp_path_factory.mktemp("base"))


def test_pad_left_and_positions():
    ids = pad_left([[5, 6, 7], [8]], 0)
    mask = pad_left([[1, 1, 1], [1]], 0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert positions(mask).tolist() == [[0, 1, 2], [0, 0, 0]]


def test_line_ends_are_the_end_of_sequence_and_every_piece_with_a_line_break(folder):
    _, tokenizer = load_base(folder, "float32")
    named = {tokenizer.convert_ids_to_tokens(i) for i in line_ends(tokenizer)}
    assert named == {"<eos>", "\n", "\n\n", "<0x0A>"}


def test_padding_that_is_the_end_of_sequence_is_refused(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "pad_token": config["eos_token"]}))
    special = json.loads((tmp_path / "special_tokens_map.json").read_text())
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({**special, "pad_token": special["eos_token"]}))
    with pytest.raises(InputError, match="pad_token other than the eos_token"):
        load_base(tmp_path, "float32")


@pytest.mark.parametrize(("longest", "rows"), [(0, [1, 1, 1]), (2, [2, 1]), (100, [3])])
def test_mean_logprobs_are_those_of_each_text_alone(folder, monkeypatch, longest, rows):
    """With places at once for less than a text, for two of the longest continuation, and for all."""
    model, tokenizer = load_base(folder, "float32")
    pairs = [("The cat", " sat on the mat.\n"), ("雨", "が\n"), ("The other cat that sat there", " sang\n")]
    most = max(len(tokenizer(tail, add_special_tokens=False).input_ids) for _, tail in pairs)
    monkeypatch.setattr(mt.lm, "PLACES", longest * most)
    read: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _, __, given: read.append(len(given["input_ids"])), with_kwargs=True
    )
    together = mean_logprobs(model, tokenizer, pairs, 10_000, None)
    handle.remove()
    assert read == rows
    for (prompt, continuation), found in zip(pairs, together, strict=True):
        head = tokenizer(prompt).input_ids
        tail = tokenizer(continuation, add_special_tokens=False).input_ids
        with torch.inference_mode():
            spread = model(torch.tensor([head + tail], device=model.device)).logits[0].log_softmax(-1)
        steps = [float(spread[len(head) + i - 1, token]) for i, token in enumerate(tail)]
        assert found == pytest.approx(sum(steps) / len(steps), abs=1e-4)


def test_a_folder_without_an_adapter_is_named(folder, tmp_path):
    with pytest.raises(InputError, match=r"bt: holds no adapter; run `dvc repro finetune@bt`"):
        load_adapted(folder, tmp_path / "bt", "float32")


def test_revision_follows_the_weights(folder, tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"a")
    first = revision(folder, tmp_path)
    assert first.startswith(revision(folder, None) + " adapter:")
    Path(tmp_path / "adapter_model.safetensors").write_bytes(b"b")
    assert revision(folder, tmp_path) != first


def test_weights_in_several_files_are_one(folder, tmp_path):
    whole = revision(folder, None)
    data = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(data[:1000])
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(data[1000:])
    assert whole == "base:" + hashlib.sha256(data).hexdigest()[:12] == revision(tmp_path, None)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(data[1000:] + b"x")
    assert revision(tmp_path, None) != whole


def test_a_folder_without_weights_has_no_revision(tmp_path):
    with pytest.raises(InputError, match="holds no weights in safetensors"):
        revision(tmp_path, None)


def copied(folder, place):
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    return place


def test_sharded_weights_load(folder, tmp_path):
    model, _ = load_base(folder, "float32")
    place = copied(folder, tmp_path / "sharded")
    (place / "model.safetensors").unlink()
    model.save_pretrained(place, max_shard_size="200KB")
    assert len(list(place.glob("*.safetensors"))) > 1
    again, _ = load_base(place, "float32")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_pickled_weights_are_refused(folder, tmp_path):
    place = copied(folder, tmp_path / "pickled")
    (place / "model.safetensors").unlink()
    torch.save({}, place / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds no weights in safetensors"):
        load_base(place, "float32")


def test_code_of_a_model_never_runs(folder, tmp_path):
    place = copied(folder, tmp_path / "coded")
    ran = tmp_path / "ran"
    (place / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    config = json.loads((place / "config.json").read_text())
    auto = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (place / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": auto}))
    with pytest.raises(InputError, match="code beside a model might be run"):
        load_base(place, "float32")
    assert not ran.exists()


def test_a_tokenizer_that_begins_every_text_puts_nothing_between_prompt_and_continuation(folder):
    tokenizer = load_base(folder, "float32")[1]
    prompt, continuation = "cat☃", " 猫。\n"
    assert split_ids(tokenizer, prompt, continuation) == (
        tokenizer(prompt).input_ids,
        tokenizer(continuation, add_special_tokens=False).input_ids,
    )
    spaces = normalizers.Replace(" ", "▁")
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
    head, rest = split_ids(tokenizer, prompt, continuation)
    assert head + rest == tokenizer(prompt + continuation).input_ids
    assert len(tokenizer(continuation, add_special_tokens=False).input_ids) == len(rest) + 1


@pytest.fixture(scope="module")
def adapter(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("adapter")
    get_peft_model(load_base(folder, "float32")[0], LORA).save_pretrained(place)
    return place


def renamed(weights):
    return {f"other.{name}": values for name, values in weights.items()}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda _: {"a": torch.zeros(1)}, "they lack base_model"),
        (lambda weights: dict(sorted(weights.items())[1:]), "they lack base_model"),
        (renamed, "they lack base_model"),
        (lambda weights: weights | {"a": torch.zeros(1)}, "they have besides a;"),
        (lambda weights: {name: values[:, :1].clone() for name, values in weights.items()}, "cannot be loaded"),
        (lambda weights: {name: values * torch.nan for name, values in weights.items()}, "weights that are not finite"),
        (lambda weights: {name: values / 0 for name, values in weights.items()}, "weights that are not finite"),
    ],
    ids=["none", "one lacking", "renamed", "more", "another shape", "NaN", "infinite"],
)
def test_an_adapters_weights_are_all_its_own(folder, adapter, tmp_path, spoil, says):
    """Peft leaves what it does not find as it begins, and the adapter has no effect."""
    place = copied(adapter, tmp_path / "adapter")
    weights = load_file(place / "adapter_model.safetensors")
    save_file(spoil(weights), place / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"^{place}: .*{says}") as told:
        load_adapted(folder, place, "float32")
    assert "\n" not in str(told.value)


def test_an_adapter_that_is_finite_alone_but_not_merged_is_refused(folder, adapter, tmp_path):
    spoilt = copied(adapter, tmp_path / "adapter")
    weights = load_file(spoilt / "adapter_model.safetensors")
    save_file({name: values + 1e4 for name, values in weights.items()}, spoilt / "adapter_model.safetensors")
    load_adapted(folder, spoilt, "float32")
    with pytest.raises(InputError, match=r"no finite number in float16 once it is merged; write another precision"):
        load_adapted(folder, spoilt, "float16")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"peft_type": "IA3"}, "peft_type is not LORA"),
        ({"peft_type": None}, "peft_type is not LORA"),
        ({"lora_alpha": 0}, "lora_alpha is no number above 0"),
        ({"lora_alpha": "x"}, "lora_alpha is no number above 0"),
        ({"r": 4}, "cannot be loaded"),
        ({"target_modules": ["v_proj"]}, "they lack base_model"),
        ({"use_dora": True}, "they lack base_model"),
    ],
)
def test_an_adapter_of_another_kind(folder, adapter, tmp_path, changes, says):
    place = copied(adapter, tmp_path / "adapter")
    file = place / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(InputError, match=says):
        load_adapted(folder, place, "float32")


@pytest.mark.parametrize("content", ["", "[]", "5", "null", '{"peft_type": ', "{}"])
def test_a_damaged_configuration_of_an_adapter(folder, adapter, tmp_path, content):
    place = copied(adapter, tmp_path / "adapter")
    (place / "adapter_config.json").write_text(content)
    with pytest.raises(InputError, match=r"adapter_config.json: "):
        load_adapted(folder, place, "float32")


def test_an_adapter_of_the_embedding_holds_the_embedding_too(folder, tmp_path):
    model = get_peft_model(load_base(folder, "float32")[0], LoraConfig(r=2, target_modules=["embed_tokens", "q_proj"]))
    model.save_pretrained(tmp_path / "adapter")
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert any("embed_tokens.base_layer" in name for name in stored)
    load_adapted(folder, tmp_path / "adapter", "float32")
