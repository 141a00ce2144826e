"""The table of where a run's time goes: what is counted as what, and that nothing is counted twice or lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stage_times
import timed_stage
from mt.errors import InputError
from pipeline import ROOT
from stage_times import combined, launcher, table
from timed_stage import LOADERS, Clock

STAGE = '''"""A stage."""

import time

from own import slow


def run() -> None:
    slow()
    time.sleep(0.2)


if __name__ == "__main__":
    run()
'''
OWN = """import time

time.sleep(0.3)


def slow() -> None:
    time.sleep(0.1)
"""


def test_a_kind_inside_another_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 3.0, 7.0, 15.0, 31.0])
    monkeypatch.setattr(timed_stage.time, "perf_counter", lambda: next(now))
    clock = Clock()
    inner = clock.counted("imports", lambda: None)
    clock.counted("loading", inner)()
    assert clock.end() == {"work": 1 + 16, "loading": 2 + 8, "imports": 4}


def test_time_is_counted_where_a_function_raises() -> None:
    clock = Clock()
    with pytest.raises(ZeroDivisionError):
        clock.counted("loading", lambda: 1 / 0)()
    assert clock.end()["loading"] > 0


def test_a_stage_says_where_its_time_went(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(STAGE, encoding="utf-8")
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    rows = tmp_path / "rows.jsonl"
    folder = launcher(tmp_path / "bin", rows)
    env = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "stages")}
    env["DVC_STAGE"] = "a@b"
    subprocess.run(["python", str(tmp_path / "stage.py")], env=env, check=True)
    (line,) = rows.read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert row["stage"] == "a@b"
    assert row["imports"] >= 0.3
    assert row["work"] >= 0.3
    assert row["loading"] == 0.0
    assert row["mib"] > 1


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in LOADERS.items() for name in names])
def test_every_loader_is_there(module: str, name: str) -> None:
    code = f"import {module}; {module}.{name}"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / "stages")}, check=True)


ROW = {"stage": "a", "imports": 2.0, "loading": 1.0, "work": 4.0, "mib": 1500.0}


def test_what_no_process_says_is_dvcs() -> None:
    found = combined({"a": 8.5}, [ROW])
    assert found == {"a": {"imports": 2.0, "loading": 1.0, "work": 4.0, "dvc": 1.5, "all": 8.5, "mib": 1500.0}}


def test_a_stage_without_its_process_is_an_error() -> None:
    with pytest.raises(KeyError, match="b"):
        combined({"a": 8.5, "b": 1.0}, [ROW])


def test_the_last_row_is_the_sum_and_the_most_memory() -> None:
    made = combined({"a": 8.5, "b": 9.5}, [{**ROW, "stage": "b", "mib": 1600.4}, ROW])
    assert table(made).split("\n")[-1] == "| all | 4.0 | 2.0 | 8.0 | 4.0 | 18.0 | 1,600 |"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for the copy of the tree: its tools/repro.py, to be written, runs what stands for its stages."""
    folder = tmp_path / "embedded"
    (folder / "tools").mkdir(parents=True)
    monkeypatch.setattr(stage_times, "copy", lambda *_: None)
    monkeypatch.setattr(stage_times, "preset_tool", lambda *_: None)
    return folder


def test_a_run_that_fails_is_told(tree: Path) -> None:
    (tree / "tools/repro.py").write_text("print('what it said'); raise SystemExit(3)", encoding="utf-8")
    with pytest.raises(InputError, match=r"^tools/repro\.py ended with 3; its last lines:\nwhat it said$"):
        stage_times.measure(tree.parent)


def test_a_failure_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Path) -> None:
        raise InputError("tools/repro.py ended with 1")

    monkeypatch.setattr(stage_times, "measure", fail)
    assert stage_times.main(["--out", str(tmp_path / "times.json")]) == 1
    assert capsys.readouterr().err == "error: tools/repro.py ended with 1\n"
    assert not (tmp_path / "times.json").exists()


REPRO = """
import os, subprocess, time
running = {}
for name in ("one", "two"):
    own = {**os.environ, "PYTHONPATH": LIBRARY, "DVC_STAGE": name}
    running[name] = time.monotonic(), subprocess.Popen(["python", f"{name}.py"], env=own)
for name, (start, process) in reversed(running.items()):
    assert process.wait() == 0
    print(f"{name} | done, {time.monotonic() - start:.1f} s")
"""


def test_each_stage_has_the_row_of_its_process(tree: Path) -> None:
    for name in ("one", "two"):
        (tree / f"{name}.py").write_text(STAGE.replace("from own import slow", "slow = int"), encoding="utf-8")
    text = REPRO.replace("LIBRARY", repr(str(ROOT / "stages")))
    (tree / "tools/repro.py").write_text(text, encoding="utf-8")
    whole, found = stage_times.measure(tree.parent)
    assert list(found) == ["two", "one"]
    assert all(one["work"] >= 0.2 and one["dvc"] > -0.1 for one in found.values())
    assert whole < sum(one["all"] for one in found.values())
