"""Files in the user's cache folder, downloaded once and there whole or not at all; and those from a URL."""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from tqdm import tqdm

from mt.errors import InputError
from mt.files import replacing, sha256

TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 20


def fetch_url(url: str, digest: str | None, cache: Path) -> Path:
    """Give the file at `url`, under its name there in the folder `cache`, downloaded if it is not there.

    Args:
        url: http or https, ending in the file's name.
        digest: the SHA-256 that the file must have, checked every time; or None.
        cache: the folder of downloads.

    Raises:
        InputError: it cannot be downloaded, or has another digest.
    """
    path = cache / PurePosixPath(urlsplit(url).path).name
    fetched(path, digest, lambda: _download(url, path))
    return path


def fetched(path: Path, digest: str | None, download: Callable[[], None]) -> None:
    """Have `download` make the file, by one process at a time, if it is not there; hold it to a digest every time.

    Raises:
        InputError: what is there is no file, cannot be read, or has another digest than `digest`, where that is given.
    """
    if not path.exists():
        with _locked(path.parent):
            if not path.exists():
                download()
    if digest is None:
        return
    try:
        found = sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); remove it") from error
    if found != digest:
        raise InputError(f"{path}: its SHA-256 is {found}, not {digest}; remove the file or correct the pinned digest")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time download into `folder`; the lock ends with the process, whatever ends it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _download(url: str, path: Path) -> None:
    import requests
    from urllib3.exceptions import HTTPError

    # Servers may call a .gz a compression of the answer; `raw` and this header leave the bytes as they are.
    headers = {"Accept-Encoding": "identity"}
    with replacing(path) as partial, partial.open("wb") as file:
        try:
            with requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, stream=True) as response:
                response.raise_for_status()
                stated = response.headers.get("Content-Length", "")
                size = int(stated) if re.fullmatch("[0-9]{1,18}", stated) else None
                with tqdm(total=size, desc=path.name, unit="B", unit_scale=True, disable=None) as bar:
                    for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                        file.write(chunk)
                        bar.update(len(chunk))
        except (requests.RequestException, HTTPError) as error:
            raise InputError(
                f"{path}: not there, and {url} cannot be downloaded ({_reason(error)}); check the network, or put the "
                "file at that place by hand"
            ) from error


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    return type(error).__name__ if response is None else f"{response.status_code} {response.reason}"
