"""How well a metric ranks hypotheses whose severity is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mt.perturb import Perturbed


@dataclass(frozen=True)
class Case:
    """One perturbation of the reference of the segment `id`, and the score that a metric gave it."""

    id: str
    perturbed: Perturbed
    score: float


def measure(cases: Sequence[Case]) -> dict[str, Any]:
    """Hold scores to severities.

    Returns:
        `ranking_accuracy`, the share of pairs of hypotheses of one reference, unlike in severity, whose less severe
        one scores higher (equal scores are wrong); `ranking_pairs`, their number; `accuracy_by_kind`, the same over
        the pairs with one kind in them; `score_by_kind`, a kind's mean score; `pearson` and `spearman`, the
        correlation of the score with mildness, the severity turned round.
    """
    groups: dict[str, list[Case]] = {}
    by_kind: dict[str, list[float]] = {}
    for case in cases:
        groups.setdefault(case.id, []).append(case)
        by_kind.setdefault(case.perturbed.kind, []).append(case.score)
    every: list[bool] = []
    ranked: dict[str, list[bool]] = {kind: [] for kind in by_kind}
    for group in groups.values():
        for one, two in combinations(sorted(group, key=lambda case: case.perturbed.level), 2):
            if one.perturbed.level < two.perturbed.level:
                every.append(one.score > two.score)
                ranked[one.perturbed.kind].append(one.score > two.score)
                ranked[two.perturbed.kind].append(one.score > two.score)
    scores = [case.score for case in cases]
    mildness = [-case.perturbed.level for case in cases]
    return {
        "ranking_accuracy": float(np.mean(every)),
        "ranking_pairs": len(every),
        "accuracy_by_kind": {kind: float(np.mean(rights)) for kind, rights in ranked.items()},
        "score_by_kind": {kind: float(np.mean(values)) for kind, values in by_kind.items()},
        "pearson": float(np.corrcoef(scores, mildness)[0, 1]),
        "spearman": float(np.corrcoef(ranks(scores), ranks(mildness))[0, 1]),
    }


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Each value's rank from 0; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: NDArray[np.float64] = np.cumsum(counts) - (counts + 1) / 2
    return means[places]
