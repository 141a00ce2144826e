"""Stages on a preset's parameters: each a process of its own, or two that belong together, cold or in warm forks."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clone import preset
from pipeline import ROOT
from warm import Warm

STAGES = ROOT / "stages"
TRANSLATING = ("reverse.finetune", "backtranslate", "finetune", "translate")
FLOAT32 = {f"{section}.precision": "float32" for section in TRANSLATING}


def parameters(folder: Path, changes: Mapping[str, Any]) -> Path:
    """Write params.yaml: the embedded preset, in float32 everywhere, with some keys changed (`finetune.epochs`)."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "params.yaml"
    file.write_text(preset("embedded", FLOAT32 | dict(changes)), encoding="utf-8")
    return file


LAUNCHERS = {
    "torchrun": ["torchrun", "--standalone", "--nproc-per-node", "2"],
    "accelerate": [
        "accelerate",
        "launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--main_process_port",
        "0",
    ],
}


SEEDS = ("1", "2")
"""Of the hashes in the forks of one server and of another: as in two Pythons, the order of a set differs."""
TURNS = cycle(SEEDS)


def call(script: Path, *arguments: object, root: Path, launcher: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script; two processes of it where a launcher is named. `root` stands for DVC's."""
    command = [sys.executable]
    if launcher:
        program, *flags = LAUNCHERS[launcher]
        command = [str(Path(sys.executable).parent / program), *flags]
    return subprocess.run(
        [str(part) for part in (*command, script, *arguments)],
        cwd=root,
        env=environment(root),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def forked(script: Path, *arguments: object, processes: int = 1, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as `call` does, in forks of a Python that is warm; two are joined as a launcher would."""
    words = [str(part) for part in (script, *arguments)]
    environments = [environment(root) | rank for rank in (ranks() if processes == 2 else [{}])]
    with TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdout", "stderr")]
        code = _warm(next(TURNS)).run(words, root, environments, *files)
        return subprocess.CompletedProcess(words, code, *(file.read_text(encoding="utf-8") for file in files))


def ranks() -> list[dict[str, str]]:
    """What torch reads in each of two processes that belong together."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(listening.getsockname()[1])}
    sizes = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return [{**place, **sizes, "RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]


@cache
def _warm(seed: str) -> Warm:
    return Warm(environment(ROOT) | {"PYTHONHASHSEED": seed})


def environment(root: Path) -> dict[str, str]:
    """The environment of a stage; `root` stands for DVC's."""
    path = os.pathsep.join([str(STAGES), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "DVC_ROOT": str(root), "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def flags(paths: object, **others: object) -> list[str]:
    """A dataclass of paths as a stage's flags."""
    return [part for name, value in {**vars(paths), **others}.items() for part in (f"--{name}", str(value))]


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    """Fail where something does not hold after so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
