from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tiny
from mt.errors import InputError
from mt.gguf_bpe import ESCAPE, Pieces, TokenType, build, merges, read_pieces

PIECES = tiny.pieces()
TOKENIZER = build(PIECES)
TOKENIZER.encode_special_tokens = True
LETTERS = sorted({letter for text in tiny.TEXTS for letter in text})
NORMAL = [
    (token, score)
    for token, score, kind in zip(PIECES.tokens, PIECES.scores, PIECES.types, strict=True)
    if kind == TokenType.NORMAL
]


def small(scores: dict[str, float]) -> Pieces:
    return Pieces(tuple(scores), tuple(scores.values()), (int(TokenType.NORMAL),) * len(scores), 0, 0, 0, 0)


def joined(text: str) -> list[str]:
    """What llama.cpp does: join the neighbours whose join scores best, the leftmost of equals, until none is left."""
    scores = dict(NORMAL)
    parts = list(text.replace(" ", "▁"))
    while True:
        found = [(-scores[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in scores]
        if not found:
            return parts
        _, place = min(found)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param({"a": -9, "b": -9, "ab": -1}, [("a", "b")], id="one split"),
        pytest.param(
            {"a": -9, "b": -9, "ab": -1, "ba": -2, "aba": -3},
            [("a", "b"), ("b", "a"), ("a", "ba"), ("ab", "a")],
            id="all splits, left parts from short to long",
        ),
        pytest.param({"a": -9, "b": -9, "aa": -5, "ab": -2}, [("a", "b"), ("a", "a")], id="by score, not by id"),
        pytest.param({"a": -9, "abc": -1}, [], id="no split within the vocabulary"),
    ],
)
def test_merges(scores: dict[str, float], expected: list[tuple[str, str]]) -> None:
    assert list(merges(small(scores))) == expected


def test_merges_use_normal_pieces_only() -> None:
    pieces = Pieces(
        ("<", "b", "<b", "<b>", ">"), (-9, -9, -1, 0, -9), (1, 1, 1, int(TokenType.USER_DEFINED), 1), 0, 0, 0, 0
    )
    assert list(merges(pieces)) == [("<", "b")]


@given(st.lists(st.sampled_from([*LETTERS, *tiny.TEXTS]), max_size=20).map("".join))
def test_joins_as_scores_say(text: str) -> None:
    text = " ".join(text.split())
    assert TOKENIZER.encode(text).tokens == ["<bos>", *joined(text)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("", ["<bos>"], id="nothing"),
        pytest.param("a\n\n\nt", ["<bos>", "a", "\n\n", "\n", "t"], id="longest user-defined token first"),
        pytest.param("a  t", ["<bos>", "a", "  ", "t"], id="two spaces are one token"),
        pytest.param("<b>t</b>", ["<bos>", "<b>", "t", "</b>"], id="user-defined"),
        pytest.param("龘", ["<bos>", "<0xE9>", "<0xBE>", "<0x98>"], id="bytes of a foreign character"),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert TOKENIZER.encode(text).tokens == tokens


AWKWARD = [*LETTERS, *PIECES.tokens[:13], "▁", ESCAPE, "0", "1", " ", "<0x41>"]


@given(st.lists(st.text() | st.sampled_from(AWKWARD)).map("".join))
@example("▁ ▁▁")
@example(f"{ESCAPE}1{ESCAPE}0{ESCAPE}{ESCAPE}▁0")
def test_any_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=True) == text


def written(path: Path, model: str, leave_out: str) -> gguf.GGUFReader:
    writer = gguf.GGUFWriter(path, "gemma3")
    tiny.add_tokenizer(writer, PIECES)
    writer.kv_data[0]["tokenizer.ggml.model"].value = model
    writer.kv_data[0].pop(leave_out, None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return gguf.GGUFReader(path)


TOKENS = ("<unk>", "<pad>", "<bos>", "<eos>", "a")


class Field:
    def __init__(self, value: Any) -> None:
        self.value = value

    def contents(self) -> Any:
        return self.value


class Reader:
    """A GGUF reader of these keys of the tokenizer."""

    def __init__(self, **changes: Any) -> None:
        held: dict[str, Any] = {
            "model": "llama",
            "tokens": list(TOKENS),
            "scores": [0.0] * 5,
            "token_type": [2, 3, 3, 3, 1],
        }
        held |= {"padding_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "unknown_token_id": 0, **changes}
        self.fields = {f"tokenizer.ggml.{name}": Field(value) for name, value in held.items()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": 1}, "its tokenizer.ggml.model is no str"),
        ({"tokens": [*TOKENS, "b"]}, "it has 6 tokens, 5 scores and 5 types"),
        ({"scores": [0] * 5}, "its tokenizer.ggml.scores is no list of float"),
        ({"scores": [0.0] * 4 + [float("nan")]}, "a score is not a number"),
        ({"token_type": [True] * 5}, "its tokenizer.ggml.token_type is no list of int"),
        ({"eos_token_id": 5}, "the id of a special token is not below 5"),
        ({"bos_token_id": -1}, "the id of a special token is not below 5"),
        ({"tokens": ["a", *TOKENS[1:]]}, "a token stands twice or is empty"),
        ({"tokens": ["", *TOKENS[1:]]}, "a token stands twice or is empty"),
        ({"tokens": [*TOKENS[:4], "a" * 257]}, "a piece has more than 256 characters"),
        *(({"tokens": ["u", "p", bos, "e", "a"]}, "cannot begin a text") for bos in ("<b os>", "$A", "x:1", "b\n")),
        ({"tokens": [], "scores": [], "token_type": []}, "the id of a special token is not below 0"),
    ],
)
def test_refuses_a_vocabulary_that_makes_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_pieces(Reader(**changes), Path("m.gguf"))
    assert "\n" not in str(caught.value)


def test_a_small_vocabulary_is_read() -> None:
    assert read_pieces(Reader(), Path("m.gguf")) == Pieces(TOKENS, (0.0,) * 5, (2, 3, 3, 3, 1), 1, 2, 3, 0)


def test_reads_what_was_written(tmp_path: Path) -> None:
    assert read_pieces(written(tmp_path / "m.gguf", "llama", ""), tmp_path / "m.gguf") == PIECES


@pytest.mark.parametrize(
    ("model", "leave_out", "message"),
    [
        pytest.param("gpt2", "", "tokenizer.ggml.model is 'gpt2'", id="another kind"),
        pytest.param("llama", "tokenizer.ggml.scores", "has no tokenizer.ggml.scores", id="a key missing"),
    ],
)
def test_refuses(tmp_path: Path, model: str, leave_out: str, message: str) -> None:
    path = tmp_path / "m.gguf"
    with pytest.raises(InputError, match=message) as caught:
        read_pieces(written(path, model, leave_out), path)
    assert str(caught.value).startswith(f"{path}: ")
