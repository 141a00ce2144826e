"""Get the COMET checkpoint that the study is scored with, or build one.

In: --pairs, segments that no other split uses {"id", "src", "tgt"}; --encoder, a Hugging Face XLM-RoBERTa with
provenance.json. Out: --out, a folder that mt.comet loads without a network (hparams.yaml, checkpoints/model.ckpt,
encoder/, provenance.json); --metrics, JSON.

`checkpoint: hub` takes a published checkpoint and the configuration and tokenizer of its encoder from the model hub,
each pinned by commit, the checkpoint by SHA-256 too; --pairs and --encoder are not looked at. Metrics: checkpoint (its
name), repo, revision, sha256.

`checkpoint: build` trains unbabel-comet's estimator over the frozen encoder on references perturbed to graded severity.
It is a stand-in for a checkpoint learnt from human judgements, and its name says so wherever it scores. Metrics, on
held-out references:

    pairs, held_out    how many references it learnt from, and how many it is measured on
    examples           how many perturbed hypotheses it learnt from
    ranking_accuracy, ranking_pairs, accuracy_by_kind, score_by_kind, pearson, spearman: see mt.ranking.measure
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mt.cli import main
from mt.comet import CHECKPOINT, REVISION_LENGTH, Comet
from mt.encoder import Reading
from mt.estimator import Training, save
from mt.files import digests, replacing, together, write_json
from mt.hub import check_pin
from mt.hub_comet import fetch_comet
from mt.loading import PROVENANCE, read_provenance
from mt.pins import SHA256
from mt.prompt import Languages
from mt.segments import read_segments
from mt.stand_in import LEAST_PAIRS, build, split

PINS = ("repo", "revision", "sha256", "encoder_repo", "encoder_revision")


@dataclass(frozen=True)
class Paths:
    """Flags."""

    pairs: Path
    encoder: Path
    out: Path
    metrics: Path


@dataclass(frozen=True)
class CometModel:
    """Which checkpoint, and from `seed` on how one is built; `held_out` counts references, `severities` levels."""

    name: str
    checkpoint: Literal["build", "hub"]
    repo: str | None
    revision: str | None
    sha256: str | None
    encoder_repo: str | None
    encoder_revision: str | None
    precision: Reading
    seed: int
    held_out: int
    severities: int
    epochs: int
    batch_size: int
    learning_rate: float
    hidden_sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]{1,100}", self.name, re.ASCII):
            raise ValueError(f"name: {self.name!r} must be up to 100 of a-z, A-Z, 0-9, '-', '.' and '_', such as mini")
        if self.checkpoint == "hub":
            check_pin(self.repo, self.revision)
            check_pin(self.encoder_repo, self.encoder_revision, "encoder_")
            if self.sha256 is None or not SHA256.fullmatch(self.sha256):
                raise ValueError(
                    f"sha256: {self.sha256!r} must be the 64 lower-case hexadecimal digits of {CHECKPOINT}, a pickle "
                    "that is not opened without them; the hub's page of that file names them"
                )
        elif any(getattr(self, key) is not None for key in PINS):
            raise ValueError(f"{', '.join(PINS)}: must be null where the checkpoint is built")
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


def run(paths: Paths, params: Params) -> None:
    """Write the checkpoint's folder and its metrics, both or neither."""
    with together(paths.out, paths.metrics):
        if params.comet.checkpoint == "hub":
            take(paths, params.comet)
        else:
            make(paths, params)


def take(paths: Paths, comet: CometModel) -> None:
    """Get the published checkpoint, and load it once, so that what cannot be loaded does not pass for one."""
    pins = {key: str(getattr(comet, key)) for key in PINS}
    with replacing(paths.out) as folder:
        told: dict[str, Any] = {"name": comet.name, "repo": pins["repo"], "revision": pins["revision"]}
        told["encoder"] = {"name": pins["encoder_repo"], "revision": pins["encoder_revision"]}
        told["sha256"] = pins["sha256"]
        told["files"] = fetch_comet(**pins, out=folder)
        write_json(folder / PROVENANCE, told)
        Comet(folder)
    write_json(paths.metrics, {"checkpoint": comet.name} | {key: pins[key] for key in ("repo", "revision", "sha256")})


def make(paths: Paths, params: Params) -> None:
    """Build the checkpoint and measure it."""
    comet = params.comet
    encoder = read_provenance(paths.encoder, ("name", "license", "revision"), ())
    parts = split(read_segments(paths.pairs, ("src", "tgt")), comet.held_out, paths.pairs)
    training = Training(comet.seed, comet.epochs, comet.batch_size, comet.learning_rate, comet.hidden_sizes)
    metric, report = build(paths.encoder, parts, params.languages, comet.severities, training, comet.precision)
    with replacing(paths.out) as folder:
        save(metric, paths.encoder, folder, paths.out)
        write_json(folder / PROVENANCE, provenance(folder, comet.name, encoder))
    write_json(paths.metrics, report)


def provenance(folder: Path, name: str, encoder: dict[str, Any]) -> dict[str, Any]:
    """Of a built checkpoint: the name, where it comes from, and every file's digest."""
    files = digests(folder)
    return {
        "name": name,
        "license": encoder["license"],
        "revision": files[CHECKPOINT][:REVISION_LENGTH],
        "encoder": {key: encoder[key] for key in ("name", "revision")},
        "files": files,
    }


if __name__ == "__main__":
    main(run, Paths, Params)
