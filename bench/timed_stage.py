"""A stage's process that says where its time went, in a line at the end of a file:

    python bench/timed_stage.py FILE stages/translate.py --params params.yaml ...

DVC says in $DVC_STAGE which stage it is. Imports are what Python's import system does, wherever in the process; loading
is the loading of models, without the imports in it. What is left of the process is its work. In seconds, and the most
memory resident in MiB.
"""

import importlib
import json
import os
import resource
import runpy
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

LOADERS = {
    "mt.lm": ("load_base", "identity"),
    "mt.comet": ("Comet.__init__",),
    "mt.encoder": ("Encoder.__init__",),
    "mt.seq2seq": ("load",),
    "mt.lid": ("LanguageId.__init__",),
}
"""Module → what loads a model, or reads its files to name it."""
KINDS = ("imports", "loading", "work")
KIB = 1 << 10


class Clock:
    """Seconds by kind; while one kind is counted inside another, the outer one stands still."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(KINDS, 0.0)
        self._kinds = ["work"]
        self._since = time.perf_counter()

    def counted(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted as of a kind; imports inside imports are imports."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self._kinds.append(kind)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._kinds.pop()

        return timed

    def end(self) -> dict[str, float]:
        """All seconds until now."""
        self._switch()
        return self.seconds

    def _switch(self) -> None:
        now = time.perf_counter()
        self.seconds[self._kinds[-1]] += now - self._since
        self._since = now


def main(words: list[str]) -> None:
    """Run the stage; the line is written however it ends."""
    out, script, *rest = words
    clock = Clock()
    sys.path.insert(0, str(Path(script).parent))
    sys.argv = [script, *rest]
    bootstrap: Any = importlib._bootstrap
    bootstrap._find_and_load = clock.counted("imports", bootstrap._find_and_load)
    for module, names in LOADERS.items():
        for name in names:
            holder, _, last = name.rpartition(".")
            place = importlib.import_module(module)
            owner = getattr(place, holder) if holder else place
            setattr(owner, last, clock.counted("loading", getattr(owner, last)))
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB
        with Path(out).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": os.environ["DVC_STAGE"], **clock.end(), "mib": mib}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
