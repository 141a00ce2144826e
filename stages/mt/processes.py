"""One job over several processes, as `torchrun` and `accelerate launch` start them: who does what, and all know it all.

Every process calls `share`, `agreed` and `wait` in the same order. Where there is one process, nothing here touches
torch.distributed.
"""

import atexit
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mt.errors import InputError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")

SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where launchers write the number of processes, for accelerate to read."""

PATIENCE = timedelta(days=1)
"""How long one process waits for the others. Shares are unequal, and the launcher itself ends all when one dies."""

PR_SET_PDEATHSIG = 1

GRACE_SECONDS = 5
"""Time for the launcher to see that the main process has failed, and to end the others."""


def count() -> int:
    """How many processes there are."""
    processes: int = _state().num_processes if _launched() else 1
    return processes


def index() -> int:
    """The number of this process, from 0."""
    number: int = _state().process_index if _launched() else 0
    return number


def is_main() -> bool:
    """Whether this process writes and prints for all."""
    return index() == 0


def beside_main() -> bool:
    """Whether this process runs on the main one's host, as its number on its own host tells."""
    return not _launched() or _state().local_process_index == index()


def device() -> "torch.device":
    """Where this process keeps its models: a GPU of its own where there is one."""
    import torch

    if _launched():
        own: torch.device = _state().device
        return own if own.type != "cpu" else torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def place() -> str:
    """What does the work, and may change its last bits: the GPU by its name, or the CPU's instructions and threads."""
    import torch

    own = device()
    if own.type == "cuda":
        return torch.cuda.get_device_name(own)
    matrices = ", AMX" if torch.cpu.get_capabilities().get("amx_bf16", False) else ""
    return f"cpu, {torch.backends.cpu.get_cpu_capability()}{matrices}, {torch.get_num_threads()} threads"


def group() -> int:
    """The process group of the stage; a launcher gives each of its processes one of its own."""
    return os.getpgid(os.getppid()) if _launched() else os.getpgrp()


def end_with_launcher() -> None:
    """Have Linux kill this process as soon as the launcher that started it has ended.

    A launcher that is killed outright cannot end its processes, and they are no part of its process group: they would
    go on beside the next run, in the same files. See prctl(2), PR_SET_PDEATHSIG.
    """
    if _launched() and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def share(work: Sequence[T], do: Callable[[T], R]) -> list[R]:
    """Do each piece of work in one process; the results of all stand in the order of `work`, in every process.

    Args:
        work: the same in every process; process i of n does `work[i::n]`.
        do: what to do; its result can be pickled.
    """
    processes = count()
    mine = [do(piece) for piece in work[index() :: processes]]
    if processes == 1:
        return mine
    import torch

    parts: list[Any] = [None] * processes
    torch.distributed.all_gather_object(parts, mine)
    results: list[Any] = [None] * len(work)
    for number, part in enumerate(parts):
        results[number::processes] = part
    return results


def agreed(value: T) -> T:
    """The main process's value, in every process; what the others give is ignored."""
    if count() == 1:
        return value
    import torch

    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def wait() -> None:
    """Return once every process has come here."""
    if count() > 1:
        _state().wait_for_everyone()


@contextmanager
def one_voice() -> Iterator[None]:
    """Let the main process speak first on an InputError: the launcher ends the others before they say the same."""
    try:
        yield
    except InputError:
        if not is_main():
            time.sleep(GRACE_SECONDS)
        raise


def _launched() -> bool:
    return any(int(os.environ.get(name, "1")) > 1 for name in SIZES)


def _state() -> Any:
    import torch
    from accelerate import PartialState

    first = not torch.distributed.is_initialized()
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    if first:
        atexit.register(state.destroy_process_group)
    return state
