"""A disk that fills up under `dvc repro`, again and again, each time a little larger."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from clone import cloned
from disturbed import Disturbed

MEGABYTES = (400, 1300, 1700, 2200, 2500, 2540, 2570, 2590, 2600, 4000)
"""Sizes of the disk: a run fills every one but the last."""


def fill(folder: Path, params: str, expected: Mapping[str, str], save_steps: int) -> list[str]:
    """Run in a clone on a disk of each size; what is amiss."""
    with mounted(folder.parents[1], MEGABYTES[0]) as disk, cloned(folder, params, {}) as clone:
        runs, faults = Disturbed(clone, expected, save_steps), []
        for size in MEGABYTES[:-1]:
            resize(disk, size)
            said, amiss = runs.filled()
            print(f"{size} MB: {said}", *amiss, sep="\n", flush=True)
            faults += amiss
        resize(disk, MEGABYTES[-1])
        return faults + runs.through()


@contextmanager
def mounted(place: Path, megabytes: int) -> Iterator[Path]:
    """A disk of so many megabytes at `place`."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def resize(place: Path, megabytes: int) -> None:
    """Change the size of a disk that is mounted."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", place], check=True)
