"""Prints metrics/summary.json as one table for each test set: systems as rows, metrics as columns."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import read_json
from mt.results import SYSTEMS

DECIMALS = {"bleu": 2, "chrf": 2}
OTHER_DECIMALS = 4
GAP = "  "

Scores = Mapping[str, float]


def read(file: Path) -> dict[str, dict[str, Scores]]:
    """Read test set → system → metric → value.

    Raises:
        InputError: the file is missing or holds something else.
    """
    tree = read_json(file)
    if not isinstance(tree, dict) or not all(_is_testset(systems) for systems in tree.values()):
        raise InputError(f"{file}: not a summary of test sets and systems; run `dvc repro report` to make it anew")
    return tree


def table(testset: str, systems: Mapping[str, Scores]) -> list[str]:
    """The lines of one table; columns stand in the order of the metrics, numbers to the right."""
    metrics = list(dict.fromkeys(metric for scores in systems.values() for metric in scores))
    names = [*(name for name in SYSTEMS if name in systems), *(name for name in systems if name not in SYSTEMS)]
    rows = [[testset, *metrics]]
    rows += [[name, *(shown(metric, systems[name].get(metric)) for metric in metrics)] for name in names]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [GAP.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def shown(metric: str, value: float | None) -> str:
    """A score as the report rounds it, a count as it is, a dash where there is none."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{DECIMALS.get(metric, OTHER_DECIMALS)}f}"


def main(file: Path) -> None:
    """Print every test set's table."""
    for testset, systems in read(file).items():
        print("", *table(testset, systems), sep="\n")


def _is_testset(systems: Any) -> bool:
    return isinstance(systems, dict) and all(
        isinstance(scores, dict) and all(isinstance(value, int | float) for value in scores.values())
        for scores in systems.values()
    )


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(f"error: {error}")
