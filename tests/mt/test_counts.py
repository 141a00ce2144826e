"""What prepare, score and filter counted is read, or refused by name."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mt.counts import read_filter, read_noise, read_prepared
from mt.errors import InputError
from report_inputs import COUNTS, FILTER, FILTER_UNKNOWN, NOISE, NOISE_UNKNOWN, OTHER_MONO, dump

Read = Callable[[Path], dict[str, Any]]


@pytest.mark.parametrize(
    ("read", "tree"),
    [
        *((read_prepared, COUNTS), (read_prepared, OTHER_MONO), (read_noise, NOISE), (read_noise, NOISE_UNKNOWN)),
        *((read_filter, FILTER), (read_filter, FILTER_UNKNOWN)),
    ],
)
def test_what_the_stages_write_is_read_as_it_stands(read: Read, tree: dict[str, Any], tmp_path: Path) -> None:
    dump(tmp_path / "x.json", tree)
    assert read(tmp_path / "x.json") == tree


@pytest.mark.parametrize(
    ("read", "tree", "place", "value", "message"),
    [
        (read_prepared, COUNTS, ("parallel", "read"), "1", r"parallel\.read: must be a count"),
        (read_prepared, COUNTS, ("parallel", "dropped"), {}, r"parallel\.dropped\.empty: missing"),
        (read_prepared, OTHER_MONO, ("mono", "reasons", 0), "new", r"mono\.dropped\.new: missing"),
        (read_prepared, COUNTS, ("splits",), {}, r"splits\.train: missing"),
        (read_prepared, COUNTS, ("splits", "train", "src_chars", "low"), None, r"splits\.train\.src_chars\.low: must"),
        (read_noise, NOISE, ("features", "copy"), 5, r"features\.copy: must be an object"),
        (read_noise, NOISE, ("oracle", "chrf"), None, r"oracle\.chrf: must be a number"),
        (read_filter, FILTER, ("alone",), {}, r"alone\.near_test: missing"),
        (read_filter, FILTER, ("reasons",), [str(i) for i in range(101)], "names more than 100 reasons"),
        (read_filter, FILTER, ("rejected", 1, "reason"), "new", r"rejected\[1\]\.reason: is none of reasons"),
        (read_filter, FILTER, ("rejected", 1, "value"), None, r"rejected\[1\]\.value: must be a number"),
        (read_filter, FILTER, ("rejected", 0, "near"), [], r"rejected\[0\]\.near: must be text"),
    ],
)
def test_what_is_broken_is_named(
    read: Read, tree: dict[str, Any], place: tuple[str | int, ...], value: Any, message: str, tmp_path: Path
) -> None:
    inner: Any = (broken := deepcopy(tree))
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    dump(tmp_path / "x.json", broken)
    with pytest.raises(InputError, match=rf"x\.json: {message}.*; r[a-z]+ .*`?dvc repro"):
        read(tmp_path / "x.json")
