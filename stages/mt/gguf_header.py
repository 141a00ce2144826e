"""The header of a GGUF file, held against the bytes that there are before a library that believes it reads the file.

gguf's reader goes as often round as a list's stated length says, also past the end of the file, and makes an array of
each value. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from math import prod
from pathlib import Path
from typing import Any, TypeVar

from mt.cursor import Cursor, mapped
from mt.errors import InputError

T = TypeVar("T")

VERSIONS = (2, 3)
SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
UINT32, STRING, ARRAY = 4, 8, 9
MAX_ITEMS = 1 << 20
"""The values in all lists together; a vocabulary of 262,144 pieces has three lists of that length."""
MAX_ENTRIES = 1 << 14
"""Keys, and tensors."""
MAX_DIMENSIONS = 4
ALIGNMENT = 32


def check(gguf: Path) -> dict[str, tuple[int, ...]]:
    """Read the header and nothing else, and give each tensor's shape, the longest stride last.

    Raises:
        InputError: the file is missing, or no GGUF of which every part stands inside it.
    """
    try:
        with mapped(gguf) as data:
            cursor = Cursor(data)
            if cursor.take(4) != b"GGUF":
                raise ValueError("it does not begin with GGUF")
            version, tensors, keys = cursor.unpack("IQQ")
            if version not in VERSIONS:
                raise ValueError(f"version {version}, where {VERSIONS} are known")
            if max(tensors, keys) > MAX_ENTRIES:
                raise ValueError(f"{keys} keys and {tensors} tensors are stated, where {MAX_ENTRIES} are the most")
            alignment = _keys(cursor, keys)
            return _tensors(cursor, tensors, alignment)
    except ValueError as error:
        raise InputError(f"{gguf}: not a GGUF file ({error}); fetch it again") from error


def value(reader: Any, name: str, wanted: type[T], gguf: Path) -> T:
    """One key of a `gguf.GGUFReader`, of the type wanted.

    Raises:
        InputError: it is missing, or of another type.
    """
    field = reader.fields.get(name)
    if field is None:
        raise InputError(f"{gguf}: has no {name}; take a file that llama.cpp's converter wrote whole")
    found = field.contents()
    if type(found) is not wanted:
        raise InputError(f"{gguf}: its {name} is no {wanted.__name__}; take a file that llama.cpp's converter wrote")
    return found


def _keys(cursor: Cursor, count: int) -> int:
    """Pass the keys and their values by, and give the alignment of the tensors."""
    names: set[str] = set()
    alignment, items = ALIGNMENT, 0
    for _ in range(count):
        name = _text(cursor)
        if name in names:
            raise ValueError(f"the key {name!r:.100} stands twice")
        names.add(name)
        (kind,) = cursor.unpack("I")
        if name == "general.alignment":
            if kind != UINT32:
                raise ValueError(f"general.alignment is of type {kind}")
            (alignment,) = cursor.unpack("I")
            if not alignment or alignment & (alignment - 1):
                raise ValueError(f"general.alignment is {alignment}, no power of two")
        elif kind == ARRAY:
            kind, length = cursor.unpack("IQ")
            items += length
            if items > MAX_ITEMS:
                raise ValueError(f"{name!r:.100} states {length} values; {MAX_ITEMS} are the most there may be in all")
            _values(cursor, kind, length)
        else:
            _values(cursor, kind, 1)
    return alignment


def _values(cursor: Cursor, kind: int, count: int) -> None:
    if kind == STRING:
        for _ in range(count):
            _text(cursor)
    elif kind in SCALAR_BYTES:
        cursor.skip(SCALAR_BYTES[kind] * count)
    else:
        raise ValueError(f"at byte {cursor.at} stands a value of the unknown type {kind}")


def _tensors(cursor: Cursor, count: int, alignment: int) -> dict[str, tuple[int, ...]]:
    from gguf.constants import GGML_QUANT_SIZES

    sizes = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
    shapes: dict[str, tuple[int, ...]] = {}
    ends = [0]
    for _ in range(count):
        name = _text(cursor)
        (dimensions,) = cursor.unpack("I")
        if not 1 <= dimensions <= MAX_DIMENSIONS or name in shapes:
            raise ValueError(f"the tensor {name!r:.100} has {dimensions} dimensions, or stands twice")
        shape = cursor.unpack(f"{dimensions}Q")
        kind, offset = cursor.unpack("IQ")
        if kind not in sizes or not all(shape) or shape[0] % sizes[kind][0]:
            raise ValueError(f"the tensor {name!r:.100} of type {kind} cannot have the shape {shape}")
        block, block_bytes = sizes[kind]
        shapes[name] = shape
        ends.append(offset + prod(shape) // block * block_bytes)
    there = len(cursor.data) + -cursor.at // alignment * alignment
    if max(ends) > there:
        raise ValueError(f"{max(ends)} bytes of tensors are stated, and {max(there, 0)} are left")
    return shapes


def _text(cursor: Cursor) -> str:
    (length,) = cursor.unpack("Q")
    return cursor.take(length).decode("utf-8")
