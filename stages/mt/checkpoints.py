"""Checkpoints of a training that was cut off: whole or absent, and found again by all that the training follows from.

They lie under $DVC_ROOT/.cache, so that a queued experiment, whose workspace is thrown away, finds them too. Where a
training runs on several hosts, they must share that folder.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mt.claims import claimed, discard, discard_done, mark_done, used
from mt.files import remove, replacing
from mt.processes import agreed, is_main, wait

PARTIAL = ".partial"


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
        used(self._folder)
        for old, folder in self.whole().items():
            if old != step:
                remove(folder)

    def newest(self) -> tuple[int, Path] | None:
        """The step and the folder of the newest checkpoint, the same in every process."""
        found = self.whole()
        return agreed((max(found), found[max(found)]) if found else None)

    def whole(self) -> dict[int, Path]:
        """The folder of every checkpoint, by its step."""
        steps = {folder.name.removeprefix("step-"): folder for folder in self._folder.glob("step-*")}
        return {int(step): folder for step, folder in steps.items() if step.isdecimal()}


@contextmanager
def checkpoints(ingredients: Callable[[], Mapping[str, Any]]) -> Iterator[Checkpoints]:
    """The checkpoints of the training that follows from `ingredients()`; they are done when the block ends well.

    Of two runs of one training at a time, each has checkpoints of its own.

    Args:
        ingredients: gives everything that the training follows from, ready for JSON; asked in the main process alone.

    Raises:
        InputError: the place for them cannot be written.
    """
    with ExitStack() as stack:
        own = Path()
        if is_main():
            own = stack.enter_context(claimed("checkpoints", ingredients(), _done))
            discard_done()
        found = Checkpoints(agreed(own))
        try:
            yield found
            if is_main():
                mark_done(own)
        finally:
            if is_main() and not found.whole():
                discard(own)


def _done(folder: Path) -> int:
    """Optimizer steps up to the newest checkpoint."""
    return max(Checkpoints(folder).whole(), default=0)
