"""Two experiments of DVC's queue, whose workers are killed again and again."""

import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from clone import Clone
from disturbed import LOOK_SECONDS, ended, rows, translations
from mt.claims import DONE
from mt.files import remove

EXPERIMENTS = ("finetune.seed=2", "lora.rank=8")
"""Run side by side: all before the systems' training is the same work, done by two workers at a time."""

WORKERS = len(EXPERIMENTS)
LEFT = re.compile(r"\.cache/(?:checkpoints|progress)/.* stays$")
"""What may stay: work that a kill cut off and that the other worker had then finished."""
PATIENCE_SECONDS = 3600
GRACE_SECONDS = 60
"""For workers that SIGTERM lets end in their own time."""


def disturb_queue(
    clone: Clone, expected: Mapping[str, Mapping[str, str]], moments: Sequence[float], number: signal.Signals
) -> list[str]:
    """Kill the workers at each of the moments, forget the queue, and begin it again; what is amiss."""
    faults, known, steps = [], translations(clone), dict[str, int]()
    for count, seconds in enumerate(moments, start=1):
        begin(clone)
        most = watch(clone, seconds, steps)
        kill_all(clone, number)
        now, left = translations(clone), newest(clone)
        faults += [f"{len(known - now)} translations are gone from the memory"] if known - now else []
        faults += [f"the memory showed {most} rows, and {len(now)} are left"] if most > len(now) else []
        faults += [f"a checkpoint after step {step} is gone" for key, step in steps.items() if left.get(key, 0) < step]
        print(f"{count}: {seconds:.1f} s, {len(now)} rows in the memory, checkpoints after {left.values()}", flush=True)
        known = now
        remove(clone.folder / ".dvc/tmp/exps")  # DVC takes what died for running
    begin(clone)
    wait(clone)
    for experiment in EXPERIMENTS:
        clone.call("git", "reset", "--quiet", "--hard")
        clone.dvc("exp", "apply", name(experiment))
        amiss = [fault for fault in ended(clone, expected[experiment]) if not LEFT.match(fault)]
        faults += [f"{experiment}: {fault}" for fault in amiss]
    return faults


def watch(clone: Clone, seconds: float, steps: dict[str, int]) -> int:
    """Look on for so long; the most rows that the memory showed.

    Args:
        clone: in which the workers run.
        seconds: how long.
        steps: of the trainings that have not ended, the newest checkpoint by the name of its folder; brought up to
            date here.
    """
    most, until = rows(clone), time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, rows(clone))
        steps |= {key: max(step, steps.get(key, 0)) for key, step in newest(clone).items()}
        for mark in clone.folder.glob(f".cache/checkpoints/*/{DONE}"):
            steps.pop(mark.parent.name, None)
        time.sleep(LOOK_SECONDS)
    return most


def newest(clone: Clone) -> dict[str, int]:
    """The step of each training's newest checkpoint, by the name of its folder."""
    found: dict[str, int] = {}
    for path in clone.folder.glob(".cache/checkpoints/*/step-*"):
        found[path.parent.name] = max(found.get(path.parent.name, 0), int(path.name.removeprefix("step-")))
    return found


def begin(clone: Clone) -> None:
    """Queue the experiments that have no result yet, and start the workers."""
    done = clone.dvc("exp", "list", "--name-only").split()
    for experiment in [one for one in EXPERIMENTS if name(one) not in done]:
        clone.dvc("exp", "run", "--queue", "--name", name(experiment), "-S", experiment)
    clone.dvc("queue", "start", "--jobs", str(WORKERS))


def name(experiment: str) -> str:
    """What an experiment is called."""
    return experiment.replace(".", "-").replace("=", "-")


def wait(clone: Clone) -> None:
    """Return once every experiment is done and the workers have gone, as they do when the queue is empty."""
    until = time.monotonic() + PATIENCE_SECONDS
    while processes(clone):
        if time.monotonic() > until:
            kill_all(clone, signal.SIGKILL)
            raise RuntimeError("the queue is not done")
        time.sleep(1)


def kill_all(clone: Clone, number: signal.Signals) -> None:
    """Kill the workers and all that they started."""
    for process in processes(clone):
        with suppress(ProcessLookupError):
            os.kill(process, number)
    until = time.monotonic() + GRACE_SECONDS
    while left := processes(clone):
        if time.monotonic() > until:
            raise RuntimeError(f"{number.name} did not end {left}")
        time.sleep(0.1)


def processes(clone: Clone) -> list[int]:
    """The processes that run in the clone's name; workers leave the process group that started them."""
    mark = f"DVC_SITE_CACHE_DIR={clone.variables()['DVC_SITE_CACHE_DIR']}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
