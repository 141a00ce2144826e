"""mt.encoder: a vector for each text, whatever the batches are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

import tiny_e5
from mt.e5 import convert
from mt.encoder import Encoder
from mt.errors import InputError

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
    vectors = Encoder(folder).embed(["tea"], batch_size=1)
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_order_and_length_do_not_depend_on_batches(folder, batch_size):
    encoder = Encoder(folder)
    alone = np.concatenate([encoder.embed([text], batch_size=1) for text in TEXTS])
    together = encoder.embed(TEXTS, batch_size)
    assert together.shape == (len(TEXTS), tiny_e5.HIDDEN)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    assert len({row.round(4).tobytes() for row in together}) == len(TEXTS)


def test_no_texts_give_no_rows(folder):
    assert Encoder(folder).embed([], batch_size=4).shape == (0, tiny_e5.HIDDEN)


def test_what_is_past_the_last_position_is_left_out(folder):
    vectors = Encoder(folder).embed(["tea " * 11, "tea " * 12, "tea " * 500], batch_size=2)
    np.testing.assert_allclose(vectors[1], vectors[2], rtol=1e-4, atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)


def test_a_folder_without_a_model_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}: holds no model"):
        Encoder(tmp_path)
