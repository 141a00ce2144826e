"""A preset's whole pipeline through `dvc repro`, in a copy of the tree: seconds of each stage, and the scores."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import read_json, write_text
from mt.params import read_tree
from overrides import apply, differences, rewrite
from record import Record

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    ".dvc/config",
    ".dvcignore",
    "dvc.yaml",
    "params.yaml",
    "presets",
    "stages",
    "tools",
    "data/none",
    "data/testsets",
    "models/adapters/baseline",
)
LAST_LINES = 20
RUNNING = re.compile(r"Running stage '([^']+)':$")


class StageClock:
    """Seconds of each stage, told the lines that `dvc repro` prints.

    A stage lasts from its line to the next one's, or to the end, so that DVC's work on what it has made is in it.

    Args:
        before: what is known already, such as from a run that was cut off.
    """

    def __init__(self, before: Mapping[str, float]) -> None:
        self.seconds = dict(before)
        self.running: str | None = None
        self._since = 0.0

    def line(self, text: str, now: float) -> bool:
        """Take one line at a time; True where a stage begins."""
        found = RUNNING.search(text.rstrip())
        if found:
            self.end(now)
            self.running, self._since = found[1], now
        return found is not None

    def end(self, now: float) -> None:
        """The stage that is running has ended."""
        if self.running:
            self.seconds[self.running] = round(now - self._since, 1)
        self.running = None


def measure(preset: str, overrides: Mapping[str, Any], work: Path, cache: Path | None, record: Record) -> None:
    """Run a preset, with other values for some keys, and record its stages' seconds as they end, then its scores.

    Where an earlier call was cut off in the same `work`, the stages that had ended are not run again, and keep the
    seconds that they took.

    Raises:
        InputError: `dvc repro` failed, or `check` or `copy` refuses.
    """
    check(preset, overrides, work)
    tree = work / preset
    known = record.figures(preset) if tree.exists() else {}
    before = known.get("stages", {}).get("seconds", {})
    copy(tree, preset, overrides)
    record.add(preset, {"set": dict(overrides), "scores": known.get("scores", {})})
    clock = StageClock(before)
    repro(tree, environment(work, cache, Path(sys.executable).parent), clock, lambda: put(preset, clock, record))
    record.add(preset, {"scores": scores(tree / "data/scores")})


def check(preset: str, overrides: Mapping[str, Any], work: Path | None) -> None:
    """Hold the overrides to the preset's keys, and what lies in `work` to both.

    Raises:
        InputError: a key is unknown, or the tree there was made with other values.
    """
    file = Path("presets") / f"{preset}.yaml"
    wanted = read_tree(ROOT / file)
    apply(wanted, overrides, file)
    if work is None or not (tree := work / preset).exists():
        return
    if keys := list(differences(read_tree(tree / "params.yaml"), wanted)):
        mend = "give the same --set as then, or another --work"
        raise InputError(f"{tree}: was made with other values of {', '.join(keys)}; {mend}")


def copy(tree: Path, preset: str, overrides: Mapping[str, Any]) -> None:
    """Copy to `tree` what the pipeline reads, params.yaml from `preset` and `overrides`, if it is not there yet.

    Raises:
        InputError: a stage does not take a value of `overrides`.
    """
    if tree.exists():
        return
    partial = tree.with_name(f".{tree.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name in COPIED:
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, partial / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, partial / name)
    # No git, wherever the copy lies: DVC would put dvc.lock into the index of a repository around it.
    write_text(partial / ".dvc/config.local", "[core]\n    no_scm = true\n    autostage = false\n")
    preset_tool(partial, "use", preset)
    if overrides:
        rewrite(partial / "params.yaml", overrides)
        preset_tool(partial, "check")
    partial.rename(tree)


def preset_tool(tree: Path, *words: str) -> None:
    """Run tools/preset.py in a tree.

    Raises:
        InputError: it refuses.
    """
    own = {"PYTHONPATH": "stages", "DVC_SITE_CACHE_DIR": str(tree.parent / "site")}
    command = [sys.executable, "tools/preset.py", *words]
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, **own}, stderr=subprocess.PIPE, encoding="utf-8", check=False
    )
    if done.returncode:
        raise InputError(done.stderr.strip().split("\n")[-1].removeprefix("error: "))


def environment(work: Path, cache: Path | None, programs: Path) -> dict[str, str]:
    """What DVC and the stages find: the programs beside this Python, and nothing of the user's other repositories."""
    own = {"DVC_SITE_CACHE_DIR": str(work / "site"), **({"XDG_CACHE_HOME": str(cache.resolve())} if cache else {})}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**{name: value for name, value in os.environ.items() if name != "DVC_ROOT"}, **own, "PATH": path}


def repro(tree: Path, env: Mapping[str, str], clock: StageClock, changed: Callable[[], None]) -> None:
    """Run `dvc repro`; `changed` is called as each stage begins, and at the end.

    Raises:
        InputError: it failed; with its last lines.
    """

    def line(text: str) -> None:
        if clock.line(text, time.monotonic()):
            print(text, flush=True)
            changed()

    code, last = follow(["dvc", "repro"], tree, env, line)
    if code == 0:
        clock.end(time.monotonic())
    changed()
    if code:
        raise InputError("\n".join([f"dvc repro ended with exit code {code}; its last lines:", *last]))


def follow(
    command: Sequence[str], tree: Path, env: Mapping[str, str], line: Callable[[str], None]
) -> tuple[int, list[str]]:
    """Run a command to its end, and pass on each line as it comes; its exit code, and its last lines."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command, cwd=tree, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    ) as process:
        for text in process.stdout or ():
            last.append(text.rstrip())
            line(last[-1])
    return process.returncode, list(last)


def put(preset: str, clock: StageClock, record: Record) -> None:
    """Record what is known of the stages."""
    stages = {
        "what": "wall time of each stage of `dvc repro` in a fresh copy of the tree with nothing cached but the "
        "archives, from the line that says that it runs to the next one's: DVC's work on its outs is in it",
        "seconds": clock.seconds,
        "total_seconds": round(sum(clock.seconds.values()), 1),
        "running": clock.running,
    }
    record.add(preset, {"stages": stages})


def scores(folder: Path) -> dict[str, Any]:
    """Test set → its file in data/scores, with intervals, paired tests and signatures; without the segments' scores."""
    found = {}
    for file in sorted(folder.glob("*.json")):
        tree = read_json(file)
        found[file.stem] = {key: value for key, value in tree.items() if key != "segment_scores"}
    return found
