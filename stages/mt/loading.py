"""A model's folder is data: its weights come from safetensors, nothing is unpickled, and no code of its own runs.

Where the folder has a provenance.json, no file is opened before all that it names have the SHA-256 that it names.
"""

import pickle
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mt.batched import out_of_memory
from mt.errors import InputError
from mt.files import digest_of, read_object

SAFE = {"local_files_only": True, "trust_remote_code": False}
"""For every `from_pretrained`; where it loads weights, it is called by `pretrained`."""
PROVENANCE = "provenance.json"
ADAPTER = "adapter_config.json"
SAID = 300
"""How many characters of what a library says are told."""


def check_weights(folder: Path) -> None:
    """Hold a model's folder to weights in safetensors, and to its own.

    Raises:
        InputError: it has none; or there is an adapter beside them, for which transformers would load the model that
            the adapter names, from wherever that is.
    """
    if (adapter := folder / ADAPTER).exists():
        raise InputError(f"{adapter}: an adapter beside a model would take its place; remove it")
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder}: holds no weights in safetensors; name a model or a revision that has them")


def read_provenance(folder: Path, texts: Collection[str], files: Collection[str]) -> dict[str, Any]:
    """Read a folder's provenance.json, and hold every file that it names to the SHA-256 that it names.

    Args:
        folder: the folder.
        texts: keys that must be there besides "files", each with a text.
        files: paths in the folder that "files" must name.

    Raises:
        InputError: it is missing or says something else, or a file is missing or another than the named one.
    """
    place = folder / PROVENANCE
    mend = f"remove {folder} and run `dvc repro`"
    told = read_object(place)
    named = told.get("files")
    if not isinstance(named, dict):
        raise InputError(f"{place}: names no files and their SHA-256; {mend}")
    if lacking := [key for key in texts if not isinstance(told.get(key), str)]:
        raise InputError(f"{place}: has no text under {lacking[0]}; {mend}")
    if lacking := [name for name in files if name not in named]:
        raise InputError(f"{place}: does not name {lacking[0]} and its SHA-256; {mend}")
    for name, digest in named.items():
        if _digest_of(folder / name) != digest:
            raise InputError(f"{folder / name}: is not what {PROVENANCE} names; {mend}")
    return told


def _digest_of(path: Path) -> str | None:
    try:
        return digest_of(path) if path.is_file() else None
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None


@contextmanager
def as_data(folder: Path) -> Iterator[None]:
    """Turn what the libraries say of a folder that is no plain data, or is damaged, into an InputError.

    A folder with code in it is not opened at all: transformers 4.57 runs custom_generate/generate.py of a local folder
    whatever `trust_remote_code` is. Nor is one that holds another by a link, in which code might lie unseen. Want of
    memory is no fault of the folder's, and stays what it is.

    Raises:
        InputError: there is code or a link to a folder, the files are not those of provenance.json, safetensors are
            none, a file would have to be unpickled whole, the model needs code of its own or a package that is not
            installed, or it cannot be loaded for another reason.
    """
    from safetensors import SafetensorError

    if code := min(folder.rglob("*.py"), default=None):
        raise InputError(f"{code}: code beside a model might be run, so nothing here is opened; remove it")
    if link := min((path for path in folder.rglob("*") if path.is_symlink() and path.is_dir()), default=None):
        raise InputError(f"{link}: is a link to a folder, so nothing here is opened; put the folder itself there")
    if (folder / PROVENANCE).exists():
        read_provenance(folder, (), ())
    again = "remove it and run `dvc repro`"
    try:
        yield
    except InputError:
        raise
    except SafetensorError as error:
        raise InputError(f"{folder}: its weights are no safetensors ({_said(error)}); {again}") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{folder}: holds more than weights and numbers, which is not unpickled; {again}") from error
    except ImportError as error:
        said = _said(error)
        raise InputError(f"{folder}: needs a package that is not installed ({said}); name another model") from error
    except Exception as error:  # what a library makes of a damaged file is not known beforehand
        if isinstance(error, MemoryError) or out_of_memory(error):
            raise
        if isinstance(error, ValueError) and "trust_remote_code" in f"{error} {error.__cause__}".lower():
            raise InputError(f"{folder}: needs code of its own, which never runs here; name another model") from error
        said = f"{type(error).__name__}: {_said(error)}"
        raise InputError(f"{folder}: cannot be loaded ({said}); {again}") from error


def _said(error: BaseException) -> str:
    return " ".join(str(error).strip().partition("\n")[0].split())[:SAID]


def pretrained(kind: Any, folder: Path, spare: Collection[str], **options: Any) -> Any:
    """Load a model by `kind.from_pretrained`, from safetensors that hold all of its weights and no others.

    Args:
        kind: a class of transformers.
        folder: the model's.
        spare: modules that the folder may hold besides, such as a head that is not used.
        options: for `from_pretrained`.

    Raises:
        InputError: a weight is missing, would be left over, or has another shape; transformers would go on with random
            numbers.
    """
    model, told = kind.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **options, **SAFE)
    left_over = [name for name in told["unexpected_keys"] if not set(name.split(".")) & set(spare)]
    other_shape = [name for name, *_ in told["mismatched_keys"]]
    check_names(folder, told["missing_keys"], left_over, other_shape)
    return model


def check_names(folder: Path, missing: Iterable[str], left_over: Iterable[str], other_shape: Iterable[str]) -> None:
    """Refuse weights that are not the model's.

    Raises:
        InputError: there is a name among the missing ones, those left over, or those of another shape.
    """
    for what, names in (("lack", missing), ("have besides", left_over), ("have in another shape", other_shape)):
        if name := min(names, default=None):
            mend = "remove it and run `dvc repro`, or name another model"
            raise InputError(f"{folder}: its weights are not those of its configuration: they {what} {name}; {mend}")


def check_finite(folder: Path, weights: Iterable[tuple[str, Any]]) -> None:
    """Refuse weights that are no numbers.

    Raises:
        InputError: one of the tensors holds NaN or an infinity.
    """
    for name, values in weights:
        if values.numel() and not all(bool(end.isfinite()) for end in values.aminmax()):
            raise InputError(f"{folder}: {name} holds weights that are not finite; remove it and run `dvc repro`")
