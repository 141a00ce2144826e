import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import tiny
from mt.archives import Archive, copy_member, user_cache
from mt.errors import InputError
from mt.files import sha256
from mt.gemma import convert, opened, save_tokenizer
from mt.gguf_bpe import read_pieces
from mt.params import read_tree

ROOT = Path(__file__).parents[2]
TOKEN_IDS = ROOT.parent / "shared" / "gemma3_token_ids.jsonl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gemma")
    vocabulary = tiny.pieces()
    tiny.write_gguf(path / "tiny.gguf", tiny.gemma(len(vocabulary.tokens)), vocabulary)
    convert(path / "tiny.gguf", path / "out")
    return path


def test_the_same_logits_as_the_model_that_was_written(folder: Path) -> None:
    original = tiny.gemma(len(tiny.pieces().tokens))
    converted = AutoModelForCausalLM.from_pretrained(folder / "out").eval()
    ids = torch.arange(4, 24)[None]  # longer than the sliding window
    with torch.inference_mode():
        assert torch.allclose(converted(ids).logits, original(ids).logits, atol=1e-5)
    assert converted.dtype == torch.float32
    assert converted.lm_head.weight is converted.model.embed_tokens.weight


def test_the_configs_say_what_the_file_says(folder: Path) -> None:
    config = json.loads((folder / "out" / "config.json").read_text())
    wanted = tiny.gemma(len(tiny.pieces().tokens)).config.to_dict()
    for key in (
        "head_dim",
        "layer_types",
        "query_pre_attn_scalar",
        "rope_local_base_freq",
        "rope_theta",
        "sliding_window",
    ):
        assert config[key] == wanted[key]
    generation = json.loads((folder / "out" / "generation_config.json").read_text())
    for ids in (config, generation):
        assert (ids["pad_token_id"], ids["eos_token_id"], ids["bos_token_id"]) == (1, 3, 2)


def test_the_tokenizer_opens_as_any_other(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder / "out")
    named = (tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token)
    assert named == ("<pad>", "<eos>", "<bos>", "<unk>")
    assert list(tokenizer("The cat")) == ["input_ids", "attention_mask"]
    assert tokenizer("The cat").input_ids[0] == tokenizer.bos_token_id
    assert tokenizer.model_max_length == 128


@pytest.mark.parametrize("text", ["<eos>", "a<bos> b", "<start_of_turn>", "<b>x</b>", " two  spaces \n", "<0x41>"])
def test_a_text_is_only_text(folder: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder / "out")
    ids = tokenizer(text).input_ids
    assert not set(ids[1:]) & set(range(len(tiny.CONTROL)))
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_the_same_bytes_every_time(folder: Path) -> None:
    convert(folder / "tiny.gguf", folder / "again")
    digests = [{path.name: sha256(path) for path in (folder / name).iterdir()} for name in ("out", "again")]
    assert digests[0] == digests[1]
    assert "model.safetensors" in digests[0]


def test_refuses_another_architecture(tmp_path: Path) -> None:
    vocabulary = tiny.pieces()
    path = tiny.write_gguf(tmp_path / "m.gguf", tiny.gemma(len(vocabulary.tokens)), vocabulary, "gemma2")
    with pytest.raises(InputError, match="architecture is 'gemma2'"):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no model at all, but long enough for a header"], ids=["empty", "text"])
def test_refuses_what_is_no_gguf(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a GGUF file"):
        convert(path, tmp_path / "out")


CHANGES = {
    "no architecture": ("general.architecture", None, "has no general.architecture"),
    "no context length": ("gemma3.context_length", None, "has no gemma3.context_length"),
    "a size that is text": ("gemma3.block_count", "6", "its gemma3.block_count is no int"),
    "more layers": ("gemma3.block_count", 7, "its tensor 'blk.6.attn_k.weight' has the shape None"),
    "fewer layers": ("gemma3.block_count", 5, "its tensor 'blk.5.attn_k.weight' has the shape"),
    "2^31 layers": ("gemma3.block_count", 2**31, "impossible sizes"),
    "no layers": ("gemma3.block_count", 0, "impossible sizes"),
    "another width": ("gemma3.embedding_length", 64, r"where its sizes ask for \(64"),
    "heads that do not divide": ("gemma3.attention.head_count_kv", 3, "impossible sizes"),
    "another width of values": ("gemma3.attention.value_length", 128, "impossible sizes"),
    "no window": ("gemma3.attention.sliding_window", 0, "impossible sizes"),
    "epsilon no number": ("gemma3.attention.layer_norm_rms_epsilon", float("nan"), "epsilon is no number above 0"),
    "infinite base": ("gemma3.rope.freq_base", float("inf"), "freq_base is no number above 0"),
    "fewer pieces": ("tokenizer.ggml.tokens", ["<unk>", "<pad>", "<bos>", "<eos>"], "it has 4 tokens, 4"),
    "tokens that are one text": ("tokenizer.ggml.tokens", "abc", "its tokenizer.ggml.tokens is no list"),
    "tokens that are numbers": ("tokenizer.ggml.tokens", [1, 2, 3], "its tokenizer.ggml.tokens is no list of str"),
    "more rows": ("gemma3.vocab_size", 1000, "its vocab_size is not the [0-9]+ of its tokens"),
    "2^30 rows": ("gemma3.vocab_size", 2**30, "its vocab_size is not the"),
    "rows that are text": ("gemma3.vocab_size", "all", "its vocab_size is not the"),
    "bos past the end": ("tokenizer.ggml.bos_token_id", 2**32 - 1, "id of a special token is not below"),
}


@pytest.mark.parametrize(("key", "new", "message"), CHANGES.values(), ids=CHANGES)
def test_refuses_a_file_whose_header_lies(tmp_path: Path, key: str, new: Any, message: str) -> None:
    vocabulary = tiny.pieces()
    model = tiny.gemma(len(vocabulary.tokens))
    path = tiny.write_gguf(tmp_path / "m.gguf", model, vocabulary, change=(key, new))
    with pytest.raises(InputError, match=message) as caught:
        convert(path, tmp_path / "out")
    assert str(caught.value).startswith(f"{path}: ")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tokenizer of the embedded preset's model, made twice, from the user's cache of archives."""
    source = read_tree(ROOT / "presets" / "embedded.yaml")["models"]["source"]
    folder = tmp_path_factory.mktemp("real")
    path = folder / "model.gguf"
    with path.open("wb") as out:
        for archive in source["archives"]:
            copy_member(Archive(**archive), user_cache(), out)
    assert sha256(path) == source["sha256"]
    vocabulary = read_pieces(opened(path), path)
    for name in ("one", "two"):
        (folder / name).mkdir()
        save_tokenizer(vocabulary, folder / name, 32768)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not TOKEN_IDS.exists(), reason="the ids that llama.cpp gives lie outside the repository")
def test_ids_are_those_of_llama_cpp(real: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(real / "one")
    lines = [json.loads(line) for line in TOKEN_IDS.read_text(encoding="utf-8").removesuffix("\n").split("\n")]
    assert len(lines) == 319
    assert [tokenizer(line["text"]).input_ids for line in lines] == [line["ids"] for line in lines]
    for line in lines:
        assert tokenizer.decode(line["ids"], skip_special_tokens=True) == line["text"]


@pytest.mark.slow
def test_the_real_tokenizer_is_the_same_bytes_every_time(real: Path) -> None:
    names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    digests = [
        [hashlib.sha256((real / run / name).read_bytes()).hexdigest() for name in names] for run in ("one", "two")
    ]
    assert digests[0] == digests[1]
