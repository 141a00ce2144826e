"""What a GGUF file's header may not state, and what it costs to find that out."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from bounded import outcome
from mt.errors import InputError
from mt.gguf_header import MAX_ENTRIES, MAX_ITEMS, check, value
from pipeline import module

targets = module("fuzz/targets.py")
WHOLE: bytes = targets.gguf_file()
KEYS_AT = 24


def keyed(*pairs: tuple[str, bytes], tensors: bytes = b"", count: int = 0) -> bytes:
    """A file of these keys, each with its type and value, and tensors."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, count, len(pairs)) + b"".join(targets.text(k) + v for k, v in pairs)
    head += tensors
    return head + bytes(-len(head) % 32)


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return targets.text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def listed(kind: int, length: int, content: bytes = b"") -> bytes:
    return struct.pack("<IIQ", 9, kind, length) + content


def changed(offset: int, layout: str, new: int) -> bytes:
    data = bytearray(WHOLE)
    struct.pack_into("<" + layout, data, offset, new)
    return bytes(data)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    return path


def test_the_shapes_are_those_that_the_library_reads(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "gemma3")
    for name, kind in {"a": bool, "b": int, "c": float}.items():
        writer.add_key_value(name, kind(1), gguf.GGUFValueType.get_type(kind(1)))
    writer.add_array("d", ["x", "猫"])
    writer.add_array("e", [1.5, 2.5])
    writer.add_custom_alignment(64)
    writer.add_tensor("float", np.ones((3, 5), np.float32))
    writer.add_tensor("half", np.ones(7, np.float16))
    blocks = gguf.quants.quantize(np.ones((2, 64), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blocks", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert check(path) == {t.name: tuple(t.shape.tolist()) for t in gguf.GGUFReader(path).tensors}
    path.write_bytes(path.read_bytes()[: -64 - 2 * 64])
    with pytest.raises(InputError, match="bytes of tensors are stated"):
        check(path)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "cannot mmap an empty file"),
    "text": (b"no model at all, but long enough for a header", "does not begin with GGUF"),
    "cut in the header": (WHOLE[:20], "at byte 4, 20 bytes are stated and 16 are left"),
    "cut in the keys": (WHOLE[:300], "bytes are stated and"),
    "cut in the tensors": (WHOLE[:-40], "bytes of tensors are stated, and"),
    "version 1": (changed(4, "I", 1), "version 1, where"),
    "big-endian": (changed(4, "I", 3 << 24), "version 50331648, where"),
    "2^60 tensors": (changed(8, "Q", 2**60), f"{2**60} tensors are stated, where {MAX_ENTRIES}"),
    "2^60 keys": (changed(16, "Q", 2**60), f"{2**60} keys and"),
    "a name of 2^60 bytes": (changed(KEYS_AT, "Q", 2**60), f"{2**60} bytes are stated and"),
    "a text of 2^60 bytes": (keyed(("a", struct.pack("<IQ", 8, 2**60))), f"{2**60} bytes are stated and"),
    "a list of 2^60 bytes": (keyed(("a", listed(0, 2**60))), f"states {2**60} values"),
    "a list of as many as may be": (keyed(("a", listed(0, MAX_ITEMS))), f"{MAX_ITEMS} bytes are stated and"),
    "lists of more together": (keyed(*((n, listed(0, 600_000, bytes(600_000))) for n in "ab")), "'b' states 600000"),
    "a list of texts of 2^60": (keyed(("a", listed(8, 2**60))), f"states {2**60} values"),
    "a list of lists": (keyed(("a", listed(9, 1, struct.pack("<IQ", 0, 2**60)))), "value of the unknown type 9"),
    "an unknown type": (keyed(("a", struct.pack("<I", 13))), "value of the unknown type 13"),
    "a key twice": (keyed(*[("a", struct.pack("<IB", 0, 1))] * 2), "the key 'a' stands twice"),
    "a key that is no UTF-8": (keyed(("猫", struct.pack("<IB", 0, 1))).replace("猫".encode(), b"\xff" * 3), "utf-8"),
    "alignment 0": (keyed(("general.alignment", struct.pack("<II", 4, 0))), "alignment is 0, no power"),
    "alignment 48": (keyed(("general.alignment", struct.pack("<II", 4, 48))), "alignment is 48, no power"),
    "alignment of text": (keyed(("general.alignment", struct.pack("<I", 8) + targets.text("x"))), "is of type 8"),
    "alignment 2^31": (keyed(("general.alignment", struct.pack("<II", 4, 2**31))), "0 are left"),
    "a tensor of 2^60 values": (keyed(tensors=tensor("t", (2**60,)), count=1), f"{2**62} bytes of tensors"),
    "sizes that overflow": (keyed(tensors=tensor("t", (2**32, 2**32, 4)), count=1), f"{2**68} bytes of tensors"),
    "a tensor past the end": (keyed(tensors=tensor("t", (1,), offset=2**60), count=1), "bytes of tensors"),
    "a tensor of nothing": (keyed(tensors=tensor("t", (0,)), count=1), "cannot have the shape"),
    "no dimension": (keyed(tensors=tensor("t", ()), count=1), "has 0 dimensions"),
    "2^31 dimensions": (keyed(tensors=targets.text("t") + struct.pack("<I", 2**31), count=1), "has 2147483648 dim"),
    "an unknown kind": (keyed(tensors=tensor("t", (32,), 99), count=1), "of type 99 cannot have"),
    "half a block": (keyed(tensors=tensor("t", (16,), 2), count=1), "of type 2 cannot have"),
    "a tensor twice": (keyed(tensors=tensor("t", (1,)) * 2, count=2) + bytes(32), "or stands twice"),
}


@pytest.mark.parametrize(("content", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_header_that_lies_is_an_input_error(tmp_path: Path, content: bytes, said: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        check(path)
    assert str(caught.value).startswith(f"{path}: not a GGUF file (")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["2^60 tensors", "2^60 keys", "a text of 2^60 bytes", "a list of 2^60 bytes", "a tensor of 2^60 values"]
)
def test_a_header_that_lies_takes_no_memory(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, HOSTILE[name][0])
    said = outcome("import gguf\nfrom mt.gemma import described", "described(path)", path, megabytes=16)
    assert HOSTILE[name][1] in said


@pytest.mark.parametrize(
    ("name", "wanted", "message"),
    [("tokens", str, None), ("tokens", int, "its tokens is no int"), ("none", str, "has no none")],
)
def test_value(tmp_path: Path, name: str, wanted: Callable[..., Any], message: str | None) -> None:
    class Field:
        def contents(self) -> str:
            return "x"

    class Reader:
        fields = {"tokens": Field()}  # noqa: RUF012

    if message is None:
        assert value(Reader(), name, str, tmp_path) == "x"
    else:
        with pytest.raises(InputError, match=message):
            value(Reader(), name, int, tmp_path)
