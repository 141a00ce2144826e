from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mt.checkpoints import checkpoints
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
    with suppress(CutOffError), checkpoints(lambda: ingredients) as kept:
        yield kept
        raise CutOffError


def test_a_training_that_was_cut_off_finds_its_newest_checkpoint(root):
    with cut_off({"seed": 1}) as kept:
        for step in (2, 10, 9):
            write(kept, step)
    with checkpoints(lambda: {"seed": 1}) as kept:
        step, folder = newest(kept)
        assert step == 9  # the last that was written, and the only one that is left
        assert (folder / "checkpoint-9" / "weights").read_text() == "weights"
        assert (folder / "judge.json").read_text() == "9"
        assert len(list(folder.parent.glob("step-*"))) == 1


def test_ten_is_newer_than_nine(root):
    with cut_off({}) as kept:
        for step in (9, 10):
            (kept.partial.parent / f"step-{step}").mkdir()
    with checkpoints(dict) as kept:
        assert newest(kept)[0] == 10


def test_what_somebody_else_put_there_is_no_checkpoint(root):
    with cut_off({}) as kept:
        write(kept, 2)
        (kept.partial.parent / "step-old").mkdir()
    with checkpoints(dict) as kept:
        assert newest(kept)[0] == 2


def test_another_training_does_not(root):
    with cut_off({"seed": 1}) as kept:
        write(kept, 2)
    with checkpoints(lambda: {"seed": 2}) as kept:
        assert kept.newest() is None


def test_a_training_that_ended_well_is_kept_until_the_next_begins(root):
    with cut_off({"seed": 1}) as kept:
        write(kept, 2)
    with checkpoints(lambda: {"seed": 1}) as kept:
        write(kept, 4)
    with checkpoints(lambda: {"seed": 1}) as kept:  # a kill came before DVC recorded it
        assert newest(kept)[0] == 4
    with cut_off({"seed": 2}) as kept:
        write(kept, 3)
        assert [folder.name for folder in root.glob("*/step-*")] == ["step-3"]
    with checkpoints(lambda: {"seed": 3}):
        assert [folder.name for folder in root.glob("*/step-*")] == ["step-3"]  # this one has not ended well


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
    with checkpoints(dict) as kept:
        assert newest(kept)[0] == 2
        assert not kept.partial.exists()
        write(kept, 4)
        assert newest(kept)[0] == 4


def test_two_runs_of_one_training_do_not_meet(root):
    with checkpoints(lambda: {"seed": 1}) as first, checkpoints(lambda: {"seed": 1}) as second:
        write(first, 2, "first")
        write(second, 2, "second")
        assert [(newest(kept)[1] / "checkpoint-2" / "weights").read_text() for kept in (first, second)] == [
            "first",
            "second",
        ]
    with checkpoints(lambda: {"seed": 2}):
        assert len(list(root.iterdir())) == 1


def test_without_dvc_they_lie_under_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    with checkpoints(dict) as kept:
        assert kept.partial.is_relative_to(tmp_path / ".cache" / "checkpoints")


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / ".cache").write_text("a file")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(InputError, match="cannot be written"), checkpoints(dict):
        pass
