"""Reading binary files within their bounds."""

from pathlib import Path

import pytest

from mt.cursor import Cursor, mapped
from mt.errors import InputError


def test_reads_on() -> None:
    cursor = Cursor(b"\x01\x00ab\x02\x00\x03\x00rest")
    assert (cursor.unpack("H"), cursor.take(2), cursor.array("<u2", 2).tolist()) == ((1,), b"ab", [2, 3])
    assert (cursor.skip(4), cursor.at, cursor.take(0)) == (8, 12, b"")


@pytest.mark.parametrize("count", [-1, 4, 2**60, 2**64])
def test_nothing_is_read_past_the_end(count: int) -> None:
    cursor = Cursor(b"abcd")
    cursor.take(1)
    for read in (cursor.take, cursor.skip, lambda n: cursor.array("u1", n)):
        with pytest.raises(ValueError, match=f"at byte 1, {count} bytes are stated and 3 are left"):
            read(count)
    assert cursor.at == 1


def test_maps_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    with mapped(path) as data:
        assert Cursor(data).take(3) == b"abc"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        mapped(path)
    with pytest.raises(InputError, match=r"none: not found"):
        mapped(tmp_path / "none")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        mapped(tmp_path)
