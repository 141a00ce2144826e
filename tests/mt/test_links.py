"""mt.links: one file in two places."""

import errno
from pathlib import Path
from typing import Any

import pytest

from mt.links import link, link_tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file behind a symbolic link."""
    (tmp_path / "blob").write_bytes(b"text")
    (tmp_path / "shown").symlink_to("blob")
    return tmp_path / "shown"


def test_a_link_is_the_file_itself(source, tmp_path):
    link(source, tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").samefile(tmp_path / "blob")
    assert not (tmp_path / "a" / "b" / "c").is_symlink()


def test_a_copy_where_there_can_be_no_link(source, tmp_path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    link(source, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"text"
    assert not (tmp_path / "copy").samefile(tmp_path / "blob")


def test_what_is_there_is_not_written_into(source, tmp_path):
    (tmp_path / "there").write_bytes(b"other")
    with pytest.raises(FileExistsError):
        link(source, tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"other"


def test_a_tree(tmp_path):
    (tmp_path / "one" / "deep").mkdir(parents=True)
    (tmp_path / "one" / "a").write_bytes(b"a")
    (tmp_path / "one" / "deep" / "b").write_bytes(b"b")
    link_tree(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / "a").samefile(tmp_path / "one" / "a")
    assert (tmp_path / "two" / "deep" / "b").samefile(tmp_path / "one" / "deep" / "b")
