"""Every parser takes whatever comes: up to a thousand inputs each; fuzz/run.py goes on for as long as one likes."""

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mt.errors import InputError
from pipeline import module

targets = module("fuzz/targets.py")
MEMORY = Path("/dev/shm")
FEW = {"normalise": 350, "params_yaml": 350}
"""Parsers of which an input takes milliseconds."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory, where there is such a folder: what is written is synced, for which disks take long."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        yield Path(made)


def inputs(target: Any) -> st.SearchStrategy[bytes]:
    """Seeds, cut, changed at a few places, and with words of the language put in."""
    words = st.binary(max_size=8) | st.sampled_from(target.words or [b""])
    changes = st.lists(st.tuples(st.integers(0, 2**14), st.integers(0, 40), words), max_size=6)
    changed = st.builds(mutated, st.sampled_from(target.seeds), changes)
    return changed | st.lists(words, max_size=12).map(b"".join)


def mutated(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """At each place, as many bytes as said give way to the word; none is an insertion, many a cut."""
    for place, length, word in changes:
        at = place % (len(content) + 1)
        cut = 0 if length < 10 else len(word) if length < 36 else length if length < 40 else len(content)
        content = content[:at] + word + content[at + cut :]
    return content


@pytest.mark.parametrize("name", targets.TARGETS)
def test_whatever_comes_is_read_or_refused_in_one_line(name: str, folder: Path) -> None:
    target = targets.TARGETS[name]
    for seed in target.seeds:
        target.run(seed, folder)  # and import what takes long

    @settings(
        max_examples=FEW.get(name, 1000),
        deadline=timedelta(seconds=20),
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
    )
    @given(inputs(target))
    def fuzz(content: bytes) -> None:
        target.run(content, folder)

    fuzz()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_each_target_has_a_seed_that_is_read_to_its_end(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[str] = []

    class Counted:
        def __enter__(self) -> None: ...

        def __exit__(self, kind: Any, error: BaseException | None, _: object) -> bool:
            outcomes.append("" if error is None else str(error))
            return isinstance(error, InputError)

    monkeypatch.setattr(targets, "refusable", Counted)
    for seed in targets.TARGETS[name].seeds:
        targets.TARGETS[name].run(seed, folder)
    assert "" in outcomes


def test_a_find_is_not_let_pass() -> None:
    with pytest.raises(KeyError), targets.refusable():
        raise KeyError("a fault")
    for message in ("", "two\nlines", "x" * (targets.MAX_MESSAGE + 1)):
        with pytest.raises(AssertionError, match="a message of"), targets.refusable():
            raise InputError(message)
