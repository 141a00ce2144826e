"""A published COMET checkpoint from the model hub: a pickle, which is held to its pinned SHA-256 before it is opened.

What unbabel-comet would look up on the hub while it loads, the encoder's configuration and tokenizer, comes with it.
"""

from pathlib import Path
from typing import Any

from mt.comet import CHECKPOINT, HPARAMS
from mt.errors import InputError
from mt.hub import absent, complete, snapshot
from mt.hub_models import CONFIG, TOKENIZER, check_form


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
        path → SHA-256 of every file.

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
    named = str(_hparams(repo, out / HPARAMS).get("pretrained_model"))
    if named.rsplit("/", 1)[-1] != encoder_repo.rsplit("/", 1)[-1]:
        raise InputError(f"{repo}: {HPARAMS} names the encoder {named}, not {encoder_repo}; correct comet.encoder_repo")
    encoder = snapshot(encoder_repo, encoder_revision, (CONFIG, *TOKENIZER), out / "encoder")
    check_form(encoder_repo, encoder_revision, encoder, out / "encoder")
    complete(repo, revision)
    complete(encoder_repo, encoder_revision)
    files |= {f"encoder/{name}": digest for name, digest in encoder.items()}
    return dict(sorted(files.items()))


def _hparams(repo: str, file: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        hparams = YAML(typ="safe", pure=True).load(file)
    except YAMLError as error:
        raise InputError(f"{repo}: {HPARAMS} is no plain YAML; pin another revision") from error
    if not isinstance(hparams, dict):
        raise InputError(f"{repo}: {HPARAMS} holds no keys; pin another revision")
    return hparams
