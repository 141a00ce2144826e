"""mt.claims: what work follows from, and that each run has a folder of its own."""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mt import claims
from mt.claims import DONE, LOCK, discard, discard_done, ingredients, mark_done
from mt.errors import InputError
from mt.files import kept, remove


@dataclass(frozen=True)
class Params:
    size: int


def test_everything_counts(tmp_path, monkeypatch):
    (tmp_path / "in").write_text("a")
    (tmp_path / "stage.py").write_text("")
    script = str(tmp_path / "stage.py")
    first = ingredients(Params(1), {"in": tmp_path / "in", "none": None}, script, ["torch"])
    assert first == ingredients(Params(1), {"in": tmp_path / "in", "none": None}, script, ["torch"])
    assert set(first["code"]) == {"stage.py", *(file.name for file in Path(claims.__file__).parent.glob("*.py"))}
    assert first != ingredients(replace(Params(1), size=2), {"in": tmp_path / "in"}, script, ["torch"])
    assert first != ingredients(Params(1), {"in": tmp_path / "in"}, script, ["torch", "peft"])
    (tmp_path / "in").write_text("b")
    assert first != ingredients(Params(1), {"in": tmp_path / "in"}, script, ["torch"])
    (tmp_path / "in").write_text("a")
    (tmp_path / "stage.py").write_text("1")
    assert first != ingredients(Params(1), {"in": tmp_path / "in"}, script, ["torch"])


def test_the_number_of_processes_and_of_threads_counts(tmp_path, monkeypatch):
    (tmp_path / "stage.py").write_text("")

    def found():
        return ingredients(Params(1), {}, str(tmp_path / "stage.py"), ["torch"])

    first = found()
    monkeypatch.setattr(claims, "count", lambda: 2)
    assert found() != first
    monkeypatch.undo()
    assert found() == first
    monkeypatch.setattr(claims, "place", lambda: "cpu, 17 threads")
    assert found() != first


def claimed(kind, ingredients):
    """As claims.claimed; as much is done as there are files."""
    return claims.claimed(kind, ingredients, lambda folder: len(list(folder.iterdir())))


def test_of_several_the_one_in_which_most_is_done_is_taken():
    with claimed("work", {}) as one, claimed("work", {}) as two, claimed("work", {}) as three:
        for folder, names in ((one, ""), (two, "abc"), (three, "a")):
            for name in names:
                (folder / name).touch()
    with claimed("work", {}) as again, claimed("work", {}) as next_best:
        assert (again, next_best) == (two, three)


def done(group=None, age=0.0):
    """A folder of work that is done, by a process of some group, so many seconds ago."""
    with claimed("work", {"a": 1}) as folder:
        mark_done(folder)
    if group:
        (folder / DONE).write_text(str(group))
    os.utime(folder / DONE, (time.time() - age,) * 2)
    return folder


@pytest.mark.parametrize(
    ("group", "age", "stays"),
    [(None, 0.0, False), (1, 0.0, True), (1, claims.GRACE_SECONDS + 60, False)],
    ids=["DVC's next stage", "another run's next stage", "long ago"],
)
def test_what_is_done_goes_when_dvc_has_recorded_it(group, age, stays):
    folder = done(group, age)
    discard_done()
    assert folder.exists() == stays


def test_what_is_done_is_there_for_the_same_work():
    folder = done()
    with claimed("work", {"a": 1}) as again:
        assert again == folder
        assert not (again / DONE).exists()


def test_two_runs_of_one_work_have_a_folder_each():
    with claimed("work", {"a": 1}) as one, claimed("work", {"a": 1}) as two, claimed("work", {"a": 2}) as other:
        assert len({one, two, other}) == 3
        assert {folder.parent for folder in (one, two, other)} == {kept() / "work"}
    with claimed("work", {"a": 1}) as again:
        assert again == one


def test_what_a_killed_run_was_writing_is_removed():
    with claimed("work", {}) as folder:
        (folder / ".half").write_text("half")
        (folder / "whole").write_text("whole")
    with claimed("work", {}) as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["lock", "whole"]


def test_a_place_that_cannot_be_written():
    kept().parent.mkdir(parents=True)
    kept().write_text("")
    with pytest.raises(InputError, match="cannot be written"), claimed("work", {}):
        pass


@pytest.mark.parametrize("place", ["", "work"])
def test_a_link_to_nowhere_is_no_place(place, tmp_path):
    link = kept() / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "nowhere")
    told = pytest.raises(InputError, match=r"work: cannot be written \(File exists\); make it a folder")
    with told, claimed("work", {}):
        pass


def test_places_are_not_tried_without_end(monkeypatch):
    monkeypatch.setattr(claims, "MOST_PLACES", 5)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(claimed("work", {}))
        with pytest.raises(InputError, match=r"work: none of 5 folders in it can be had"):
            stack.enter_context(claimed("work", {}))


def test_what_is_discarded_may_be_claimed_meanwhile(monkeypatch):
    others = []

    def and_then_another_claims(path):
        remove(path)
        if path.name == LOCK:
            others.append(stack.enter_context(claimed("work", {})))

    with claimed("work", {}) as folder, ExitStack() as stack:
        (folder / "part").write_text("a")
        monkeypatch.setattr(claims, "remove", and_then_another_claims)
        discard(folder)
        assert others == [folder]
        assert [path.name for path in folder.iterdir()] == [LOCK]


def test_a_mark_that_cannot_be_written():
    with claimed("work", {}) as folder:
        (folder / DONE).mkdir()
        with pytest.raises(InputError, match="cannot be written"):
            mark_done(folder)
