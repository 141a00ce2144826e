import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

import tiny
from mt import vocabulary
from mt.errors import InputError
from mt.files import sha256
from mt.vocabulary import Sizes, kept_ids, merge_path, read_definition, trim, used_ids

COUNTED = ("The cat sat on the mat.", "The other hat sat.", "猫が座っています。")
UNCOUNTED = ("", " ", "English: rain", "東京に雨が降る", "Привет, 龘𠮷 🙂\n\t x", "▁", "<eos>", "<|end|>", "<unused0>")


@dataclass(frozen=True)
class Trimmed:
    """A model before and after, and each new id's old one."""

    source: Path
    out: Path
    sizes: Sizes
    full: Any
    cut: Any

    @property
    def old_ids(self) -> list[int]:
        full = self.full.get_vocab()
        cut = self.cut.get_vocab()
        return [full[token] for token in sorted(cut, key=cut.__getitem__)]


@pytest.fixture(scope="module", params=[tiny.save_gemma, tiny.save_llama], ids=["byte fallback, tied", "byte level"])
def trimmed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trimmed:
    folder = tmp_path_factory.mktemp("trim")
    save: Callable[[Path], Path] = request.param
    source, out = save(folder / "source"), folder / "out"
    sizes = trim(source, out, iter(COUNTED))
    return Trimmed(source, out, sizes, AutoTokenizer.from_pretrained(source), AutoTokenizer.from_pretrained(out))


@pytest.mark.parametrize(
    ("piece", "merges", "expected"),
    [
        pytest.param("a", [], {"a"}, id="a character"),
        pytest.param("ab", [("a", "b")], {"a", "b", "ab"}, id="one merge"),
        pytest.param(
            "abc", [("a", "bc"), ("b", "c"), ("ab", "c"), ("a", "b")], {"a", "b", "c", "bc", "abc"}, id="rank"
        ),
        pytest.param("aaa", [("a", "a"), ("aa", "a")], {"a", "aa", "aaa"}, id="leftmost first"),
        pytest.param("abc", [("a", "b")], {"a", "b", "c", "ab"}, id="never joined whole"),
    ],
)
def test_merge_path(piece: str, merges: list[tuple[str, str]], expected: set[str]) -> None:
    assert merge_path(piece, {pair: rank for rank, pair in enumerate(merges)}) == expected


@pytest.mark.parametrize("text", COUNTED)
def test_a_counted_text_is_tokenized_as_before(trimmed: Trimmed, text: str) -> None:
    before, after = trimmed.full(text).input_ids, trimmed.cut(text).input_ids
    assert [trimmed.old_ids[index] for index in after] == before


@given(st.lists(st.text() | st.sampled_from([*COUNTED, *UNCOUNTED, *tiny.TEXTS])).map("".join))
def test_any_text_comes_back(trimmed: Trimmed, text: str) -> None:
    tokenizer = trimmed.cut
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    assert tokenizer.decode(ids) == text


def test_logits_of_kept_rows_are_the_full_models(trimmed: Trimmed) -> None:
    full = AutoModelForCausalLM.from_pretrained(trimmed.source).eval()
    cut = AutoModelForCausalLM.from_pretrained(trimmed.out).eval()
    for text in COUNTED:
        with torch.inference_mode():
            wanted = full(torch.tensor([trimmed.full(text).input_ids])).logits[..., trimmed.old_ids]
            found = cut(torch.tensor([trimmed.cut(text).input_ids])).logits
        assert found.shape == wanted.shape
        assert torch.allclose(found, wanted, atol=1e-4)


def test_what_is_kept(trimmed: Trimmed) -> None:
    full, cut = trimmed.full.get_vocab(), trimmed.cut.get_vocab()
    assert trimmed.sizes == Sizes(json.loads((trimmed.source / "config.json").read_text())["vocab_size"], len(cut))
    assert len(cut) < len(full)
    assert sorted(cut.values()) == list(range(len(cut)))
    added = set(trimmed.full.get_added_vocab())
    placeholders = {token for token in added if "unused" in token or "reserved" in token}
    assert len(placeholders) == 2
    assert set(cut) & added == added - placeholders
    assert not set(cut) & {"降", "彼", "▁rain", "Ġrain"}


def test_kept_pieces_keep_their_order(trimmed: Trimmed) -> None:
    assert trimmed.old_ids == sorted(trimmed.old_ids)


def test_tokens_with_a_task_keep_it(trimmed: Trimmed) -> None:
    assert trimmed.cut.special_tokens_map == trimmed.full.special_tokens_map
    assert trimmed.cut.model_input_names == trimmed.full.model_input_names
    assert trimmed.cut.split_special_tokens == trimmed.full.split_special_tokens
    assert trimmed.cut("").input_ids == [trimmed.cut.bos_token_id]
    model = AutoModelForCausalLM.from_pretrained(trimmed.out)
    eos = trimmed.cut.eos_token_id
    for config in (model.config, model.generation_config):
        assert config.bos_token_id == trimmed.cut.bos_token_id
        assert config.eos_token_id in (eos, [eos])
        assert config.pad_token_id in (trimmed.cut.pad_token_id, None)
    assert model.config.vocab_size == trimmed.sizes.after


def test_the_same_bytes_every_time(trimmed: Trimmed, tmp_path: Path) -> None:
    trim(trimmed.source, tmp_path / "again", reversed(COUNTED))
    for path in trimmed.out.iterdir():
        assert sha256(path) == sha256(tmp_path / "again" / path.name)


@pytest.mark.parametrize(
    ("used", "required", "expected"),
    [
        pytest.param(set(), set(), ["?", "<0x41>", "<s>"], id="the unknown, bytes and tokens that are no placeholder"),
        pytest.param({5}, set(), ["?", "<0x41>", "<s>", "<unused1>"], id="a placeholder that a text uses"),
        pytest.param(set(), {4}, ["?", "<0x41>", "<s>", "<unused0>"], id="a placeholder that the model names"),
        pytest.param({6}, set(), ["?", "<0x41>", "<s>", "ab", "a", "b"], id="a piece and its characters"),
    ],
)
def test_kept_ids(used: set[int], required: set[int], expected: list[str]) -> None:
    tokens = ["?", "<0x41>", "c", "<s>", "<unused0>", "<unused1>", "ab", "a", "b"]
    definition = {
        "added_tokens": [{"id": index, "content": tokens[index]} for index in (3, 4, 5)],
        "model": {
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [["a", "b"]],
            "byte_fallback": True,
            "unk_token": "?",
        },
    }
    assert [tokens[index] for index in kept_ids(definition, used, required)] == expected


def test_texts_are_counted_over_chunks(trimmed: Trimmed, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = trimmed.full.backend_tokenizer
    whole = used_ids(backend, iter(COUNTED))
    monkeypatch.setattr(vocabulary, "CHUNK", 2)
    assert (
        used_ids(backend, iter(COUNTED))
        == whole
        == {i for text in COUNTED for i in backend.encode(text, add_special_tokens=False).ids}
    )


def edited(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    path = folder / name
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_refuses_another_kind_of_tokenizer(tmp_path: Path) -> None:
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0, "b": 1}, "a")))
    with pytest.raises(InputError, match="is WordLevel, not BPE"):
        read_definition(words, tmp_path)


def test_refuses_an_encoding_that_marks_the_ends_of_words(tmp_path: Path) -> None:
    source = tiny.save_llama(tmp_path / "source")
    edited(source, "tokenizer.json", lambda content: content["model"].update(end_of_word_suffix="</w>"))
    with pytest.raises(InputError, match="sets end_of_word_suffix"):
        trim(source, tmp_path / "out", COUNTED)


def test_refuses_a_tokenizer_with_more_tokens_than_rows(tmp_path: Path) -> None:
    source = tiny.save_gemma(tmp_path / "source")
    tiny.gemma(100).save_pretrained(source)
    with pytest.raises(InputError, match="tokens but 100 embedding rows"):
        trim(source, tmp_path / "out", COUNTED)


def test_refuses_ids_in_lists(tmp_path: Path) -> None:
    source = tiny.save_gemma(tmp_path / "source")
    edited(source, "generation_config.json", lambda content: content.update(suppress_tokens=[5]))
    with pytest.raises(InputError, match=r"generation_config\.json: suppress_tokens cannot be trimmed"):
        trim(source, tmp_path / "out", COUNTED)
