"""The tokenizer of a GGUF file with SentencePiece scores, rebuilt as a byte-fallback BPE.

A file of tokenizer model `llama` holds pieces and scores but no merges. llama.cpp joins, again and again, the two
neighbours whose join is the piece with the best score; a BPE whose merges are all splits of each piece into two
pieces, in order of the piece's score, joins the same. Metadata: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import AddedToken, Tokenizer
from tokenizers import decoders as decode
from tokenizers import normalizers as normalise
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing

from mt.errors import InputError
from mt.gguf_header import value

T = TypeVar("T")

MAX_PIECE = 256
"""Characters; SentencePiece makes none of more than 16 unless it is told to, and the merges grow with the square."""
SPACE = "▁"
ESCAPE = "\ufdd0"  # a noncharacter, so that text has no use for it; what is escaped comes back whole all the same
"""Put before 0 for itself and before 1 for a `▁` that stands in the text, which would else come back as a space."""


class TokenType(IntEnum):
    """`tokenizer.ggml.token_type`, as llama.cpp numbers them."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Pieces:
    """`tokenizer.ggml.*`: text, score and type of each id, and the ids with a task."""

    tokens: tuple[str, ...]
    scores: tuple[float, ...]
    types: tuple[int, ...]
    pad: int
    bos: int
    eos: int
    unk: int

    def of_type(self, *types: TokenType) -> list[str]:
        """The tokens of these types, in order of their ids."""
        return [token for token, kind in zip(self.tokens, self.types, strict=True) if kind in types]


def read_pieces(reader: Any, gguf: Path) -> Pieces:
    """Take the vocabulary out of a `gguf.GGUFReader`.

    Raises:
        InputError: its tokenizer is of another model than `llama`, or a key is missing or makes no sense.
    """

    def listed(name: str, wanted: type[T]) -> tuple[T, ...]:
        found = value(reader, f"tokenizer.ggml.{name}", list, gguf)
        if not all(type(item) is wanted for item in found):
            raise InputError(f"{gguf}: its tokenizer.ggml.{name} is no list of {wanted.__name__}; take another file")
        return tuple(found)

    if (model := value(reader, "tokenizer.ggml.model", str, gguf)) != "llama":
        raise InputError(f"{gguf}: its tokenizer.ggml.model is {model!r}; take a file with pieces and scores ('llama')")
    ids = [value(reader, f"tokenizer.ggml.{task}_token_id", int, gguf) for task in ("padding", "bos", "eos", "unknown")]
    pieces = Pieces(listed("tokens", str), listed("scores", float), listed("token_type", int), *ids)
    if wrong := _wrong(pieces):
        raise InputError(f"{gguf}: its tokenizer cannot be used: {wrong}; take a file that llama.cpp's converter wrote")
    return pieces


def _wrong(pieces: Pieces) -> str | None:
    """Why no tokenizer can be built, if so."""
    size = len(pieces.tokens)
    if {len(pieces.scores), len(pieces.types)} != {size}:
        return f"it has {size} tokens, {len(pieces.scores)} scores and {len(pieces.types)} types"
    if not all(map(math.isfinite, pieces.scores)):
        return "a score is not a number"
    if not all(0 <= task < size for task in (pieces.pad, pieces.bos, pieces.eos, pieces.unk)):
        return f"the id of a special token is not below {size}"
    if len(set(pieces.tokens)) < size or "" in pieces.tokens:
        return "a token stands twice or is empty"
    if max(map(len, pieces.of_type(TokenType.NORMAL)), default=0) > MAX_PIECE:
        return f"a piece has more than {MAX_PIECE} characters"
    # It stands in a template, which has a syntax of its own.
    if not re.fullmatch(r"[^\s:$]+", bos := pieces.tokens[pieces.bos]):
        return f"the token {bos[:MAX_PIECE]!r} cannot begin a text"
    return None


def merges(pieces: Pieces) -> Iterator[tuple[str, str]]:
    """Yield all splits of each normal piece into two normal pieces: the best score first, short left parts first."""
    normal = [
        (-score, index)
        for index, (score, kind) in enumerate(zip(pieces.scores, pieces.types, strict=True))
        if kind == TokenType.NORMAL
    ]
    known = {pieces.tokens[index] for _, index in normal}
    for _, index in sorted(normal):
        token = pieces.tokens[index]
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in known and right in known:
                yield left, right


def build(pieces: Pieces) -> Tokenizer:
    """Make the tokenizer: `<bos>` goes in front, every text comes back whole, ids are those of the GGUF file."""
    unk, bos = pieces.tokens[pieces.unk], pieces.tokens[pieces.bos]
    tokenizer = Tokenizer(
        BPE(
            vocab={token: index for index, token in enumerate(pieces.tokens)},
            merges=list(merges(pieces)),
            unk_token=unk,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalise.Sequence(
        [
            normalise.Replace(ESCAPE, f"{ESCAPE}0"),
            normalise.Replace(SPACE, f"{ESCAPE}1"),
            normalise.Replace(" ", SPACE),
        ]
    )
    tokenizer.decoder = decode.Sequence(
        [
            decode.Replace(SPACE, " "),
            decode.ByteFallback(),
            decode.Fuse(),
            decode.Replace(f"{ESCAPE}1", SPACE),
            decode.Replace(f"{ESCAPE}0", ESCAPE),
        ]
    )
    tokenizer.add_special_tokens(_added(pieces.of_type(TokenType.CONTROL, TokenType.UNKNOWN), special=True))
    tokenizer.add_tokens(_added(pieces.of_type(TokenType.USER_DEFINED), special=False))
    tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, pieces.bos)]
    )
    return tokenizer


def _added(tokens: list[str], special: bool) -> list[AddedToken]:
    return [AddedToken(token, normalized=False, special=special) for token in tokens]
