"""Build the COMET checkpoint that the study is scored with.

In: --pairs, segments that no other split uses {"id", "src", "tgt"}; --encoder, a Hugging Face XLM-RoBERTa with
provenance.json. Out: --out, a folder that unbabel-comet loads by itself (hparams.yaml, checkpoints/model.ckpt,
encoder/, provenance.json); --metrics, JSON with what the checkpoint does on held-out references:

    pairs, held_out    how many references it learnt from, and how many it is measured on
    examples           how many perturbed hypotheses it learnt from
    ranking_accuracy, ranking_pairs, accuracy_by_kind, score_by_kind, pearson, spearman: see mt.ranking.measure

`checkpoint: build` trains unbabel-comet's estimator over the frozen encoder on references perturbed to graded
severity. It is a stand-in for a checkpoint learnt from human judgements, and its name says so wherever it scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from mt.cli import main
from mt.comet import CHECKPOINT, PROVENANCE, REVISION_LENGTH
from mt.errors import InputError
from mt.estimator import Example, Training, embed, estimates, new_metric, save, train
from mt.files import read_json, replacing, sha256, together, write_json
from mt.perturb import Material, Perturbed, perturbations, tokens
from mt.prompt import Languages
from mt.ranking import Case, measure
from mt.segments import Segment, read_segments
from mt.text import words

LEAST_PAIRS = 3
"""A reference, another one, and the one most like it."""


@dataclass(frozen=True)
class Paths:
    """Flags."""

    pairs: Path
    encoder: Path
    out: Path
    metrics: Path


@dataclass(frozen=True)
class CometModel:
    """Which checkpoint, and how it is built; `held_out` counts references, `severities` levels."""

    name: str
    checkpoint: Literal["build"]
    repo: str | None
    revision: str | None
    seed: int
    held_out: int
    severities: int
    epochs: int
    batch_size: int
    learning_rate: float
    hidden_sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.name or not all(char.isalnum() or char in "-._" for char in self.name):
            raise ValueError(f"name: {self.name!r} must be of letters, digits, '-', '.' and '_', such as mini")
        if self.repo is not None or self.revision is not None:
            raise ValueError("repo and revision: must be null where the checkpoint is built")
        if self.held_out < LEAST_PAIRS:
            raise ValueError(f"held_out: must be at least {LEAST_PAIRS}, not {self.held_out}")
        if self.severities < 3:
            raise ValueError(f"severities: must be at least 3, not {self.severities}: best, worst and one between")
        for key in ("epochs", "batch_size"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}: must be at least 1, not {getattr(self, key)}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate: must be above 0, such as 0.001, not {self.learning_rate}")
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ValueError("hidden_sizes: must list at least one layer's size, such as [384, 128]")


@dataclass(frozen=True)
class Params:
    """What the stage reads."""

    languages: Languages
    comet: CometModel


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
    segments: Sequence[Segment], nearest: Sequence[int], language: str, levels: int, seed: int
) -> list[tuple[Segment, Perturbed]]:
    """Perturb every reference; what it is perturbed with comes from these segments only."""
    refs = [tokens(segment["tgt"], words(segment["tgt"], language)) for segment in segments]
    found = []
    for i, segment in enumerate(segments):
        rng = Random(f"{seed}:{segment['id']}")  # noqa: S311
        other = (i + rng.randint(1, len(segments) - 1)) % len(segments)
        src = tokens(segment["src"], segment["src"].split())
        material = Material(src=src, ref=refs[i], other=refs[other], neighbour=refs[nearest[i]])
        found += [(segment, one) for one in perturbations(material, levels, rng)]
    return found


def examples(cases: Sequence[tuple[Segment, Perturbed]], levels: int) -> list[Example]:
    """Cases as the estimator sees them: level 0 deserves the score 1, the worst level 0."""
    return [Example(segment["src"], one.text, segment["tgt"], 1 - one.level / (levels - 1)) for segment, one in cases]


def provenance(folder: Path, name: str, encoder: dict[str, Any]) -> dict[str, Any]:
    """The name, where it comes from, and every file's digest."""
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        "name": name,
        "license": encoder["license"],
        "revision": files[CHECKPOINT][:REVISION_LENGTH],
        "encoder": {key: encoder[key] for key in ("name", "revision")},
        "files": files,
    }


def run(paths: Paths, params: Params) -> None:
    """Build the checkpoint, measure it, write both."""
    comet = params.comet
    encoder = read_json(paths.encoder / PROVENANCE)
    segments = read_segments(paths.pairs, ("src", "tgt"))
    parts = split(segments, comet.held_out, paths.pairs)
    training = Training(comet.seed, comet.epochs, comet.batch_size, comet.learning_rate, comet.hidden_sizes)
    metric = new_metric(paths.encoder, training)
    known = embed(metric, [segment["tgt"] for segment in segments], comet.batch_size)
    cases = []
    for part in parts:
        nearest = known.nearest([segment["tgt"] for segment in part])
        cases.append(perturbed(part, nearest, params.languages.tgt, comet.severities, comet.seed))
    learnt, held_out = (examples(some, comet.severities) for some in cases)
    texts = {text for one in (*learnt, *held_out) for text in (one.src, one.mt, one.ref)}
    embeddings = known.joined(embed(metric, texts - known.rows.keys(), comet.batch_size))
    train(metric, learnt, embeddings, training)
    scores = estimates(metric, held_out, embeddings, comet.batch_size)
    report = {"pairs": len(parts[0]), "held_out": len(parts[1]), "examples": len(learnt)}
    ranked = [Case(segment["id"], one, score) for (segment, one), score in zip(cases[1], scores, strict=True)]
    with together(paths.out, paths.metrics):
        with replacing(paths.out) as folder:
            save(metric, paths.encoder, folder, paths.out)
            write_json(folder / PROVENANCE, provenance(folder, comet.name, encoder))
        write_json(paths.metrics, report | measure(ranked))


if __name__ == "__main__":
    main(run, Paths, Params)
