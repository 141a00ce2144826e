"""Rebuilds what is out of date, `jobs` stages at a time: each by DVC, as soon as those that it depends on are done.

`dvc repro` runs one stage after another; several of its processes in one repository keep apart by locks of DVC's own
(https://dvc.org/doc/command-reference/repro, "Parallel stage execution"). Where `jobs` is 1, this is `dvc repro`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from io import TextIOWrapper
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import Any, NoReturn, cast

from mt.errors import InputError
from mt.params import load

PARAMS = Path("params.yaml")
PIPELINE = "dvc.yaml"
COMMAND = ("dvc", "--wait-for-lock", "repro", "--single-item")
UP_TO_DATE = "Data and pipelines are up to date."
STOPPING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

Graph = Mapping[str, Collection[str]]
"""Stage → those that it depends on, in the order of dvc.yaml."""


@dataclass(frozen=True)
class Params:
    """How many stages run at a time."""

    jobs: int

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError("jobs must be at least 1")


def out_of_date() -> dict[str, set[str]]:
    """The graph of the stages of dvc.yaml, and of what they depend on, that have changed or depend on one that has.

    Raises:
        InputError: DVC cannot tell.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            names = {stage: stage.addressing for stage in repo.index.stages}
            graph = {name: {names[one] for one in repo.index.graph.successors(stage)} for stage, name in names.items()}
            own = [name for stage, name in names.items() if stage.path_in_repo == PIPELINE]
            return reached(repo.status(), needed(own, graph))
    except DvcException as error:
        raise InputError(" ".join(str(error).split())) from error


def needed(names: Iterable[str], graph: Graph) -> dict[str, Collection[str]]:
    """The part of a graph that holds so many of its stages, and what they depend on."""
    wanted = set(names)
    for name in reversed([*TopologicalSorter(graph).static_order()]):
        if name in wanted:
            wanted.update(graph[name])
    return {name: before for name, before in graph.items() if name in wanted}


def reached(changed: Iterable[str], graph: Graph) -> dict[str, set[str]]:
    """The part of a graph that has changed, or depends on what has; what it depends on besides is left out."""
    stale = set(changed)
    for name in TopologicalSorter(graph).static_order():
        if stale.intersection(graph[name]):
            stale.add(name)
    return {name: stale.intersection(before) for name, before in graph.items() if name in stale}


def urgency(graph: Graph) -> dict[str, tuple[int, int]]:
    """Stage → a number that is smaller the longer the chain of stages that wait for it.

    Of equals the later in dvc.yaml goes first, as the systems that learn from most stand last.
    """
    waiting = dict.fromkeys(graph, 0)
    for name in reversed([*TopologicalSorter(graph).static_order()]):
        for before in graph[name]:
            waiting[before] = max(waiting[before], waiting[name] + 1)
    return {name: (-waiting[name], -place) for place, name in enumerate(graph)}


class Runner:
    """Runs stages, each in a process group of its own, and prints their lines behind their names.

    Where nobody reads what it prints any more, it stops them.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._printing = Lock()

    def run(self, name: str) -> bool:
        """Run a stage to its end; whether it ended well."""
        start = time.monotonic()
        with subprocess.Popen(
            [*COMMAND, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        ) as process:
            self._running.add(process)
            if self._stopped:
                self.stop()
            for line in process.stdout or ():
                if text := line.decode(errors="replace").rstrip().rpartition("\r")[2]:  # a bar as it was at its end
                    self._tell(name, text)
        self._running.discard(process)
        well = process.returncode == 0
        self._tell(name, f"{'done' if well else 'failed'}, {time.monotonic() - start:.1f} s")
        return well

    def stop(self) -> None:
        """Interrupt all that run, as Ctrl-C does, and what begins just then."""
        self._stopped = True
        for process in tuple(self._running):
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(process.pid, signal.SIGINT)

    def _tell(self, name: str, text: str) -> None:
        with self._printing:
            try:
                print(f"{name} | {text}", flush=True)
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self.stop()


def rebuild(graph: Graph, jobs: int, runner: Runner) -> None:
    """Run every stage of a graph, at most so many at a time; after one that fails, none is begun.

    Raises:
        InputError: stages failed.
    """
    urgent = urgency(graph)
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ready: list[str] = []
    running: dict[Future[bool], str] = {}
    failed: list[str] = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while running or (sorter.is_active() and not failed):
                ready = sorted([*ready, *sorter.get_ready()], key=urgent.__getitem__)
                while ready and len(running) < jobs and not failed:
                    name = ready.pop(0)
                    running[pool.submit(runner.run, name)] = name
                for one in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(one)
                    if one.result():
                        sorter.done(name)
                    else:
                        failed.append(name)
        except BaseException:
            every = (signal.SIGINT, *STOPPING)
            handle(dict.fromkeys(every, lambda *_: runner.stop()))  # whoever asks again asks the stages again
            runner.stop()
            pool.shutdown()
            handle(dict.fromkeys(every, signal.SIG_IGN))  # Python would put back the default while it ends
            raise
    if failed:
        raise InputError(f"failed: {', '.join(failed)}; see above, mend it, and run again: what is done is kept")


def handle(handlers: Mapping[signal.Signals, Any]) -> None:
    """Set what is done at a signal."""
    for number, handler in handlers.items():
        signal.signal(number, handler)


def stop(number: int, _: FrameType | None) -> NoReturn:
    """End as a shell says that a signal ended a program."""
    sys.exit(128 + number)


def main() -> None:
    jobs = load(Params, PARAMS, {}).jobs
    if jobs == 1:
        os.execvp("dvc", ["dvc", "repro"])  # noqa: S606
    # A shell that puts this into the background has SIGINT ignored, and the stages would inherit that.
    handle({signal.SIGINT: signal.default_int_handler})
    # nohup has SIGHUP ignored, and it shall be.
    handle({number: stop for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN})
    cast(TextIOWrapper, sys.stdout).reconfigure(errors="replace")
    graph = out_of_date()
    if graph:
        rebuild(graph, jobs, Runner())
    else:
        print(UP_TO_DATE)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
