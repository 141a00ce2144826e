"""tools/repro.py: which stages it takes, in what order, and what it does with DVC on a pipeline of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from disturbed import lives
from launch import wait_until
from mt.errors import InputError
from pipeline import PARAMS, ROOT, module

repro = module("tools/repro.py")

DIAMOND = {"corpora": set(), "train": {"corpora"}, "tune": {"corpora"}, "report": {"train", "tune"}, "model": set()}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([], {}),
        (["report"], {"report": set()}),
        (["train"], {"train": set(), "report": {"train"}}),
        (["corpora"], {name: before for name, before in DIAMOND.items() if name != "model"}),
        (["report", "tune"], {"tune": set(), "report": {"tune"}}),
    ],
)
def test_what_is_out_of_date(changed: list[str], expected: dict[str, set[str]]) -> None:
    assert repro.reached(changed, DIAMOND) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train"], {"train", "corpora"}),
        (["report"], set(DIAMOND) - {"model"}),
        (["model", "corpora"], {"model", "corpora"}),
    ],
)
def test_what_is_needed(names: list[str], expected: set[str]) -> None:
    assert repro.needed(names, DIAMOND) == {name: DIAMOND[name] for name in DIAMOND if name in expected}


def test_the_longest_chain_goes_first_and_of_equals_the_later() -> None:
    urgency = repro.urgency(DIAMOND)
    assert sorted(DIAMOND, key=urgency.__getitem__) == ["corpora", "tune", "train", "model", "report"]


class Runner:
    """Runs nothing; some stages fail, some wait until all of them have begun, and some until another one has ended."""

    def __init__(
        self, fail: Collection[str] = (), together: Collection[str] = (), behind: Mapping[str, str] | None = None
    ) -> None:
        self.begun: list[str] = []
        self.most = 0
        self._now = 0
        self._fail, self._together, self._behind = fail, together, behind or {}
        self._ended: dict[str, threading.Event] = defaultdict(threading.Event)
        self._barrier = threading.Barrier(max(1, len(together)))
        self._lock = threading.Lock()

    def run(self, name: str) -> bool:
        with self._lock:
            self.begun.append(name)
            self._now += 1
            self.most = max(self.most, self._now)
        if name in self._together:
            self._barrier.wait(timeout=60)
        if name in self._behind:
            assert self._ended[self._behind[name]].wait(timeout=60)
        with self._lock:
            self._now -= 1
        self._ended[name].set()
        return name not in self._fail


def test_two_that_do_not_wait_for_each_other_run_at_a_time() -> None:
    runner = Runner(together={"train", "tune"})
    repro.rebuild(DIAMOND, 2, runner)
    assert runner.begun[-1] == "report"
    assert sorted(runner.begun) == sorted(DIAMOND)


def test_what_follows_does_not_wait_for_what_runs_beside() -> None:
    runner = Runner(behind={"slow": "after"})
    repro.rebuild({"slow": set(), "quick": set(), "after": {"quick"}}, 2, runner)
    assert sorted(runner.begun) == ["after", "quick", "slow"]


WIDE: dict[str, set[str]] = {str(number): set() for number in range(12)}


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_no_more_run_at_a_time_than_jobs(jobs: int) -> None:
    runner = Runner(together=[*WIDE][-jobs:])
    repro.rebuild(WIDE, jobs, runner)
    assert sorted(runner.begun) == sorted(WIDE)
    assert runner.most == jobs


def test_after_a_failure_what_runs_ends_and_nothing_begins() -> None:
    runner = Runner(fail={"11"}, together={"10", "11"})
    with pytest.raises(InputError, match=r"^failed: 11; see above"):
        repro.rebuild(WIDE, 2, runner)
    assert {"10", "11"} <= set(runner.begun)
    assert len(runner.begun) < len(WIDE)  # where 10 is seen to have ended before 11, another one has begun


PIPELINE = """
stages:
  one:
    cmd: {python} meet.py one two
    deps: [meet.py]
    outs: [one]
  two:
    cmd: {python} meet.py two one
    deps: [meet.py]
    outs: [two]
  three:
    cmd: {python} three.py
    deps: [one, two, three.py]
    outs: [three]
"""
MEET = """
import sys, time
from pathlib import Path
own, other = map(Path, sys.argv[1:])
own.write_text(own.name)
sys.stderr.write("0%\\r50%\\r100%\\n")
end = time.monotonic() + SECONDS
while not other.exists() and time.monotonic() < end:
    time.sleep(0.01)
print("met" if other.exists() else "waited in vain", flush=True)
"""
THREE = "from pathlib import Path\nPath('three').write_text(Path('one').read_text() + Path('two').read_text())\n"


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A repository with a pipeline of which two stages wait for each other, for 60 seconds at the most."""
    text = (ROOT / "presets/embedded.yaml").read_text(encoding="utf-8")
    (tmp_path / PARAMS).write_text(text, encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(PIPELINE.format(python=sys.executable), encoding="utf-8")
    (tmp_path / "meet.py").write_text(MEET.replace("SECONDS", "60"), encoding="utf-8")
    (tmp_path / "three.py").write_text(THREE, encoding="utf-8")
    for words in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(words, cwd=tmp_path, env=variables(), check=True)
    return tmp_path


def variables() -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name != "DVC_ROOT"},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "stages"),
    }


def start(pipeline: Path, ignored: Collection[signal.Signals] = ()) -> subprocess.Popen[str]:
    """Start it with these signals ignored, as by nohup or a shell's background, and no others, however tests run."""

    def dispose() -> None:
        for number in (signal.SIGINT, *repro.STOPPING):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, str(ROOT / "tools/repro.py")],
        preexec_fn=dispose,
        cwd=pipeline,
        env=variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def call(pipeline: Path) -> tuple[int, list[str]]:
    """The exit status and the lines printed."""
    process = start(pipeline)
    lines = process.communicate()[0].rstrip("\n").split("\n")
    return process.returncode, lines


def test_dvc_runs_them_at_a_time_and_then_finds_nothing_to_do(pipeline: Path) -> None:
    status, lines = call(pipeline)
    assert status == 0, lines
    assert {"one | met", "two | met", "one | 100%", "two | 100%"} <= set(lines)
    assert [line for line in lines if not re.match(r"(one|two|three) \| .*\S", line)] == []
    assert re.fullmatch(r"three \| done, \d+\.\d s", lines[-1])
    assert (pipeline / "three").read_text() == "onetwo"
    assert call(pipeline) == (0, [repro.UP_TO_DATE])
    assert (
        "up to date"
        in subprocess.run(
            [sys.executable, "-m", "dvc", "repro"], cwd=pipeline, env=variables(), capture_output=True, text=True
        ).stdout
    )


def test_only_what_follows_from_a_change_runs(pipeline: Path) -> None:
    assert call(pipeline)[0] == 0
    (pipeline / "three.py").write_text(f"{THREE}print('anew')\n", encoding="utf-8")
    status, lines = call(pipeline)
    assert status == 0
    assert "three | anew" in lines
    assert all(line.startswith("three | ") for line in lines)


def test_a_stage_that_fails_is_named_and_the_other_is_kept(pipeline: Path) -> None:
    text = (pipeline / "dvc.yaml").read_text(encoding="utf-8")
    (pipeline / "dvc.yaml").write_text(text.replace("meet.py one two", "nothing.py"), encoding="utf-8")
    (pipeline / "meet.py").write_text(MEET.replace("SECONDS", "1"), encoding="utf-8")
    status, lines = call(pipeline)
    assert status == 1
    assert lines[-1] == "error: failed: one; see above, mend it, and run again: what is done is kept"
    assert any(re.fullmatch(r"one \| failed, \d+\.\d s", line) for line in lines)
    assert any(line.startswith("one | ERROR: failed to reproduce 'one'") for line in lines), lines
    (pipeline / "dvc.yaml").write_text(text, encoding="utf-8")
    status, lines = call(pipeline)
    assert status == 0
    assert not any(line.startswith("two | Running") for line in lines)


@pytest.fixture
def going_on(pipeline: Path) -> Path:
    """The pipeline with stages that go on for a minute, and write their process into what they make."""
    text = MEET.replace("not other.exists() and ", "").replace("own.name", "str(os.getpid())").replace("SECONDS", "60")
    (pipeline / "meet.py").write_text(f"import os\n{text}", encoding="utf-8")
    return pipeline


def begun(pipeline: Path) -> list[int]:
    """The processes of both stages."""
    files = [pipeline / "one", pipeline / "two"]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), 60)
    stages = [int(file.read_text()) for file in files]
    assert all(map(lives, stages))
    return stages


def stopped(process: subprocess.Popen[str], stages: list[int], number: signal.Signals) -> None:
    """Send a signal, and see it and its stages end."""
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert not any(map(lives, stages))


def unmoved(process: subprocess.Popen[str], stages: list[int], number: signal.Signals) -> None:
    """Send a signal, and see it and its stages go on."""
    process.send_signal(number)
    time.sleep(1)
    assert process.poll() is None
    assert all(map(lives, stages))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_what_stops_it_stops_the_stages(number: signal.Signals, going_on: Path) -> None:
    process = start(going_on)
    stopped(process, begun(going_on), number)


def test_it_stops_them_where_a_shell_in_the_background_ignores_interrupts(going_on: Path) -> None:
    process = start(going_on, [signal.SIGINT, signal.SIGQUIT])
    stopped(process, begun(going_on), signal.SIGTERM)


def test_under_nohup_a_terminal_that_closes_stops_nothing(going_on: Path) -> None:
    process = start(going_on, [signal.SIGHUP])
    stages = begun(going_on)
    unmoved(process, stages, signal.SIGHUP)
    stopped(process, stages, signal.SIGTERM)


TWICE = """import os, signal
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(1) if not asked else os._exit(1))
"""


def test_whoever_asks_again_asks_the_stages_again(going_on: Path) -> None:
    text = (going_on / "meet.py").read_text(encoding="utf-8")
    (going_on / "meet.py").write_text(f"{TWICE}{text}", encoding="utf-8")
    process = start(going_on)
    stages = begun(going_on)
    unmoved(process, stages, signal.SIGINT)
    stopped(process, stages, signal.SIGINT)


def test_where_nobody_reads_on_it_stops(going_on: Path) -> None:
    process = start(going_on)
    stages = begun(going_on)
    assert process.stdout
    process.stdout.close()
    os.kill(stages[0], signal.SIGTERM)  # its DVC then says that it failed, which cannot be printed
    assert process.wait(timeout=30) == 1
    assert not any(map(lives, stages))


def test_a_pipeline_in_a_folder_below_is_left_alone(pipeline: Path) -> None:
    (pipeline / "below").mkdir()
    text = f"stages:\n  four:\n    cmd: {sys.executable} nothing.py\n    outs: [four]\n"
    (pipeline / "below/dvc.yaml").write_text(text, encoding="utf-8")
    status, lines = call(pipeline)
    assert status == 0, lines


def test_one_at_a_time_is_plain_dvc(pipeline: Path) -> None:
    text = (pipeline / PARAMS).read_text(encoding="utf-8")
    (pipeline / PARAMS).write_text(text.replace("\njobs: 2 ", "\njobs: 1 "), encoding="utf-8")
    (pipeline / "meet.py").write_text(MEET.replace("SECONDS", "0"), encoding="utf-8")
    status, lines = call(pipeline)
    assert status == 0
    assert [line for line in lines if line.startswith("Running stage")] == [
        f"Running stage '{name}':" for name in ("one", "two", "three")
    ]


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5", "null"])
def test_jobs_is_a_number_from_one(jobs: str, pipeline: Path) -> None:
    text = (pipeline / PARAMS).read_text(encoding="utf-8")
    (pipeline / PARAMS).write_text(text.replace("\njobs: 2 ", f"\njobs: {jobs} "), encoding="utf-8")
    status, lines = call(pipeline)
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith("error: params.yaml: jobs")


def test_what_dvc_cannot_read_is_one_line(pipeline: Path) -> None:
    (pipeline / "dvc.lock").write_text("stages: [", encoding="utf-8")
    status, lines = call(pipeline)
    assert status == 1
    assert len(lines) == 1
    assert re.match(r"error: .*dvc\.lock", lines[0])
