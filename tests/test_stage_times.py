"""The table of where a run's time goes: what is counted as what, and that nothing is counted twice or lost."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import stage_times
import timed_stage
from mt.errors import InputError
from pipeline import ROOT
from stage_times import combined, launcher, table
from timed_stage import LOADERS, Clock
from wholerun import StageClock

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
    subprocess.run(["python", str(tmp_path / "stage.py")], env=env, check=True)
    (line,) = rows.read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert row["imports"] >= 0.3
    assert row["work"] >= 0.3
    assert row["loading"] == 0.0
    assert row["mib"] > 1


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in LOADERS.items() for name in names])
def test_every_loader_is_there(module: str, name: str) -> None:
    code = f"import {module}; {module}.{name}"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / "stages")}, check=True)


ROW = {"script": "stages/a.py", "imports": 2.0, "loading": 1.0, "work": 4.0, "mib": 1500.0}


def test_what_no_process_says_is_dvcs() -> None:
    found = combined({"a": 8.5}, [ROW])
    assert found == {"a": {"imports": 2.0, "loading": 1.0, "work": 4.0, "dvc": 1.5, "all": 8.5, "mib": 1500.0}}


def test_a_stage_without_its_process_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        combined({"a": 8.5, "b": 1.0}, [ROW])


def test_the_last_row_is_the_sum_and_the_most_memory() -> None:
    made = combined({"a": 8.5, "b": 9.5}, [ROW, {**ROW, "mib": 1600.4}])
    assert table(made).split("\n")[-1] == "| all | 4.0 | 2.0 | 8.0 | 4.0 | 18.0 | 1,600 |"


def test_a_run_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise InputError("dvc repro ended with exit code 1")

    monkeypatch.setattr(stage_times, "copy", lambda *_: None)
    monkeypatch.setattr(stage_times, "repro", fail)
    assert stage_times.main(["--out", str(tmp_path / "times.json")]) == 1
    assert capsys.readouterr().err == "error: dvc repro ended with exit code 1\n"
    assert not (tmp_path / "times.json").exists()


def test_each_stage_has_the_row_of_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(tree: Path, env: Mapping[str, str], clock: StageClock, _: Callable[[], None]) -> None:
        for name in ("one", "two"):
            (tmp_path / f"{name}.py").write_text(STAGE.replace("from own import slow", "slow = int"), encoding="utf-8")
            clock.line(f"Running stage '{name}':", time.monotonic())
            subprocess.run(["python", str(tmp_path / f"{name}.py")], env=env, check=True)
        clock.end(time.monotonic())

    monkeypatch.setattr(stage_times, "copy", lambda *_: None)
    monkeypatch.setattr(stage_times, "repro", run)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "stages"))
    found = stage_times.measure(tmp_path)
    assert list(found) == ["one", "two"]
    assert all(one["work"] >= 0.2 and one["dvc"] > -0.1 for one in found.values())
