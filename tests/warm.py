"""A Python that has imported what stages import, and forks itself for every script: no test waits for that twice.

A script is a process of its own, as under DVC, with a folder, an environment, files for what it prints and an exit code
of its own; several processes of one end as under a launcher. But what libraries read from the environment while they
are imported is the server's.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

IMPORTED = (
    "comet.models",
    "matplotlib.figure",
    "peft",
    "sacrebleu.metrics",
    "torch",
    "transformers.models.gemma3.modeling_gemma3",
    "transformers.trainer",
)
SECONDS = 600
"""How long a script may take; SIGALRM ends it then."""


class Warm:
    """A server of such scripts, until the context ends.

    Args:
        environment: what libraries find that are imported ahead.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(environment)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(
        self, words: Sequence[str], folder: Path, environments: Sequence[Mapping[str, str]], stdout: Path, stderr: Path
    ) -> int:
        """Run a script to its end.

        Args:
            words: its path, and its arguments.
            folder: where.
            environments: the whole environment of each of its processes.
            stdout: a file, to which what it prints is added.
            stderr: one for its errors, or the same.

        Returns:
            The exit code, of the first process that failed if one did; negative where a signal ended it.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        request = {"words": list(words), "environments": [dict(each) for each in environments]}
        request |= {"folder": str(folder), "stdout": str(stdout), "stderr": str(stderr)}
        print(json.dumps(request), file=self._server.stdin, flush=True)
        answer = self._server.stdout.readline()
        assert answer, "the warm Python has ended"
        return int(answer)


def serve() -> None:
    """Read requests, a line each, and answer with exit codes; in a fork, run the script."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        children = set()
        for environment in request.pop("environments"):
            child = os.fork()
            if not child:
                become(environment=environment, **request)
                return
            children.add(child)
        print(ended(children), flush=True)


def ended(children: set[int]) -> int:
    """Wait for processes, and end those that are left when one fails; the exit code of that one, or 0."""
    failed = 0
    while children:
        child, status = os.wait()
        children.remove(child)
        if status and not failed:
            failed = os.waitstatus_to_exitcode(status)
            for other in children:
                os.kill(other, signal.SIGKILL)
    return failed


def become(words: list[str], folder: str, environment: dict[str, str], stdout: str, stderr: str) -> None:
    """Be the script from now on."""
    signal.alarm(SECONDS)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in ((1, stdout), (2, stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.argv = words
    sys.path[0] = str(Path(words[0]).resolve().parent)
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    serve()
