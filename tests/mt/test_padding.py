"""mt.padding: a token to pad with, and all else as it was."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

import tiny
import tiny_hub
from mt.errors import InputError
from mt.files import read_json, write_json
from mt.padding import give_padding

TEXTS = (*tiny.TEXTS, *tiny_hub.GERMAN, "", " ", "English: rain\nJapanese:", "龘𠮷 🙂\n\t x", "<unk></s>", "a  b   c")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer like Mistral's, which has no padding token."""
    tiny_hub.save_llama_tokenizer(tmp_path)
    return tmp_path


def ids(folder: Path) -> list[list[int]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text).input_ids for text in TEXTS]


@pytest.mark.parametrize("padding", [None, "</s>"], ids=["none", "the end"])
@pytest.mark.parametrize("old_form", [False, True])
def test_the_unknown_token_pads_and_texts_are_tokenized_as_before(folder, padding, old_form):
    settings = read_json(folder / "tokenizer_config.json") | {"pad_token": padding}
    if old_form:
        del settings["added_tokens_decoder"]
    write_json(folder / "tokenizer_config.json", settings)
    before, size = ids(folder), len(AutoTokenizer.from_pretrained(folder))
    assert give_padding(folder, "m") == "<unk>"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.pad_token, tokenizer.pad_token_id, len(tokenizer)) == ("<unk>", 0, size)
    assert ids(folder) == before
    assert not {0} & {i for text, row in zip(TEXTS, before, strict=True) if "<unk>" not in text for i in row}
    assert give_padding(folder, "m") is None


def test_the_files_that_hold_the_tokens_are_as_they_were(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    give_padding(folder, "m")
    changed = {path.name for path in folder.iterdir() if before.get(path.name) != path.read_bytes()}
    assert changed == {"tokenizer_config.json", "special_tokens_map.json"}


def test_padding_of_its_own_is_kept(tmp_path):
    tiny.save_gemma(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert give_padding(tmp_path, "m") is None
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_an_unknown_token_it_is_an_input_error(tmp_path):
    tiny.save_llama(tmp_path)
    settings = {
        key: value for key, value in read_json(tmp_path / "tokenizer_config.json").items() if key != "pad_token"
    }
    write_json(tmp_path / "tokenizer_config.json", settings)
    (tmp_path / "special_tokens_map.json").unlink()
    with pytest.raises(InputError, match=r"^m: its tokenizer has neither a pad_token .*'<\|end\|>' nor an unk_token"):
        give_padding(tmp_path, "m")
