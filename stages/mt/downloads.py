"""One file from a URL, in the user's cache folder: there whole or not at all."""

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from tqdm import tqdm

from mt.archives import CHUNK_BYTES, TIMEOUT_SECONDS, locked
from mt.errors import InputError
from mt.files import replacing, sha256


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
    if not path.exists():
        with locked(cache):
            if not path.exists():
                _download(url, path)
    if digest is not None and (found := sha256(path)) != digest:
        raise InputError(f"{path}: its SHA-256 is {found}, not {digest}; remove the file or correct the pinned digest")
    return path


def _download(url: str, path: Path) -> None:
    import requests
    from urllib3.exceptions import HTTPError

    # Servers may call a .gz a compression of the answer; `raw` and this header leave the bytes as they are.
    headers = {"Accept-Encoding": "identity"}
    with replacing(path) as partial, partial.open("wb") as file:
        try:
            with requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, stream=True) as response:
                response.raise_for_status()
                size = int(response.headers.get("Content-Length", 0)) or None
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
