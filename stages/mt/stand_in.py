"""A COMET checkpoint of one's own: unbabel-comet's estimator over a frozen encoder, learnt from perturbed references.

It stands in for a checkpoint learnt from human judgements where none can be had: references are perturbed to graded
severity, and the estimator learns the grades.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from mt.encoder import Reading
from mt.errors import InputError
from mt.estimator import Example, Training, embed, estimates, new_metric, reader, train
from mt.perturb import Material, Perturbed, perturbations, tokens
from mt.prompt import Languages
from mt.ranking import Case, measure
from mt.segments import Segment
from mt.text import UNSPACED, words

LEAST_PAIRS = 3
"""A reference, another one, and the one most like it."""


def split(segments: Sequence[Segment], held_out: int, path: Path) -> tuple[list[Segment], list[Segment]]:
    """The segments to learn from, and the last `held_out` to measure on.

    Raises:
        InputError: there are too few segments.
    """
    if len(segments) < held_out + LEAST_PAIRS:
        raise InputError(
            f"{path}: {len(segments)} pairs are too few to hold {held_out} out; "
            "raise prepare.comet or lower comet.held_out"
        )
    return list(segments[:-held_out]), list(segments[-held_out:])


def perturbed(
    segments: Sequence[Segment], nearest: Sequence[int], languages: Languages, levels: int, seed: int
) -> list[tuple[Segment, Perturbed]]:
    """Perturb every reference; what it is perturbed with comes from these segments only."""
    refs = [movable(segment["tgt"], languages.tgt) for segment in segments]
    found = []
    for i, segment in enumerate(segments):
        rng = Random(f"{seed}:{segment['id']}")  # noqa: S311
        other = (i + rng.randint(1, len(segments) - 1)) % len(segments)
        material = Material(
            movable(segment["src"], languages.src), ref=refs[i], other=refs[other], neighbour=refs[nearest[i]]
        )
        found += [(segment, one) for one in perturbations(material, levels, rng)]
    return found


def movable(text: str, language: str) -> list[str]:
    """The tokens of a text; in a language with spaces each has one in front, the first too, as it may be moved."""
    return tokens(text if language in UNSPACED else f" {text}", words(text, language))


def examples(cases: Sequence[tuple[Segment, Perturbed]], levels: int) -> list[Example]:
    """Cases as the estimator sees them: level 0 deserves the score 1, the worst level 0."""
    return [Example(segment["src"], one.text, segment["tgt"], 1 - one.level / (levels - 1)) for segment, one in cases]


def build(
    encoder: Path,
    parts: tuple[Sequence[Segment], Sequence[Segment]],
    languages: Languages,
    levels: int,
    training: Training,
    precision: Reading,
) -> tuple[Any, dict[str, Any]]:
    """Train a checkpoint and measure it.

    Args:
        encoder: the folder of a Hugging Face XLM-RoBERTa.
        parts: segments to learn from, and others to measure on.
        languages: of sources and references.
        levels: of severity, from untouched to word salad.
        training: how the estimator learns; its seed is that of the perturbations too.
        precision: in which the encoder reads what the estimator learns from and is measured on.

    Returns:
        A RegressionMetric for `mt.estimator.save`, and what `mt.ranking.measure` finds, with how much there was of
        each: `pairs`, `held_out`, `examples`.
    """
    metric = new_metric(encoder, training)
    reads = reader(metric, precision)
    known = embed(reads, [segment["tgt"] for part in parts for segment in part], training.batch_size)
    cases = []
    for part in parts:
        nearest = known.nearest([segment["tgt"] for segment in part])
        cases.append(perturbed(part, nearest, languages, levels, training.seed))
    learnt, held_out = (examples(some, levels) for some in cases)
    texts = {text for one in (*learnt, *held_out) for text in (one.src, one.mt, one.ref)}
    embeddings = known.joined(embed(reads, texts - known.rows.keys(), training.batch_size))
    train(metric, learnt, embeddings, training)
    scores = estimates(metric, held_out, embeddings, training.batch_size)
    ranked = [Case(segment["id"], one, score) for (segment, one), score in zip(cases[1], scores, strict=True)]
    counts = {"pairs": len(parts[0]), "held_out": len(parts[1]), "examples": len(learnt)}
    return metric, counts | measure(ranked)
