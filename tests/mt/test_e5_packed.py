"""mt.e5_packed: what is read is what was packed; damage is held against it in test_e5."""

import struct

import numpy as np
import pytest

import tiny_e5
from bounded import outcome, sparse
from mt.e5_packed import Q4_0, Sizes, read
from mt.errors import InputError


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "e5.bin"
    return path, tiny_e5.write(path)


def test_the_header(packed):
    found = read(packed[0])
    rows, positions = found.sizes.rows, found.sizes.positions
    assert (rows, positions) == (tiny_e5.ROWS, tiny_e5.POSITIONS)
    assert found.sizes == Sizes(
        tiny_e5.HIDDEN, tiny_e5.LAYERS, tiny_e5.HEADS, tiny_e5.WIDE, rows, positions, tiny_e5.TYPES
    )
    assert found.epsilon == pytest.approx(tiny_e5.EPSILON)


def test_pieces_stand_in_the_order_of_their_ids(packed):
    assert [piece for piece, _ in read(packed[0]).vocabulary.pieces] == tiny_e5.PIECES


def test_tensors_are_float32_or_blocks(packed):
    path, tensors = packed
    found = read(path).tensors
    assert set(found) == set(tensors)
    for name, values in tensors.items():
        if tiny_e5.is_matrix(name):
            assert found[name].dtype == np.uint8
            assert found[name].size == values.size // 32 * 18
        else:
            assert np.array_equal(found[name], values.ravel())
    assert Q4_0 == 1


@pytest.mark.parametrize(("old", "new"), [("a", "Ａ"), ("Ａ", "㍿")], ids=["itself", "twice"])
def test_a_code_point_is_rewritten_once_and_as_another(packed, tmp_path, old, new):
    rewritten = [struct.pack("<IB", ord("Ａ"), 1), "a".encode("utf-32-le")]
    changed = [part.replace(old.encode("utf-32-le"), new.encode("utf-32-le")) for part in rewritten]
    path = tmp_path / "packed"
    path.write_bytes(packed[0].read_bytes().replace(b"".join(rewritten), b"".join(changed), 1))
    with pytest.raises(InputError, match="is rewritten as itself, or twice"):
        read(path)


@pytest.mark.parametrize("kept", [0, 3, 40, 100, -1])
def test_a_cut_file_is_an_input_error(packed, tmp_path, kept):
    cut = tmp_path / "cut"
    cut.write_bytes(packed[0].read_bytes()[:kept])
    with pytest.raises(InputError, match="not a packed e5 model"):
        read(cut)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "said"),
    [
        (24, "i", 2**31 - 1, "read"),
        (44, "i", 2**31 - 1, "special ids"),
        (64, "Q", 2**60, f"{2**60} bytes are stated and"),
        (64, "Q", 2**64 - 1, f"{2**64 - 1} bytes are stated and"),
    ],
    ids=["rows", "pieces", "text of 2^60 bytes", "text of 2^64 bytes"],
)
def test_a_header_that_claims_much_takes_no_memory(packed, tmp_path, offset, layout, value, said):
    data = bytearray(packed[0].read_bytes())
    struct.pack_into("<" + layout, data, offset, value)
    path = tmp_path / "packed"
    path.write_bytes(data)
    assert said in outcome("from mt.e5_packed import read", "read(path)", path, megabytes=8)


def test_a_large_file_takes_no_memory(packed, tmp_path):
    path = sparse(tmp_path / "packed", 1 << 36, packed[0].read_bytes())
    assert outcome("from mt.e5_packed import read", "read(path)", path, megabytes=8) == "read"
    path.write_bytes(tiny_e5.header())
    sparse(path, 1 << 36, tiny_e5.header())
    assert "special ids" in outcome("from mt.e5_packed import read", "read(path)", path, megabytes=8)


def test_a_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        read(tmp_path)
