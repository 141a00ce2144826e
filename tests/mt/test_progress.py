"""mt.progress: a part is made once, whatever cuts the work off."""

from contextlib import suppress
from functools import partial

import pytest

from mt.files import kept
from mt.progress import FILE, MAX_LINE_BYTES, progress


class CutOffError(Exception):
    """What cuts the work off."""


def make(name, made):
    """A part of two numbers: how many were made before it and with it, and another."""
    made.append(name)
    return [float(len(made)), 0.1]


def worked(names, made, end=None, ingredients=None):
    """Do the parts of these names, and be cut off if there is an `end`; the results."""
    with suppress(CutOffError), progress(ingredients or {}) as done:
        found = [done.part(name, 2, partial(make, name, made)) for name in names]
        if end:
            raise end
        return found


def test_what_is_finished_is_not_done_again():
    made: list[str] = []
    worked(["a", "b"], made, CutOffError())
    assert worked(["a", "b", "c"], made) == [[1.0, 0.1], [2.0, 0.1], [3.0, 0.1]]
    assert made == ["a", "b", "c"]


def test_nothing_stays_of_work_that_ended():
    worked(["a"], [])
    assert list((kept() / "progress").iterdir()) == []
    made: list[str] = []
    worked(["a"], made)
    assert made == ["a"]


def test_other_work_has_parts_of_its_own():
    made: list[str] = []
    worked(["a"], made, CutOffError(), {"seed": 1})
    worked(["a"], made, CutOffError(), {"seed": 2})
    assert made == ["a", "a"]


def parts_of_a():
    """The file of work that was cut off after part `a`, and what was made."""
    made: list[str] = []
    worked(["a"], made, CutOffError())
    (file,) = (kept() / "progress").glob(f"*/{FILE}")
    return file, made


DAMAGED = {
    "cut short": [b'["b", [2.0', b'["b"', b"[", b'["b", [2.0, 0.1]]'],
    "no UTF-8": [b"\xff\xfe\n", b'["\xff", [2.0, 0.1]]\n', bytes(range(256))],
    "no JSON": [b"\n", b"b\n", b'["b", [2.0, NaN]]\n', b'["b", [2.0, 1e999]]\n', b"[" * 100_000 + b"\n"],
    "no part": [
        *(b"null\n", b"7\n", b'"ab"\n', b"{}\n", b'{"b": [2.0, 0.1], "c": 1}\n', b'["b"]\n', b'["b", 2.0]\n'),
        *(b'["b", [2.0], 1]\n', b'[["b"], [2.0, 0.1]]\n', b'["b", ["2.0", 0.1]]\n', b'["b", [[2.0], 0.1]]\n'),
        *(b'["b", {"0": 2.0}]\n', b'["b", [true, 0.1]]\n', b'["b", [null, 0.1]]\n'),
    ],
    "another size": [b'["b", []]\n', b'["b", [2.0]]\n', b'["b", [2.0, 0.1, 0.1]]\n'],
    "too long": [b'["b", [2.0, 0.' + b"1" * MAX_LINE_BYTES + b"]]\n"],
}


@pytest.mark.parametrize("end", [b"", b'["c", [3.0, 0.1]]\n'], ids=["at the end", "inside"])
@pytest.mark.parametrize("damage", [damage for kind in DAMAGED.values() for damage in kind], ids=lambda text: text[:20])
def test_from_a_damaged_line_on_all_is_done_again(damage, end):
    file, made = parts_of_a()
    with file.open("ab") as parts:
        parts.write(damage + end)
    worked(["a", "b"], made, CutOffError())
    assert worked(["a", "b"], made) == [[1.0, 0.1], [2.0, 0.1]]
    assert made == ["a", "b"]


@pytest.mark.parametrize("damage", [b"\0" * 9000, b"\xff\n", b"[[]]\n"])
def test_nothing_is_kept_of_a_file_that_begins_damaged(damage):
    file, made = parts_of_a()
    file.write_bytes(damage + file.read_bytes())
    worked(["a", "b"], made, CutOffError())
    assert file.read_text().count("\n") == 2
    worked(["a", "b"], made)
    assert made == ["a", "a", "b"]


def test_a_folder_where_the_file_should_be():
    file, made = parts_of_a()
    file.unlink()
    (file / "below").mkdir(parents=True)
    worked(["a"], made, CutOffError())
    worked(["a"], made)
    assert made == ["a", "a"]
