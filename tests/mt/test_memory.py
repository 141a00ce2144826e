"""mt.memory: what is kept is found, by one process or many, and nothing of it depends on a run's end."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.errors import InputError
from mt.memory import Memory, Translation, origins, prune
from pipeline import ROOT

FACTS = {"model": {"revision": "base:0123"}, "decoding": {"strategy": "greedy", "beams": 1}}
WRITER = """
import sys
from pathlib import Path
from mt.memory import Memory, Translation

path, name, batches, until = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
memory = Memory(path, {"model": 1})
for batch in range(batches):
    asked = [f"{name} {batch} {row}" for row in range(50)]
    texts = [*asked, "one text"]
    memory.keep([*asked, f"shared {batch}"], [Translation(text, len(text) % 2 == 1) for text in texts])
    print(batch, flush=True)
if until == "killed":
    import time
    memory._database.execute("BEGIN IMMEDIATE")
    memory._database.execute("INSERT INTO translations VALUES (1, x'00', 'half', 0)")
    print("writing", flush=True)
    time.sleep(60)
"""


def keep(memory: Memory, asked: Sequence[str], texts: Sequence[str]) -> None:
    """Keep texts, of which those of an odd length were cut."""
    memory.keep(asked, [Translation(text, len(text) % 2 == 1) for text in texts])


def find(memory: Memory, asked: Sequence[str]) -> list[str | None]:
    """The texts that are found, once it is seen that they are as they were kept."""
    found = memory.find(asked)
    assert all(one is None or one.cut is (len(one.text) % 2 == 1) for one in found)
    return [None if one is None else one.text for one in found]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".cache" / "translations.sqlite"


def writer(path: Path, name: str, batches: int, until: str = "end") -> subprocess.Popen[str]:
    """A process that keeps batches of 51 translations."""
    words = [sys.executable, "-c", WRITER, str(path), name, str(batches), until]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "stages")}
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)


def test_what_is_kept_is_found_and_nothing_else(path):
    with closing(Memory(path, FACTS)) as memory:
        assert find(memory, ["a", "b"]) == [None, None]
        keep(memory, ["a", "c", ""], ["A", "C", ""])
        assert find(memory, ["a", "b", "c", "a", ""]) == ["A", None, "C", "A", ""]
    with closing(Memory(path, FACTS)) as memory:
        assert find(memory, ["c"]) == ["C"]


@given(st.dictionaries(st.text(), st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=20))
def test_any_text_comes_back_as_it_was(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("memory") / "translations.sqlite"
    with closing(Memory(path, FACTS)) as memory:
        keep(memory, list(pairs), list(pairs.values()))
        assert find(memory, list(pairs)) == list(pairs.values())


def test_facts_part_translations(path):
    with closing(Memory(path, FACTS)) as one, closing(Memory(path, {**FACTS, "seed": 2})) as other:
        keep(one, ["a"], ["A"])
        assert find(other, ["a"]) == [None]
        keep(other, ["a"], ["B"])
        assert (find(one, ["a"]), find(other, ["a"])) == (["A"], ["B"])


def test_the_first_translation_stays(path):
    with closing(Memory(path, FACTS)) as memory:
        keep(memory, ["a"], ["first"])
        keep(memory, ["a", "b"], ["second", "B"])
        assert find(memory, ["a", "b"]) == ["first", "B"]


def test_as_many_texts_as_were_asked_for(path):
    with closing(Memory(path, FACTS)) as memory:
        with pytest.raises(ValueError, match="zip"):
            keep(memory, ["a", "b"], ["A"])
        assert find(memory, ["a"]) == [None]


def test_many_are_looked_up_at_once(path):
    asked = [str(i) for i in range(5000)]
    with closing(Memory(path, FACTS)) as memory:
        keep(memory, asked, asked)
        assert find(memory, asked[::-1]) == asked[::-1]


OPENER = """
import sys
from pathlib import Path
from mt.memory import Memory

print("ready", flush=True)
for path in sys.stdin.readline().split():
    Memory(Path(path), {"model": 1}).close()
"""


def test_processes_that_open_a_new_memory_at_a_time(tmp_path):
    paths = " ".join(str(tmp_path / str(i) / "translations.sqlite") for i in range(150)) + "\n"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "stages")}
    words = [sys.executable, "-c", OPENER]
    pipe = subprocess.PIPE
    three = [subprocess.Popen(words, env=env, text=True, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(3)]
    for process in three:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in three:
        assert process.stdin
        process.stdin.write(paths)
        process.stdin.flush()
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in three] == [("", 0)] * 3


def test_what_is_pruned_while_it_is_used_is_used_on(path):
    with closing(Memory(path, FACTS)) as memory:
        keep(memory, ["a"], ["A"])
        assert prune(path, 0) == 1
        assert find(memory, ["a"]) == [None]
        keep(memory, ["b"], ["B"])
    with closing(Memory(path, FACTS)) as memory:
        assert find(memory, ["a", "b"]) == [None, "B"]


def test_keeping_is_using(path, monkeypatch):
    with closing(Memory(path, FACTS)) as memory:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE origins SET used = '2020-01-01T00:00:00+00:00'")
        keep(memory, ["a"], ["A"])
        assert prune(path, 1) == 0


def test_two_processes_write_at_a_time(path):
    both = [writer(path, name, 40) for name in ("one", "two")]
    assert [process.wait(60) for process in both] == [0, 0]
    with closing(Memory(path, {"model": 1})) as memory:
        asked = [f"{name} {batch} {row}" for name in ("one", "two") for batch in range(40) for row in range(50)]
        assert find(memory, asked) == asked
        assert find(memory, ["shared 0", "shared 39"]) == ["one text"] * 2
    (origin,) = origins(path)
    assert origin.entries == len(asked) + 40


def test_a_killed_process_leaves_its_whole_batches_and_no_lock(path):
    process = writer(path, "one", 3, "killed")
    assert process.stdout
    while process.stdout.readline() != "writing\n":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    with closing(Memory(path, {"model": 1})) as memory:
        assert None not in find(memory, [f"one {batch} {row}" for batch in range(3) for row in range(50)])
        keep(memory, ["x"], ["X"])
    (origin,) = origins(path)
    assert origin.entries == 3 * 51 + 1


def test_a_lookup_takes_less_than_a_millisecond_at_a_million_rows(path):
    with closing(Memory(path, FACTS)) as memory:
        for start in range(0, 1_000_000, 100_000):
            asked = [str(i) for i in range(start, start + 100_000)]
            keep(memory, asked, ["私は東京に住んでいます。"] * len(asked))
    with closing(Memory(path, FACTS)) as memory:
        asked = [str(i * 7919 % 1_000_000) for i in range(2000)]
        began = time.perf_counter()
        assert None not in find(memory, asked)
        assert (time.perf_counter() - began) / len(asked) < 0.001


@pytest.mark.parametrize("content", [b"not a database at all, but long enough", b"SQLite format 3\0" + b"\xff" * 4096])
def test_what_is_no_memory_is_named(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}: .* remove the file"):
        Memory(path, FACTS)


def test_another_database_is_named(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE translations (other TEXT)")
    with pytest.raises(InputError, match="remove the file"), closing(Memory(path, FACTS)) as memory:
        find(memory, ["a"])


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / ".cache").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Memory(tmp_path / ".cache" / "translations.sqlite", FACTS)


@pytest.mark.parametrize("name", ["translations.sqlite-journal", "translations.sqlite-wal"])
def test_what_waiting_does_not_mend_is_told_at_once(path, name):
    with closing(Memory(path, FACTS)):
        pass
    if name.endswith("journal"):
        path.write_bytes(b"")
    path.with_name(name).mkdir()
    began = time.monotonic()
    with pytest.raises(InputError, match=f"{path}: .*; where the disk is full or locked mend that"):
        Memory(path, FACTS)
    assert time.monotonic() - began < 10


def test_origins_tell_what_there_is(path):
    assert origins(path) == []
    with closing(Memory(path, FACTS)) as memory:
        keep(memory, ["a", "b"], ["ああ", "い"])
    with closing(Memory(path, {"model": 2})):
        pass
    first, second = origins(path)
    assert (first.facts, first.entries, first.characters) == (FACTS, 2, 3)
    assert (second.facts, second.entries, second.characters) == ({"model": 2}, 0, 0)
    assert first.used < second.used
    with closing(Memory(path, FACTS)):
        pass
    assert [origin.facts for origin in origins(path)] == [{"model": 2}, FACTS]


def test_pruning_forgets_what_was_not_used(path):
    assert prune(path, 0) == 0
    with closing(Memory(path, FACTS)) as memory:
        keep(memory, ["a", "b"], ["A", "B"])
    with closing(Memory(path, {"model": 2})) as memory:
        keep(memory, ["a"], ["A"])
    assert prune(path, 1) == 0
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE origins SET used = '2020-01-01T00:00:00+00:00' WHERE id = 1")
    assert prune(path, 1) == 2
    assert [origin.facts for origin in origins(path)] == [{"model": 2}]
    with closing(Memory(path, FACTS)) as memory:
        assert find(memory, ["a"]) == [None]
        keep(memory, ["a"], ["new"])
    with closing(Memory(path, {"model": 2})) as memory:
        assert find(memory, ["a"]) == ["A"]
