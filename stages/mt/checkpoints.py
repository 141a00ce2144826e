"""Checkpoints of a training that was cut off: whole or absent, and found again by all that the training follows from.

They lie under $DVC_ROOT/.cache, so that a queued experiment, whose workspace is thrown away, finds them too. Where a
training runs on several hosts, they must share that folder.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any

from mt.errors import InputError
from mt.files import remove, replacing, sha256
from mt.processes import agreed, is_main, wait

PARTIAL = ".partial"
LOCK = "lock"


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file of a folder, by the path inside it."""
    if not path.is_dir():
        return {"": sha256(path)}
    return {str(file.relative_to(path)): sha256(file) for file in sorted(path.rglob("*")) if file.is_file()}


class Checkpoints:
    """The checkpoints of one training; only the newest is kept.

    Attributes:
        partial: a folder in which every process writes its part of a checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.partial = folder / PARTIAL

    def keep(self, step: int, complete: Callable[[Path], None]) -> None:
        """Make what lies in `partial` the checkpoint of `step`, once all processes have written.

        Args:
            step: optimizer steps so far.
            complete: writes, in the main process alone, what else belongs to it into the folder that it is given.
        """
        wait()
        if not is_main():
            return
        complete(self.partial)
        with replacing(self._folder / f"step-{step}") as whole:
            self.partial.rename(whole)
        for old, folder in self.whole().items():
            if old != step:
                remove(folder)

    def newest(self) -> tuple[int, Path] | None:
        """The step and the folder of the newest checkpoint, the same in every process."""
        found = self.whole()
        return agreed((max(found), found[max(found)]) if found else None)

    def whole(self) -> dict[int, Path]:
        """The folder of every checkpoint, by its step."""
        return {int(folder.name.removeprefix("step-")): folder for folder in self._folder.glob("step-*")}


@contextmanager
def checkpoints(ingredients: Mapping[str, Any]) -> Iterator[Checkpoints]:
    """The checkpoints of the training that follows from `ingredients`; they are removed when the block ends well.

    Of two runs of one training at a time, each has checkpoints of its own.

    Args:
        ingredients: everything that the training follows from, ready for JSON.

    Raises:
        InputError: the place for them cannot be written.
    """
    root = Path(os.environ.get("DVC_ROOT", ".")).resolve() / ".cache" / "checkpoints"
    key = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()
    with ExitStack() as stack:
        own = stack.enter_context(_claimed(root, key)) if is_main() else root
        found = Checkpoints(agreed(own))
        try:
            yield found
        except BaseException:
            if is_main() and not found.whole():
                remove(own)
            raise
        if is_main():
            remove(own)


@contextmanager
def _claimed(root: Path, key: str) -> Iterator[Path]:
    """The first folder of this key that no other run works in."""
    for number in count(1):
        folder = root / (key if number == 1 else f"{key}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / LOCK).open("w")
        except FileNotFoundError:  # another run has just ended well, and removed it
            continue
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror}); make it a place that can") from error
        with lock:
            if _ours(lock):
                for left in folder.glob(".*"):  # by a run that was killed while it wrote
                    remove(left)
                yield folder
                return


def _ours(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    path = Path(lock.name)
    return path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino
