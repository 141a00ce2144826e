"""Seconds and bytes on a device that works while Python goes on."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from mt.judge import release_memory

GIB = 1 << 30


def synchronize() -> None:
    """Wait until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(do: Callable[[], Any], warm: int, repeats: int, inner: int) -> float:
    """Median seconds of one `do()`, each repeat the mean of `inner` calls in a row, after `warm` calls."""
    for _ in range(warm):
        do()
    found = []
    for _ in range(repeats):
        synchronize()
        begin = time.perf_counter()
        for _ in range(inner):
            do()
        synchronize()
        found.append((time.perf_counter() - begin) / inner)
    return median(found)


def forget() -> None:
    """Give back a GPU's memory that nothing holds, and begin to look for the peak anew."""
    release_memory()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak() -> dict[str, float | None]:
    """The most memory since `forget`, in GiB: in tensors, and as the allocator held it; null where there is no GPU."""
    if not torch.cuda.is_available():
        return {"allocated_gib": None, "reserved_gib": None}
    return {
        "allocated_gib": round(torch.cuda.max_memory_allocated() / GIB, 2),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2),
    }
