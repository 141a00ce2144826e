"""mt.encoder: a vector for each text, whatever the batches are, and as the model's files say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

import mt.bf32
import tiny
import tiny_e5
import tiny_hub
from mt.e5 import convert
from mt.encoder import Encoder
from mt.errors import InputError
from mt.files import read_json, write_json

PREFIX = "query: "
TEXTS = ["tea", "tea tea tea お茶", "", "を", "a tea a", "茶", "お茶 お茶"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    path = tmp_path_factory.mktemp("encoder")
    tiny_e5.write(path / "packed")
    convert(path / "packed", path / "out")
    return path / "out"


def test_a_vector_is_the_mean_state_of_the_prefixed_text(folder):
    ids = [0, 5, 6, 7, 2]
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()(torch.tensor([ids]))
    mean = hidden.last_hidden_state[0].mean(dim=0).numpy()
    vectors = Encoder(folder, PREFIX, "float32").embed(["tea"], batch_size=1)
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_order_and_length_do_not_depend_on_batches(folder, batch_size):
    encoder = Encoder(folder, PREFIX, "float32")
    alone = np.concatenate([encoder.embed([text], batch_size=1) for text in TEXTS])
    together = encoder.embed(TEXTS, batch_size)
    assert together.shape == (len(TEXTS), tiny_e5.HIDDEN)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    assert len({row.round(4).tobytes() for row in together}) == len(TEXTS)


def test_bf32_differs_by_rounding_alone(folder, monkeypatch):
    monkeypatch.setattr(mt.bf32, "available", lambda: True)
    exact, found = (Encoder(folder, PREFIX, precision).embed(TEXTS, 2) for precision in ("float32", "bf32"))
    assert not np.array_equal(exact, found)
    assert (exact * found).sum(axis=1).min() > 0.999


def test_no_texts_give_no_rows(folder):
    assert Encoder(folder, PREFIX, "float32").embed([], batch_size=4).shape == (0, tiny_e5.HIDDEN)


def test_what_is_past_the_last_position_is_left_out(folder):
    vectors = Encoder(folder, PREFIX, "float32").embed(["tea " * 11, "tea " * 12, "tea " * 500], batch_size=2)
    np.testing.assert_allclose(vectors[1], vectors[2], rtol=1e-4, atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)


def test_a_folder_without_a_model_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}: holds no model"):
        Encoder(tmp_path, PREFIX, "float32")


def test_the_prefix_is_the_callers(folder):
    bare = Encoder(folder, "", "float32")
    np.testing.assert_array_equal(bare.embed(["query: tea"], 1), Encoder(folder, PREFIX, "float32").embed(["tea"], 1))
    assert not np.allclose(bare.embed(["tea"], 1), Encoder(folder, PREFIX, "float32").embed(["tea"], 1), atol=1e-3)


@pytest.fixture
def labse(tmp_path: Path) -> Path:
    """A tiny LaBSE in sentence-transformers' layout."""
    tiny_hub.save_labse(tmp_path / "labse")
    return tmp_path / "labse"


def states(folder: Path, text: str) -> torch.Tensor:
    """The last hidden states of a text, [tokens, units]."""
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.inference_mode():
        return AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0]


def test_labse_is_the_first_token_through_a_layer_and_tanh(labse):
    weights = load_file(labse / "2_Dense" / "model.safetensors")
    found = Encoder(labse, "", "float32").embed(["The cat sat.", "猫が座っています。 The cat"], 2)
    for row, text in zip(found, ["The cat sat.", "猫が座っています。 The cat"], strict=True):
        pooled = torch.tanh(weights["linear.weight"] @ states(labse, text)[0] + weights["linear.bias"])
        np.testing.assert_allclose(row, (pooled / pooled.norm()).numpy(), rtol=1e-3, atol=1e-5)


def test_mean_pooling_without_a_layer_and_with_fewer_units(labse):
    write_json(labse / "modules.json", read_json(labse / "modules.json")[:2])
    modes = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    write_json(labse / "1_Pooling" / "config.json", read_json(labse / "1_Pooling" / "config.json") | modes)
    mean = states(labse, "The cat sat.").mean(dim=0)
    vector = Encoder(labse, "", "float32").embed(["The cat sat."], 1)[0]
    np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), rtol=1e-3, atol=1e-5)


def test_what_is_past_the_makers_limit_is_left_out(labse):
    write_json(labse / "sentence_bert_config.json", {"max_seq_length": 6, "do_lower_case": False})
    vectors = Encoder(labse, "", "float32").embed(["a b c d", "a b c d e f g", "a b c"], 1)
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-5)
    assert not np.allclose(vectors[0], vectors[2], atol=1e-3)


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("modules.json", lambda m: m[:1] + m[2:], "Transformer > Dense > Normalize is not Transformer > Pooling"),
        ("modules.json", lambda m: [*m, m[0] | {"type": "a.CNN"}], "Normalize > CNN is not"),
        ("modules.json", lambda m: m[:1], "modules.json: Transformer is not"),
        ("modules.json", lambda m: [m[0] | {"path": "0_Transformer"}, *m[1:]], "is not Transformer"),
        ("modules.json", lambda m: [m[0], m[1] | {"path": "../1_Pooling"}], "does not list modules"),
        ("modules.json", lambda m: [m[0], m[1] | {"path": None}], "does not list modules"),
        ("modules.json", lambda m: [m[0], {"path": "1_Pooling"}], "does not list modules"),
        ("modules.json", lambda m: m[0], "modules.json: Transformer is not"),
        ("modules.json", lambda m: [7], "does not list modules"),
        ("modules.json", lambda m: None, "does not list modules"),
        (
            "1_Pooling/config.json",
            lambda c: c | {"pooling_mode_max_tokens": True},
            "cls_token, pooling_mode_max_tokens",
        ),
        ("1_Pooling/config.json", lambda c: {"word_embedding_dimension": 32}, r"pooling \(none\)"),
        ("1_Pooling/config.json", lambda c: c | {"include_prompt": False}, "neither cls nor mean of all tokens"),
        ("2_Dense/config.json", lambda c: c | {"activation_function": "os.system"}, "activation_function is none of"),
        ("2_Dense/config.json", lambda c: c | {"activation_function": ["Tanh"]}, "activation_function is none of"),
        ("2_Dense/config.json", lambda c: {"activation_function": c["activation_function"]}, "weights are not those"),
        ("2_Dense/config.json", lambda c: c | {"in_features": 2**60}, "its weights are not those of the layer"),
        ("2_Dense/config.json", lambda c: c | {"bias": False}, "its weights are not those of the layer"),
        ("sentence_bert_config.json", lambda c: {"do_lower_case": True}, "do_lower_case is not done"),
        ("sentence_bert_config.json", lambda c: {"max_seq_length": "many"}, "max_seq_length is no number of tokens"),
    ],
)
def test_a_layout_that_is_not_known_is_an_input_error(labse, file, change, says):
    write_json(labse / file, change(read_json(labse / file)))
    with pytest.raises(InputError, match=says) as error:
        Encoder(labse, "", "float32")
    assert str(error.value).endswith("take another encoder in models.encoder")


@pytest.mark.parametrize("file", ["1_Pooling/config.json", "2_Dense/config.json", "sentence_bert_config.json"])
def test_a_file_without_keys_is_an_input_error(labse, file):
    write_json(labse / file, [])
    with pytest.raises(InputError, match=f"{file}: holds no JSON object"):
        Encoder(labse, "", "float32")


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors"])
def test_a_file_that_is_gone_does_not_make_another_model(labse, name):
    tiny.seal(labse)
    Encoder(labse, "", "float32")
    (labse / name).unlink()
    with pytest.raises(InputError, match=f"{name}: is not what provenance.json names"):
        Encoder(labse, "", "float32")
