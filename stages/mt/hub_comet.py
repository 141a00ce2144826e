"""A published COMET checkpoint from the model hub: a pickle, which is held to its pinned SHA-256 before it is opened.

Where only a whole unpickling can read it, it is written anew with its weights alone, so that no later stage unpickles.
What unbabel-comet would look up on the hub while it loads, the encoder's configuration and tokenizer, comes with it.
"""

import pickle
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from mt.batched import out_of_memory
from mt.comet import CHECKPOINT, HPARAMS
from mt.errors import InputError
from mt.files import replacing
from mt.files import sha256 as digest_of
from mt.hub import absent, complete, snapshot
from mt.hub_models import CONFIG, TOKENIZER, check_form
from mt.params import FAULTS


def fetch_comet(
    repo: str, revision: str, sha256: str, encoder_repo: str, encoder_revision: str, out: Path
) -> dict[str, str]:
    """Put a COMET checkpoint into the folder `out`, in the layout that `mt.comet.Comet` loads.

    Args:
        repo: of the checkpoint.
        revision: its commit.
        sha256: what checkpoints/model.ckpt must have; nothing of it is opened before.
        encoder_repo: of the encoder that hparams.yaml names; its configuration and tokenizer are taken, no weights.
        encoder_revision: its commit.
        out: the folder.

    Returns:
        path → SHA-256 of every file, as it now is.

    Raises:
        InputError: as `mt.hub.snapshot`; or a file is missing or another than the pinned one.
    """
    files = snapshot(repo, revision, (HPARAMS, CHECKPOINT), out)
    for name in (HPARAMS, CHECKPOINT):
        if name not in files:
            raise absent(repo, revision, name, "name a repository of a COMET checkpoint in comet.repo")
    if files[CHECKPOINT] != sha256:
        raise InputError(
            f"{repo}: the SHA-256 of {CHECKPOINT} is {files[CHECKPOINT]}, not {sha256}; it is a pickle, and was not "
            "opened; correct comet.sha256 if its makers name that digest, else name another revision"
        )
    hparams = _hparams(repo, out / HPARAMS)
    named = str(hparams.get("pretrained_model"))
    if named.rsplit("/", 1)[-1] != encoder_repo.rsplit("/", 1)[-1]:
        raise InputError(f"{repo}: {HPARAMS} names the encoder {named}, not {encoder_repo}; correct comet.encoder_repo")
    encoder = snapshot(encoder_repo, encoder_revision, (CONFIG, *TOKENIZER), out / "encoder")
    check_form(encoder_repo, encoder_revision, encoder, out / "encoder")
    if not _is_plain(out / CHECKPOINT):
        _make_plain(repo, out / CHECKPOINT, hparams)
        files[CHECKPOINT] = digest_of(out / CHECKPOINT)
    complete(repo, revision)
    complete(encoder_repo, encoder_revision)
    files |= {f"encoder/{name}": digest for name, digest in encoder.items()}
    return dict(sorted(files.items()))


def _hparams(repo: str, file: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        hparams = YAML(typ="safe", pure=True).load(file)
    except (YAMLError, *FAULTS) as error:
        raise InputError(f"{repo}: {HPARAMS} is no plain YAML; pin another revision") from error
    if not isinstance(hparams, dict):
        raise InputError(f"{repo}: {HPARAMS} holds no keys; pin another revision")
    return hparams


def _is_plain(checkpoint: Path) -> bool:
    """Whether the file holds nothing but what can be read without running anything."""
    import torch

    if not is_zipfile(checkpoint):  # torch's older form
        return False
    try:
        torch.load(checkpoint, map_location="meta", mmap=True, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError):
        return False
    return True


def _make_plain(repo: str, checkpoint: Path, hparams: dict[str, Any]) -> None:
    """Put weights and hyperparameters alone in the place of a checkpoint whose digest is the pinned one."""
    import torch

    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=False)
        plain = {"state_dict": dict(content["state_dict"]), "hyper_parameters": hparams}
    except Exception as error:  # unpickling a damaged file may raise anything
        if isinstance(error, MemoryError) or out_of_memory(error):
            raise
        raise InputError(f"{repo}: {CHECKPOINT} is no checkpoint; pin another revision") from error
    version = str(content.get("pytorch-lightning_version"))
    with replacing(checkpoint) as partial:
        torch.save(plain | {"pytorch-lightning_version": version}, partial)
