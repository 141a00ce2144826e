"""Folders under $DVC_ROOT/.cache for work that was cut off, each found again by all that its work follows from.

A stage's success is not DVC's: a kill before DVC has recorded the outs undoes them. What is dear may therefore be
marked as done instead of removed; a later stage removes it.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from itertools import count as numbers
from itertools import islice
from pathlib import Path
from typing import IO, Any

from mt.errors import InputError
from mt.files import digests, kept, remove, sha256
from mt.processes import count, device, group, place

LOCK = "lock"
DONE = "done"
GRACE_SECONDS = 3600.0
"""After so long, DVC has recorded what a stage made, or never will."""
MOST_PLACES = 1000
"""Tried before it is said that none can be had; each is in use, or was removed just as it was tried."""


def ingredients(
    params: Any, inputs: Mapping[str, Path | None], script: str, libraries: Iterable[str]
) -> dict[str, Any]:
    """Everything that a stage's work follows from, ready for JSON.

    Args:
        params: the stage's dataclass of parameters.
        inputs: files and folders by name; None for one that the stage goes without.
        script: the stage's `__file__`.
        libraries: names of packages that do the work.

    Any GPU goes on where another stopped: what two of them compute is not the same bit for bit in any case.
    """
    code = [Path(script), *sorted(Path(__file__).parent.glob("*.py"))]
    return {
        "params": asdict(params),
        "inputs": {name: digests(path) for name, path in inputs.items() if path},
        "code": {file.name: sha256(file) for file in code},
        "libraries": {name: version(name) for name in libraries},
        "processes": count(),
        "device": "cuda" if device().type == "cuda" else place(),
    }


@contextmanager
def claimed(kind: str, ingredients: Mapping[str, Any], done: Callable[[Path], int]) -> Iterator[Path]:
    """Of the folders of these ingredients that no other run works in, the one in which most is done, or a new one.

    Two runs of one work have a folder each.

    Args:
        kind: of work: a folder under .cache.
        ingredients: everything that the work follows from, ready for JSON.
        done: how much of the work is done in a folder.

    Raises:
        InputError: the place cannot be written.
    """
    key = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()
    place = kept() / kind
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{place}: cannot be written ({error.strerror}); make it a folder that can") from error
    for folder in islice(_places(place, key, done), MOST_PLACES):
        try:
            folder.mkdir(exist_ok=True)
            lock = (folder / LOCK).open("a")
        except (FileNotFoundError, FileExistsError):  # another run has just ended well, and removed it
            continue
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror}); make it a place that can") from error
        with lock:
            if ours(lock):
                for left in (folder / DONE, *folder.glob(".*")):  # by runs that were killed after or while they wrote
                    remove(left)
                used(folder)
                yield folder
                return
    raise InputError(f"{place}: none of {MOST_PLACES} folders in it can be had; remove it while nothing runs")


def used(folder: Path) -> None:
    """Write down that a folder is in use now, for `make tm-prune`."""
    os.utime(folder / LOCK)


def discard(folder: Path) -> None:
    """Remove a folder that is claimed; its lock goes last, and another run that claims the place at once has it."""
    for path in folder.iterdir():
        if path.name != LOCK:
            remove(path)
    remove(folder / LOCK)
    with suppress(OSError):
        folder.rmdir()


def mark_done(folder: Path) -> None:
    """Let a later stage remove a folder: at once where it is DVC's next one, or else after an hour.

    Raises:
        InputError: the mark cannot be written.
    """
    try:
        (folder / DONE).write_text(str(group()), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); make room, and run again") from error


def discard_done() -> None:
    """Remove the folders whose work is done, and has been recorded by DVC or never will be."""
    for mark in kept().glob(f"*/*/{DONE}"):
        with suppress(FileNotFoundError), (mark.parent / LOCK).open() as lock:
            recorded = mark.read_text(encoding="utf-8") == str(group())
            if (recorded or time.time() - mark.stat().st_mtime > GRACE_SECONDS) and ours(lock):
                discard(mark.parent)


def ours(lock: IO[str]) -> bool:
    """Whether nobody else holds this lock, which then is held until it is closed, and it still stands in its folder."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    path = Path(lock.name)
    return path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino


def _places(folder: Path, key: str, done: Callable[[Path], int]) -> Iterator[Path]:
    """Where one work may lie: first what is there, that in which most is done before the others, and then new ones."""
    there = {lock.parent: done(lock.parent) for lock in folder.glob(f"{key}*/{LOCK}")}
    yield from sorted(there, key=lambda place: (-there[place], place.name))
    new = (folder / (key if number == 1 else f"{key}-{number}") for number in numbers(1))
    yield from (place for place in new if place not in there)
