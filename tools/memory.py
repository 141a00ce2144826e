"""What the translation memory holds, and what may go: `make tm-stats`, `make tm-prune DAYS=30`."""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mt.claims import LOCK, discard, ours
from mt.errors import InputError
from mt.files import PARTIAL, kept, remove
from mt.memory import FILE, Origin, origins, prune

CUT_OFF = ("checkpoints", "progress", "opened")
"""Folders of what was finished of work that was cut off; each piece of work that ends well removes its own."""
MADE = ("data", "models", "metrics")
"""Folders that stages write in."""
SECONDS_A_DAY = 86400
MOST_DIGITS = 5
USAGE = "usage: memory.py stats, or memory.py prune DAYS, such as 30"


def table(found: Sequence[Origin], size: int) -> str:
    """One line a model and way of decoding, the longest unused first, and the sum."""
    rows = [("last used", "entries", "characters", "decoding", "model")]
    for one in found:
        used = one.used.strftime("%Y-%m-%d %H:%M")
        rows.append((used, str(one.entries), str(one.characters), *described(one.facts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    total = sum(one.entries for one in found)
    return "\n".join([*lines, f"{total} entries of {len(found)} models and ways of decoding, {size} bytes"])


def described(facts: Any) -> tuple[str, str]:
    """The way of decoding, and the model.

    Raises:
        InputError: these are no facts.
    """
    match facts:
        case {"decoding": {"strategy": str(how), "beams": int(beams)}, "model": {"revision": str(model)}}:
            return (f"{how} {beams}" if beams > 1 else how), model
        case _:
            raise InputError(f"{kept() / FILE}: is damaged; remove it: what it held is then translated again")


def prune_cut_off(days: int) -> int:
    """Remove what was finished of work that nobody has gone on with for so many days; returns how many that were."""
    gone = 0
    for lock in sorted(file for kind in CUT_OFF for file in (kept() / kind).glob(f"*/{LOCK}")):
        with suppress(FileNotFoundError), lock.open() as held:
            if time.time() - lock.stat().st_mtime >= days * SECONDS_A_DAY and ours(held):
                discard(lock.parent)
                gone += 1
    return gone


def prune_half_written(days: int) -> int:
    """Remove outs that stages were killed in the middle of writing so many days ago; returns how many that were.

    A stage removes its own when it runs again; these are left of those that have not.
    """
    gone = 0
    for folder in MADE:
        with suppress(FileNotFoundError):  # a run goes on meanwhile; the next call looks at the rest
            for path in list(Path(folder).rglob(f".*{PARTIAL}")):
                if path.exists() and time.time() - _last_written(path) >= days * SECONDS_A_DAY:
                    remove(path)
                    gone += 1
    return gone


def _last_written(path: Path) -> float:
    return max(one.lstat().st_mtime for one in (path, *path.rglob("*")))


def main(words: Sequence[str]) -> None:
    """Print the table, or forget what no run has used or gone on with for so many days.

    Raises:
        InputError: the memory is damaged.
        SystemExit: the words are none of these.
    """
    path = kept() / FILE
    match words:
        case ["stats"]:
            print(table(origins(path), path.stat().st_size if path.exists() else 0))
        case ["prune", days] if days.isascii() and days.isdigit() and len(days) <= MOST_DIGITS:
            print(f"{prune(path, int(days))} entries of the memory that no run has used for {days} days are gone")
            print(f"{prune_cut_off(int(days))} trainings and the like that were cut off, and left for so long, too")
            print(f"{prune_half_written(int(days))} files and folders that were left half written for so long, too")
        case _:
            sys.exit(USAGE)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
