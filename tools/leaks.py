"""What of the test sets was found in each file that is learnt from: `make leakage`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from mt.errors import InputError
from mt.results import Leaks, read_leakage

USAGE = "usage: leaks.py METRICS"
GAP = "  "


def table(files: Sequence[Leaks]) -> str:
    """One line a file: its segments, those that leak, and those by test set."""
    rows = [["file", "segments", "leaks", *files[0].testsets]]
    rows += [[one.file, *map(str, (one.segments, one.leaks, *one.testsets.values()))] for one in files]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(GAP.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)


def main(words: list[str]) -> None:
    """Print the table of one file of metrics.

    Raises:
        InputError: the file is missing or holds something else.
        SystemExit: the words are not one path.
    """
    if len(words) != 1:
        sys.exit(USAGE)
    print(table(read_leakage(Path(words[0]))))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
