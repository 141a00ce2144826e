"""COMET scores (Rei et al. 2020) by unbabel-comet's own loader and models, from a folder that needs no model hub.

The folder: hparams.yaml; checkpoints/model.ckpt; encoder/, the encoder's configuration and tokenizer;
provenance.json with `name` and `files` (path → SHA-256).
"""

import logging
import pickle
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from mt.claims import claimed, discard
from mt.errors import InputError
from mt.files import remove
from mt.loading import as_data, read_provenance

CHECKPOINT = "checkpoints/model.ckpt"
HPARAMS = "hparams.yaml"
LARGE = ("state_dict", "optimizer_states")
"""What of a checkpoint is its weights, and as many numbers of its training."""
REVISION_LENGTH = 12
AGAIN = "remove {} and run `dvc repro`"
MEND = "in params.yaml pin a revision of comet.repo and of comet.encoder_repo that belong together"
NO_WEIGHTS = ".position_ids"
"""A table that older versions of transformers kept among the weights; newer ones make it."""

Triple = tuple[str, str, str]
"""Source, hypothesis, reference."""


class Comet:
    """A loaded checkpoint; its memory goes when the object goes.

    `name` is the checkpoint's; `revision` is the beginning of its SHA-256, as its makers published it.
    """

    name: str
    revision: str

    def __init__(self, folder: Path) -> None:
        """Load a checkpoint once every file's digest is found to be the one in provenance.json.

        Raises:
            InputError: a file is missing or is not the one that provenance.json names, or the checkpoint does not fit
                its hparams.yaml and its encoder, or as `mt.loading.as_data`.
        """
        provenance = read_provenance(folder, ["name"], [CHECKPOINT, HPARAMS])
        self.name = provenance["name"]
        self.revision = str(provenance.get("sha256", provenance["files"][CHECKPOINT]))[:REVISION_LENGTH]
        with as_data(folder):
            self._model = _load(folder)
        self._apart = reads_apart(self._model)

    @property
    def key(self) -> str:
        """The name of this metric wherever scores stand, `comet_<name>`."""
        return f"comet_{self.name}"

    @property
    def signature(self) -> str:
        """What the scores were computed with, in sacreBLEU's manner."""
        return f"nrefs:1|checkpoint:{self.name}|revision:{self.revision}|unbabel-comet:{version('unbabel-comet')}"

    def score(self, srcs: Sequence[str], hyps: Sequence[str], refs: Sequence[str], batch_size: int) -> list[float]:
        """Score each hypothesis, on this process's GPU where there is one, in the order of the input.

        A triple that stands more than once is scored once. An empty hypothesis is scored as it stands. When it is
        done, the checkpoint is in the main memory again, and the GPU's memory is free for others.
        """
        import torch

        triples = list(zip(srcs, hyps, refs, strict=True))
        distinct = list(dict.fromkeys(triples))
        if not distinct:
            return []
        try:
            with quiet():
                found = self._estimated(distinct, batch_size) if self._apart else self._predicted(distinct, batch_size)
        finally:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        scores = dict(zip(distinct, found, strict=True))
        return [scores[triple] for triple in triples]

    def _estimated(self, triples: Sequence[Triple], batch_size: int) -> list[float]:
        """What `predict` gives, by the same methods of the model, each text encoded once, with others as long."""
        import torch

        texts = list(dict.fromkeys(chain.from_iterable(triples)))
        lengths = [len(ids) for ids in self._model.encoder.tokenizer(texts).input_ids]
        order = sorted(range(len(texts)), key=lambda i: lengths[i])
        place = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
        model = self._model.eval().to(place)
        try:
            with torch.inference_mode():
                vectors: Any = torch.empty(len(texts), model.encoder.output_units, device=place)
                for start in range(0, len(order), batch_size):
                    rows = order[start : start + batch_size]
                    read = model.encoder.prepare_sample([texts[i] for i in rows])
                    ids, mask = (read[key].to(place) for key in ("input_ids", "attention_mask"))
                    vectors[rows] = model.get_sentence_embedding(ids, mask)
                row = {text: i for i, text in enumerate(texts)}
                src, hyp, ref = (vectors[[row[text] for text in side]] for side in zip(*triples, strict=True))
                scores: list[float] = model.estimate(src, hyp, ref).score.tolist()
        finally:
            model.cpu()
        return scores

    def _predicted(self, triples: Sequence[Triple], batch_size: int) -> list[float]:
        import torch

        gpu = torch.cuda.is_available()
        try:
            found = self._model.predict(
                [{"src": src, "mt": hyp, "ref": ref} for src, hyp, ref in triples],
                batch_size=batch_size,
                gpus=int(gpu),
                devices=[torch.cuda.current_device()] if gpu else None,
                num_workers=0,
            )
        finally:
            self._model.trainer = None  # it would hold the samples
        scores: list[float] = found["scores"]
        return scores


def reads_apart(model: Any) -> bool:
    """Whether a model of unbabel-comet encodes source, hypothesis and reference each by itself."""
    from comet.models import RegressionMetric

    return type(model) is RegressionMetric


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


def as_computed(values: Any) -> Any:
    """A tensor in the type in which unbabel-comet computes, which may be stored in fewer bits."""
    return values.float() if values.is_floating_point() else values


def _load(folder: Path) -> Any:
    """Load with the encoder's path made absolute, so that the working directory does not matter.

    unbabel-comet makes the model of a checkpoint without its weights, which then take their places.
    """
    import torch
    from ruamel.yaml import YAML

    hparams = _hparams(folder)
    with quiet():
        from comet import load_from_checkpoint
        from transformers.modeling_utils import no_init_weights

        with _fitting(folder):
            # Once this has opened it, there is nothing in it that could run.
            stored = torch.load(folder / CHECKPOINT, map_location="cpu", mmap=True, weights_only=True)
            weights = {name: as_computed(values) for name, values in stored["state_dict"].items()}
        with _opened(folder) as place:
            checkpoint = place / CHECKPOINT
            checkpoint.parent.mkdir(parents=True)
            YAML(typ="safe", pure=True).dump(hparams, place / HPARAMS)
            small = {key: value for key, value in stored.items() if key not in LARGE}
            torch.save({**small, "state_dict": {}}, checkpoint)
            with _fitting(folder), no_init_weights():  # all of them are in the checkpoint, or it is refused below
                model = load_from_checkpoint(str(checkpoint), reload_hparams=True, strict=False, local_files_only=True)
        with _fitting(folder):
            # Weights stay in the file until they are used, as most rows of the embedding never are.
            missing, unexpected = model.load_state_dict(weights, strict=False, assign=True)
    unlike = [name for name in (*missing, *unexpected) if not name.endswith(NO_WEIGHTS)]
    if unlike:
        raise InputError(f"{folder}: the checkpoint does not fit {HPARAMS} and encoder/ (see {min(unlike)}); {MEND}")
    return model


def _hparams(folder: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    again = AGAIN.format(folder)
    try:
        hparams = YAML(typ="safe", pure=True).load(folder / HPARAMS)
    except YAMLError as error:
        raise InputError(f"{folder / HPARAMS}: no plain YAML; {again}") from error
    if not isinstance(hparams, dict):
        raise InputError(f"{folder / HPARAMS}: holds no keys; {again}")
    return {**hparams, "pretrained_model": str((folder / "encoder").resolve())}


@contextmanager
def _fitting(folder: Path) -> Iterator[None]:
    """Tell what does not fit in a checkpoint in one line."""
    try:
        yield
    except pickle.UnpicklingError as error:
        what = "holds more than weights and numbers, which is not unpickled"
        raise InputError(f"{folder / CHECKPOINT}: {what}; {AGAIN.format(folder)}") from error
    except (RuntimeError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise InputError(f"{folder}: unbabel-comet cannot load it ({reason}); {MEND}") from error


@contextmanager
def _opened(folder: Path) -> Iterator[Path]:
    """A folder for a checkpoint without weights; the next run removes what a killed one has left of it."""
    with claimed("opened", {"comet": str(folder.resolve())}, lambda _: 0) as own:
        remove(own / "comet")
        try:
            yield own / "comet"
        finally:
            discard(own)
