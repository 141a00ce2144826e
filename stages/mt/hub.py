"""Files of a repository on the model hub, pinned by commit, as data.

huggingface_hub gets them, and its settings hold: HF_HUB_OFFLINE, HF_HOME, HF_HUB_CACHE, HF_TOKEN and the like. Files
that hold code, or that are read by unpickling, are not fetched, unless a pattern is their full name.
"""

import errno
import os
import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from mt.errors import InputError
from mt.files import remove, sha256
from mt.links import link
from mt.pins import COMMIT, SHA256

REFUSED = ("*.py", "*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.joblib", "*.npy", "*.msgpack", "*.h5")
"""Code, pickles, and weights in forms that the pipeline does not read."""
REPO = re.compile(r"\w+([.-]\w+)*/\w+([.-]\w+)*", re.ASCII)
MARK = ".gitattributes"
"""The file that every repository on the hub begins with. `complete` fetches it last, and `hf download` with all."""


def check_pin(repo: str | None, revision: str | None, prefix: str = "") -> None:
    """Raise ValueError where these do not name a repository and one commit of it; `prefix` begins the keys' names."""
    if repo is None or not REPO.fullmatch(repo):
        raise ValueError(
            f"{prefix}repo: {repo!r} must be a repository's owner and name, such as mistralai/Mistral-7B-v0.3"
        )
    if revision is None or not COMMIT.fullmatch(revision):
        raise ValueError(
            f"{prefix}revision: {revision!r} must be the 40 hexadecimal digits of a commit; "
            f"the page of {repo} lists its commits"
        )


def snapshot(repo: str, revision: str, patterns: Collection[str], out: Path) -> dict[str, str]:
    """Get the files that match a pattern, and put them under the folder `out`, at their paths in the repository.

    Args:
        repo: owner/name.
        revision: a commit, 40 hexadecimal digits.
        patterns: paths with wildcards, which do not reach over a slash.
        out: a folder; files are hard links into the hub's cache where they can be, else copies.

    Returns:
        path → SHA-256 in hexadecimal, in the order of the paths. A pattern that matches nothing is no error.

    Raises:
        InputError: the repository, the revision or the network cannot be had, a file is not what the hub says, or
            there is nothing but a cache that may lack some of the repository's files.
    """
    folder = _download(repo, revision, patterns)
    if not (folder / MARK).exists() and not _lists(repo, revision):
        raise InputError(
            f"{folder}: may hold a part of {repo} alone, since {MARK} is not there, and the hub cannot be asked; run "
            f"`hf download {repo} --revision {revision}` where it can be reached, and bring that cache"
        )
    digests = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if _wanted(name, patterns):
            link(path, out / name)
            digests[name] = _digest(path.resolve(), out / name)
    return digests


def complete(repo: str, revision: str) -> None:
    """Mark in the cache that all came that is needed of a revision, for a time when the hub cannot be asked."""
    _download(repo, revision, (MARK,))


def absent(repo: str, revision: str, what: str, mend: str) -> InputError:
    """The error for a file that a repository must have and that did not come."""
    from huggingface_hub import constants

    cached = (
        f", as far as {constants.HF_HUB_CACHE} knows, and HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
    )
    return InputError(f"{repo}: revision {revision} has no {what}{cached}; {mend}")


def _wanted(name: str, patterns: Collection[str]) -> bool:
    if name in patterns:
        return True
    if any(fnmatchcase(name, refused) for refused in REFUSED):
        return False
    parts = name.split("/")
    asked = (pattern.split("/") for pattern in patterns)
    return any(len(one) == len(parts) and all(map(fnmatchcase, parts, one)) for one in asked)


def _digest(blob: Path, file: Path) -> str:
    """The file's SHA-256, held to the blob's name where that is one, as it is for large files."""
    digest = sha256(file)
    if SHA256.fullmatch(blob.name) and blob.name != digest:
        remove(file)
        raise InputError(
            f"{blob}: its SHA-256 is {digest}, not the one that the hub gave, which is its name; "
            "remove the file and run the stage again"
        )
    return digest


def _lists(repo: str, revision: str) -> bool:
    """Whether the hub says what the revision holds; if not, huggingface_hub takes for all what the cache holds."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled
    from requests import RequestException

    try:
        HfApi().model_info(repo, revision=revision)
    except (OfflineModeIsEnabled, RequestException):
        return False
    return True


def _download(repo: str, revision: str, patterns: Collection[str]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from requests import RequestException

    page = f"{constants.ENDPOINT}/{repo}"
    refused = [pattern for pattern in REFUSED if not any(fnmatchcase(asked, pattern) for asked in patterns)]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(patterns), ignore_patterns=refused))
    except GatedRepoError as error:
        raise InputError(
            f"{repo}: its licence must be accepted first; do so at {page}, and set HF_TOKEN to a token of that account"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{repo}: the hub has no such repository, or keeps it private; correct its name in params.yaml, "
            "or set HF_TOKEN to a token that may read it"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(f"{repo}: has no revision {revision}; take one of those at {page}/commits/main") from error
    except LocalEntryNotFoundError as error:
        _not_cached(repo, revision, error)
    except RequestException as error:
        raise InputError(
            f"{repo}: {_answer(error)}; check the network and HF_TOKEN, and run the stage again"
        ) from error
    except PermissionError as error:
        raise InputError(
            f"{constants.HF_HUB_CACHE}: cannot be written ({error.strerror}); set HF_HOME to a folder that can be"
        ) from error
    except (RuntimeError, OSError) as error:  # of hf_xet; and of a file that came short, which has no errno
        if getattr(error, "errno", None) is not None or os.strerror(errno.ENOSPC) in str(error):
            raise
        raise InputError(f"{repo}: the download broke off; run the stage again, and it goes on") from error


def _not_cached(repo: str, revision: str, error: Exception) -> NoReturn:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise InputError(
            f"{repo}: revision {revision} is not in {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set; "
            "unset it, or set HF_HUB_CACHE to a cache that holds it"
        ) from error
    reason = _answer(error.__cause__ or error)
    raise InputError(
        f"{repo}: revision {revision} is not in {constants.HF_HUB_CACHE}, and {reason}; "
        "check the network and HF_TOKEN, or bring a cache that holds it and set HF_HUB_CACHE"
    ) from error


def _answer(error: BaseException) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"the hub answers {status}" if status else f"the hub cannot be reached ({type(error).__name__})"
