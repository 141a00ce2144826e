"""mt.e5_packed: what is read is what was packed; damage is held against it in test_e5."""

import numpy as np
import pytest

import tiny_e5
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


@pytest.mark.parametrize("kept", [0, 3, 40, 100, -1])
def test_a_cut_file_is_an_input_error(packed, tmp_path, kept):
    cut = tmp_path / "cut"
    cut.write_bytes(packed[0].read_bytes()[:kept])
    with pytest.raises(InputError, match="not a packed e5 model"):
        read(cut)
