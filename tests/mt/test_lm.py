import hashlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers

import tiny
from mt.errors import InputError
from mt.lm import batches, line_ends, load_adapted, load_base, mean_logprobs, pad_left, positions, revision, split_ids


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_gemma(tmp_path_factory.mktemp("base"))


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths, budget):
    found = batches(lengths, budget)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    longest_first = [lengths[i] for batch in found for i in batch]
    assert longest_first == sorted(longest_first, reverse=True)


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


def test_mean_logprobs_are_those_of_each_text_alone(folder):
    model, tokenizer = load_base(folder, "float32")
    pairs = [("The cat", " sat on the mat.\n"), ("雨", "が\n"), ("The other cat that sat there", " sang\n")]
    together = mean_logprobs(model, tokenizer, pairs, 10_000)
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
    with pytest.raises(InputError, match="needs code of its own, which never runs here"):
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
