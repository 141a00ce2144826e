"""Outputs that appear whole or not at all."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from mt.errors import InputError
from mt.values import check, parsed

NOTHING = "none"
PARTIAL = ".partial"
FULL_BELOW_BYTES = 1 << 20
MAX_JSON_BYTES = 64 << 20
"""Of one JSON file, which takes several times as much memory."""
_KNOWN: dict[tuple[Path, int, int, int], str] = {}


def kept() -> Path:
    """$DVC_ROOT/.cache, for work that outlives a run that is cut off; queued experiments share it."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve() / ".cache"


def given(path: Path) -> Path | None:
    """`path`, or None where dvc.yaml put data/none: an input that this stage of a group goes without."""
    return None if path.name == NOTHING else path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a sibling of `path` to write, a file or a folder, and rename it to `path` when the block ends well.

    When the block fails, the sibling is removed and `path` is as it was; what a killed run left is removed first.

    Raises:
        InputError: the disk is full, or the place cannot be written.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(partial)
        yield partial
        _sync(partial)
        if path.is_dir() or partial.is_dir():
            remove(path)
        partial.replace(path)
    except BaseException as error:
        full = _is_full(error, path)
        remove(partial)
        if full:
            raise InputError(f"{_final(path)}: the disk is full; free some space and run the stage again") from error
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            mend = f"make {_final(path.parent)} a folder that can be written to"
            raise InputError(f"{_final(path)}: cannot be written ({error.strerror}); {mend}") from error
        raise


@contextmanager
def together(*paths: Path) -> Iterator[None]:
    """Outputs that belong together: when the block fails, none of them stays."""
    try:
        yield
    except BaseException:
        for path in paths:
            remove(path)
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    with suppress(NotADirectoryError):
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with its line ends as they are, whole or not at all."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.write(text)


def read_json(path: Path) -> Any:
    """Read one JSON file.

    Raises:
        InputError: it is missing, no plain file, too large, cannot be read or is not JSON, as `mt.values.parsed` has
            it.
    """
    try:
        state = path.stat()
        if not S_ISREG(state.st_mode):
            raise InputError(f"{path}: is no plain file; remove it and run `dvc repro`")
        if state.st_size > MAX_JSON_BYTES:
            raise InputError(f"{path}: is larger than {MAX_JSON_BYTES} bytes; remove it and run `dvc repro`")
        content = parsed(path.read_text(encoding="utf-8"))
        json.dumps(content, ensure_ascii=False).encode()
        return content
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found; run `dvc repro` to make it") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); remove it and run `dvc repro`") from error
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: holds half a surrogate pair; remove it and run `dvc repro`") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); remove it and run `dvc repro`") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read one JSON file that holds an object.

    Raises:
        InputError: as `read_json`; or it holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object; remove it and run `dvc repro`")
    return content


def shaped(content: Any, shape: Any, path: Path) -> Any:
    """What was read from a JSON file, once it is known to have a shape, see `mt.values.check`.

    Raises:
        InputError: it has another.
    """
    try:
        check(content, shape, "")
    except ValueError as error:
        raise InputError(f"{path}: {error}; remove the file and run `dvc repro`") from error
    return content


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(path: Path) -> str:
    """The file's SHA-256, computed once in this process for as long as the file stays as it is."""
    state = path.stat()
    key = (path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns)
    if key not in _KNOWN:
        _KNOWN[key] = sha256(path)
    return _KNOWN[key]


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file of a folder, by the path inside it."""
    if not path.is_dir():
        return {"": digest_of(path)}
    return {file.relative_to(path).as_posix(): digest_of(file) for file in sorted(path.rglob("*")) if file.is_file()}


def _final(path: Path) -> Path:
    """Where a file inside unfinished folders will stand."""
    parts = (part[1:].removesuffix(PARTIAL) if part.endswith(PARTIAL) else part for part in path.parts)
    return Path(*parts)


def _is_full(error: BaseException, path: Path) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not isinstance(error, Exception) or isinstance(error, InputError):
        return False
    # safetensors, torch and shutil.copytree report a full disk as errors of their own; torch's only leaves it full.
    return os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(path.parent).free < FULL_BELOW_BYTES


def _sync(path: Path) -> None:
    for file in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
