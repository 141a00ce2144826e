"""Get one model of another's making, checked, in the form that the other stages load.

In: the pinned archives of the model, from the package index or the user's cache; or a pinned commit of a repository on
the model hub.

Out: a folder with provenance.json (name, license, revision, format, archives, the SHA-256 of each file, and, for `hub`,
repo), and

- format `gguf`: a Hugging Face causal language model with its tokenizer (mt.gemma);
- format `e5_q4`: a Hugging Face XLMRobertaModel with its tokenizer (mt.e5);
- format `fasttext`: lid.176.ftz;
- format `hub`: a causal, sequence-to-sequence or encoder model as it stands in the repository (mt.hub_models);
- format `none`: nothing, for a model that the study goes without.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mt.archives import Archive, copy_member, user_cache
from mt.cli import main
from mt.e5 import convert as convert_e5
from mt.errors import InputError
from mt.files import digests, replacing, sha256, write_json
from mt.gemma import convert as convert_gguf
from mt.hub import check_pin
from mt.hub_models import fetch_model
from mt.lid import FILE as LID_FILE
from mt.pins import check_sha256

PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Paths:
    """The folder to write."""

    out: Path


@dataclass(frozen=True)
class Model:
    """Where a model comes from: `archives` that hold its parts, in order, or `repo` and its commit `revision`."""

    name: str
    license: str
    format: Literal["gguf", "e5_q4", "fasttext", "hub", "none"]
    repo: str | None
    revision: str | None
    sha256: str | None
    archives: tuple[Archive, ...]

    def __post_init__(self) -> None:
        for key in ("name", "license"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key}: must not be empty; write what the model's makers write")
        if self.format == "hub":
            check_pin(self.repo, self.revision)
        else:
            for key in ("repo", "revision"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: must be null for the format {self.format}, which is not of the hub")
        if self.format in ("hub", "none"):
            if self.sha256 is not None or self.archives:
                raise ValueError(f"sha256 and archives: must be null and [] for the format {self.format}")
            return
        if not self.archives:
            raise ValueError("archives: must name the archives that hold the model, in the order of its parts")
        if self.sha256 is None:
            raise ValueError("sha256: must be the SHA-256 of the joined members; sha256sum prints it")
        check_sha256(self.sha256)


@dataclass(frozen=True)
class Params:
    """What the stage reads of params.yaml; `--at model=models.encoder` says which model."""

    model: Model


def run(paths: Paths, params: Params) -> None:
    """Write the model's folder, whole or not at all.

    Raises:
        InputError: an archive or a repository cannot be had, or is not the pinned one, or does not hold the model.
    """
    model = params.model
    with replacing(paths.out) as partial:
        partial.mkdir()
        if model.repo and model.revision:
            files = fetch_model(model.repo, model.revision, partial)
        else:
            if model.archives:
                unpack(model, partial)
            files = digests(partial)
        write_json(partial / PROVENANCE, provenance(model, files))


def unpack(model: Model, out: Path) -> None:
    """Write what the archives hold, in the form that the other stages load."""
    packed = out / f"packed.{model.format}"
    join(model, user_cache(), packed)
    if model.format == "gguf":
        convert_gguf(packed, out)
    elif model.format == "e5_q4":
        convert_e5(packed, out)
    else:
        packed.rename(out / LID_FILE)
    packed.unlink(missing_ok=True)


def join(model: Model, cache: Path, out: Path) -> None:
    """Write the archives' members to `out`, one after the other, and check the whole.

    Raises:
        InputError: as `mt.archives.copy_member`, or the whole has another digest than the pinned one.
    """
    with out.open("wb") as file:
        for archive in model.archives:
            copy_member(archive, cache, file)
    if (found := sha256(out)) != model.sha256:
        members = " + ".join(archive.member for archive in model.archives)
        raise InputError(
            f"{model.name}: the SHA-256 of {members} is {found}, not {model.sha256}; "
            "correct the model's sha256, or its archives and their order, in params.yaml"
        )


def provenance(model: Model, files: dict[str, str]) -> dict[str, object]:
    """Say what the folder's files are; the revision is the commit, or the digest of the joined members."""
    told: dict[str, object] = {
        "name": model.name,
        "license": model.license,
        "revision": model.revision or model.sha256,
        "format": model.format,
        "archives": [asdict(archive) for archive in model.archives],
        "files": files,
    }
    return told | {"repo": model.repo} if model.repo else told


if __name__ == "__main__":
    main(run, Paths, Params)
