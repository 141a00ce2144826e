"""COMET scores (Rei et al. 2020) by unbabel-comet's own loader and predict, from a folder that needs no model hub.

The folder: hparams.yaml; checkpoints/model.ckpt; encoder/, the encoder's configuration and tokenizer;
provenance.json with `name` and `files` (path → SHA-256).
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import read_json, sha256

CHECKPOINT = "checkpoints/model.ckpt"
HPARAMS = "hparams.yaml"
PROVENANCE = "provenance.json"
REVISION_LENGTH = 12


class Comet:
    """A loaded checkpoint; its memory goes when the object goes.

    `name` is the checkpoint's; `revision` is the beginning of its SHA-256.
    """

    name: str
    revision: str

    def __init__(self, folder: Path) -> None:
        """Load a checkpoint once its digest is found to be the one in provenance.json.

        Raises:
            InputError: a file is missing, or the checkpoint is not the one that provenance.json names.
        """
        provenance = read_json(folder / PROVENANCE)
        checkpoint = folder / CHECKPOINT
        if not checkpoint.is_file():
            raise InputError(f"{checkpoint}: not found; run `dvc repro comet` to make it")
        digest = sha256(checkpoint)
        if digest != provenance["files"][CHECKPOINT]:
            raise InputError(
                f"{checkpoint}: not the file that provenance.json names; remove {folder} and run `dvc repro`"
            )
        self.name = provenance["name"]
        self.revision = digest[:REVISION_LENGTH]
        self._model = _load(folder)

    @property
    def key(self) -> str:
        """The name of this metric wherever scores stand, `comet_<name>`."""
        return f"comet_{self.name}"

    @property
    def signature(self) -> str:
        """What the scores were computed with, in sacreBLEU's manner."""
        return f"nrefs:1|checkpoint:{self.name}|revision:{self.revision}|unbabel-comet:{version('unbabel-comet')}"

    def score(self, srcs: Sequence[str], hyps: Sequence[str], refs: Sequence[str], batch_size: int) -> list[float]:
        """Score each hypothesis, on the first GPU where there is one, in the order of the input.

        A triple that stands more than once is scored once. An empty hypothesis is scored as it stands.
        """
        import torch

        triples = list(zip(srcs, hyps, refs, strict=True))
        distinct = list(dict.fromkeys(triples))
        if not distinct:
            return []
        samples = [{"src": src, "mt": hyp, "ref": ref} for src, hyp, ref in distinct]
        with quiet():
            found = self._model.predict(
                samples,
                batch_size=batch_size,
                gpus=1 if torch.cuda.is_available() else 0,
                num_workers=0,
            )
        self._model.trainer = None  # it would hold the samples
        scores = dict(zip(distinct, found["scores"], strict=True))
        return [scores[triple] for triple in triples]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the chatter of Lightning, transformers and unbabel-comet from the user; errors still come through.

    Importing unbabel-comet configures the root logger; that is taken back too.
    """
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)


def _load(folder: Path) -> Any:
    """Load with the encoder's path made absolute, so that the working directory does not matter."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    hparams = yaml.load(folder / HPARAMS)
    hparams["pretrained_model"] = str((folder / "encoder").resolve())
    with quiet():
        from comet import load_from_checkpoint

        with tempfile.TemporaryDirectory() as place:
            checkpoint = Path(place) / CHECKPOINT
            checkpoint.parent.mkdir()
            checkpoint.symlink_to((folder / CHECKPOINT).resolve())
            yaml.dump(hparams, Path(place) / HPARAMS)
            return load_from_checkpoint(str(checkpoint), reload_hparams=True, strict=True, local_files_only=True)
