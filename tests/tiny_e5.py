"""Writes a packed e5 file of a few kilobytes, in the layout that mt.e5_packed documents."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize

HIDDEN, LAYERS, HEADS, WIDE, POSITIONS, TYPES = 32, 2, 2, 64, 16, 2
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁query", ":", "▁tea", "t", "e", "a", "▁お", "茶", "を", "▁a", "<mask>"]
ROWS = len(PIECES) + 3
REWRITES = {"Ａ": "a", "\t": " ", "㍿": "茶を", "\x7f": ""}
EPSILON = 1e-5


def write(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Write the file and return its tensors as float32, as they are after quantization."""
    tensors, directory, blobs = {}, b"", []
    for name, shape in shapes().items():
        values = np.random.default_rng([ord(c) for c in name]).normal(0, 0.5, shape).astype(np.float32)
        if is_matrix(name):
            raw = quantize(values, GGMLQuantizationType.Q4_0)
            values = dequantize(raw, GGMLQuantizationType.Q4_0)
        else:
            raw = values
        tensors[name] = values
        blobs.append((name, int(is_matrix(name)), values.size, raw.tobytes()))
    head = header() + vocabulary() + struct.pack("<i", len(blobs))
    offset = len(head) + sum(2 + len(name) + 21 for name, *_ in blobs)
    for name, kind, size, raw in blobs:
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, size, offset, len(raw))
        offset += len(raw)
    path.write_bytes(head + directory + b"".join(raw for *_, raw in blobs))
    return tensors


def shapes() -> dict[str, tuple[int, ...]]:
    """The packed name of each tensor → its shape."""
    found: dict[str, tuple[int, ...]] = {}
    found |= {"emb.word": (ROWS, HIDDEN), "emb.pos": (POSITIONS, HIDDEN), "emb.type": (TYPES, HIDDEN)}
    found |= {"emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,)}
    for layer in range(LAYERS):
        for part in ("q", "k", "v", "ao", "fi", "fo"):
            n_out, n_in = (WIDE, HIDDEN) if part == "fi" else (HIDDEN, WIDE) if part == "fo" else (HIDDEN, HIDDEN)
            found |= {f"l{layer}.{part}.w": (n_out, n_in), f"l{layer}.{part}.b": (n_out,)}
        for part in ("aln", "oln"):
            found |= {f"l{layer}.{part}.w": (HIDDEN,), f"l{layer}.{part}.b": (HIDDEN,)}
    return found


def is_matrix(name: str) -> bool:
    """Whether the file keeps the tensor as Q4_0."""
    return name == "emb.word" or (name.endswith(".w") and "ln" not in name)


def header(version: int = 1, heads: int = HEADS, layers: int = LAYERS) -> bytes:
    """The first 44 bytes."""
    sizes = (HIDDEN, layers, heads, WIDE, ROWS, POSITIONS, TYPES)
    return b"E5S1" + struct.pack("<I7ifi", version, *sizes, EPSILON, 32)


def vocabulary() -> bytes:
    """Pieces, scores and the table of rewritten code points."""
    texts = [piece.encode() for piece in PIECES]
    ends = np.cumsum([0, *map(len, texts)]).astype("<u4")
    scores = -np.arange(len(texts)).astype("<f4")
    blob = struct.pack("<5iQ", len(texts), 0, 2, 1, 3, int(ends[-1]))
    table = b"".join(
        struct.pack("<IB", ord(char), len(text)) + text.encode("utf-32-le") for char, text in REWRITES.items()
    )
    blob += ends.tobytes() + scores.tobytes() + b"".join(texts)
    return blob + struct.pack("<iI", len(REWRITES), len(table)) + table
