"""How long the segments of a split are."""

from collections.abc import Sequence
from typing import Any

from mt.segments import Segment
from mt.splits import SIDES
from mt.text import length_ratio

QUANTILES = {"low": 0.025, "median": 0.5, "high": 0.975}


def lengths(segments: Sequence[Segment]) -> dict[str, Any]:
    """`segments`, how many, and three `quantiles` each of `src_chars`, `tgt_chars` and `length_ratio`, where known."""
    values: dict[str, list[float]] = {f"{side}_chars": [len(s[side]) for s in segments if side in s] for side in SIDES}
    values["length_ratio"] = [length_ratio(s["src"], s["tgt"]) for s in segments if all(side in s for side in SIDES)]
    return {"segments": len(segments), **{name: quantiles(numbers) for name, numbers in values.items() if numbers}}


def quantiles(numbers: Sequence[float]) -> dict[str, float]:
    """The quantiles `low` (2.5 %), `median` and `high` (97.5 %) of one or more numbers, each one of them."""
    ranked = sorted(numbers)
    return {name: round(ranked[int(share * len(ranked))], 3) for name, share in QUANTILES.items()}
