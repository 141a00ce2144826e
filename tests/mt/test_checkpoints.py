from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mt.checkpoints import checkpoints, digests
from mt.errors import InputError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path / ".cache" / "checkpoints"


class CutOffError(Exception):
    """What cuts a training off."""


def write(kept, step, text="weights"):
    """What the Trainer does, and then `keep`."""
    folder = kept.partial / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_text(text)
    kept.keep(step, lambda place: (place / "judge.json").write_text(str(step)))


def newest(kept):
    """The newest checkpoint, which must be there."""
    found = kept.newest()
    assert found
    return found


@contextmanager
def cut_off(ingredients):
    """A training that is cut off when the block ends."""
    with suppress(CutOffError), checkpoints(ingredients) as kept:
        yield kept
        raise CutOffError


def test_a_training_that_was_cut_off_finds_its_newest_checkpoint(root):
    with cut_off({"seed": 1}) as kept:
        for step in (2, 10, 9):
            write(kept, step)
    with checkpoints({"seed": 1}) as kept:
        step, folder = newest(kept)
        assert step == 9  # the last that was written, and the only one that is left
        assert (folder / "checkpoint-9" / "weights").read_text() == "weights"
        assert (folder / "judge.json").read_text() == "9"
        assert len(list(folder.parent.glob("step-*"))) == 1


def test_ten_is_newer_than_nine(root):
    with cut_off({}) as kept:
        for step in (9, 10):
            (kept.partial.parent / f"step-{step}").mkdir()
    with checkpoints({}) as kept:
        assert newest(kept)[0] == 10


def test_another_training_does_not(root):
    with cut_off({"seed": 1}) as kept:
        write(kept, 2)
    with checkpoints({"seed": 2}) as kept:
        assert kept.newest() is None


def test_nothing_stays_of_a_training_that_ended_well(root):
    with cut_off({"seed": 1}) as kept:
        write(kept, 2)
    with checkpoints({"seed": 1}) as kept:
        write(kept, 4)
    assert list(root.iterdir()) == []


def test_nothing_stays_of_a_training_without_a_checkpoint(root):
    with cut_off({"seed": 1}):
        pass
    assert list(root.iterdir()) == []


def test_a_half_written_checkpoint_is_never_found(root):
    def fail(folder: Path) -> None:
        raise CutOffError

    with cut_off({}) as kept:
        write(kept, 2)
        (kept.partial / "checkpoint-4").mkdir(parents=True)
        (kept.partial / "checkpoint-4" / "weights").write_text("wei")
        kept.keep(4, fail)
    with checkpoints({}) as kept:
        assert newest(kept)[0] == 2
        assert not kept.partial.exists()
        write(kept, 4)
        assert newest(kept)[0] == 4


def test_two_runs_of_one_training_do_not_meet(root):
    with checkpoints({"seed": 1}) as first, checkpoints({"seed": 1}) as second:
        write(first, 2, "first")
        write(second, 2, "second")
        assert [(newest(kept)[1] / "checkpoint-2" / "weights").read_text() for kept in (first, second)] == [
            "first",
            "second",
        ]
    assert list(root.iterdir()) == []


def test_without_dvc_they_lie_under_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    with checkpoints({}) as kept:
        assert kept.partial.is_relative_to(tmp_path / ".cache" / "checkpoints")


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / ".cache").write_text("a file")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(InputError, match="cannot be written"), checkpoints({}):
        pass


def test_digests_follow_names_and_contents(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    (tmp_path / "a" / "d").write_text("d")
    first = digests(tmp_path / "a")
    assert list(first) == ["b/c", "d"]
    assert digests(tmp_path / "a" / "d") == {"": first["d"]}
    (tmp_path / "a" / "d").write_text("e")
    assert digests(tmp_path / "a")["d"] != first["d"]
