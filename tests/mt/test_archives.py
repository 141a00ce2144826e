"""mt.archives: what is fetched is what was pinned, and one member of it is all that is read."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from mt.archives import Archive, copy_member, fetch, member_bytes, user_cache
from mt.errors import InputError

CONTENT = bytes(range(256)) * 1000


class Index:
    """Stands for PyPISimple: lists and serves the files of `served`, or has no network."""

    served: ClassVar[dict[str, bytes] | None] = {}
    downloads: ClassVar[int] = 0

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *_: object) -> None: ...

    def get_project_page(self, _project: str, timeout: float) -> "Index":
        assert timeout
        if self.served is None:
            raise requests.ConnectionError("name resolution failed\nfor good")
        self.packages = [type("Package", (), {"filename": name}) for name in self.served]
        return self

    def download_package(self, package: Any, path: Path, **_: object) -> None:
        Index.downloads += 1
        assert self.served
        path.write_bytes(self.served[package.filename])


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> type[Index]:
    """An empty index in PyPI's place."""
    monkeypatch.setattr("pypi_simple.PyPISimple", Index)
    monkeypatch.setattr(Index, "served", {})
    monkeypatch.setattr(Index, "downloads", 0)
    return Index


def wheel(members: dict[str, bytes]) -> bytes:
    """A zip with the members, compressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def tarball(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar.gz with the members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        for info, content in members:
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A tar entry that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def archive(content: bytes, file: str = "pkg-1.0-py3-none-any.whl", member: str = "pkg/data.bin") -> Archive:
    """Pin the content."""
    return Archive("pkg", "1.0", file, hashlib.sha256(content).hexdigest(), member)


def put(cache: Path, pinned: Archive, content: bytes) -> Path:
    """Put the archive in the cache by hand."""
    path = cache / pinned.file
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("pkg-1.0-py3-none-any.whl", wheel({"other": b"x", "pkg/data.bin": CONTENT})),
        ("pkg-1.0.tar.gz", tarball([(tarfile.TarInfo("other"), b"x"), (tarfile.TarInfo("pkg/data.bin"), CONTENT)])),
    ],
    ids=["wheel", "sdist"],
)
def test_member_is_downloaded_once_and_nothing_else_is_written(tmp_path, index, file, content):
    index.served = {"another-file.whl": b"", file: content}
    pinned = archive(content, file)
    assert member_bytes(pinned, tmp_path / "cache") == CONTENT
    assert member_bytes(pinned, tmp_path / "cache") == CONTENT
    assert index.downloads == 1
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["cache", f"cache/{file}"]


def test_copy_appends(tmp_path):
    content = wheel({"a": b"one", "b": b"two"})
    put(tmp_path, archive(content), content)
    out = io.BytesIO()
    for member in ("b", "a"):
        copy_member(archive(content, member=member), tmp_path, out)
    assert out.getvalue() == b"twoone"


def test_one_flipped_byte_in_the_cache_is_named_with_both_digests(tmp_path, index):
    content = wheel({"pkg/data.bin": CONTENT})
    index.served = {archive(content).file: content}
    path = fetch(archive(content), tmp_path)
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError) as error:
        member_bytes(archive(content), tmp_path)
    for part in (str(path), archive(content).sha256, hashlib.sha256(damaged).hexdigest(), "remove"):
        assert part in str(error.value)
    assert path.read_bytes() == damaged
    path.unlink()
    assert member_bytes(archive(content), tmp_path) == CONTENT


def test_a_download_with_another_digest_leaves_nothing(tmp_path, index):
    content = wheel({"pkg/data.bin": CONTENT})
    index.served = {archive(content).file: content + b"\0"}
    with pytest.raises(InputError) as error:
        fetch(archive(content), tmp_path)
    assert archive(content).sha256 in str(error.value)
    assert hashlib.sha256(content + b"\0").hexdigest() in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("served", [None, {"pkg-0.9-py3-none-any.whl": b""}], ids=["no network", "not listed"])
def test_what_cannot_be_downloaded_can_be_put_there_by_hand(tmp_path, index, served):
    index.served = served
    content = wheel({"pkg/data.bin": CONTENT})
    pinned = archive(content)
    with pytest.raises(InputError) as error:
        fetch(pinned, tmp_path)
    message = str(error.value)
    assert "\n" not in message
    for part in ("pkg 1.0", pinned.file, pinned.sha256, str(tmp_path / pinned.file), "by hand"):
        assert part in message
    assert list(tmp_path.iterdir()) == []
    put(tmp_path, pinned, content)
    assert member_bytes(pinned, tmp_path) == CONTENT


def encrypted() -> bytes:
    """A zip whose entry says that it is encrypted, in both of its headers."""
    content = bytearray(wheel({"pkg/data.bin": b"secret"}))
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def zip_link() -> bytes:
    """A zip whose entry is a symbolic link."""
    info = zipfile.ZipInfo("pkg/data.bin")
    info.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(info, "/etc/passwd")
    return out.getvalue()


def with_size(size: int) -> bytes:
    """A zip whose directory states another size than the member has."""
    content = bytearray(wheel({"pkg/data.bin": CONTENT}))
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = size.to_bytes(4, "little")
    return bytes(content)


ZIP, TAR = "pkg-1.0.zip", "pkg-1.0.tar.gz"
GOOD_TAR = tarball([(tarfile.TarInfo("pkg/data.bin"), CONTENT)])


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (ZIP, wheel({"pkg/other.bin": b""}), "has no member pkg/data.bin"),
        (TAR, tarball([(tarfile.TarInfo("../pkg/data.bin"), b"")]), "has no member pkg/data.bin"),
        (ZIP, zip_link(), "plain file"),
        (ZIP, encrypted(), "plain file"),
        (TAR, tarball([(link("pkg/data.bin", "/etc/passwd"), b"")]), "plain file"),
        (TAR, tarball([(link("pkg/data.bin", "x", tarfile.LNKTYPE), b"")]), "plain file"),
        (TAR, tarball([(link("pkg/data.bin", "", tarfile.CHRTYPE), b"")]), "plain file"),
        (TAR, tarball([(link("pkg/data.bin", "", tarfile.DIRTYPE), b"")]), "plain file"),
        (ZIP, b"no zip", "cannot be read"),
        (TAR, b"no tar", "cannot be read"),
        (TAR, GOOD_TAR[: len(GOOD_TAR) // 2], "cannot be read"),
        (ZIP, wheel({"pkg/data.bin": CONTENT}).replace(b"PK\x01\x02", b"PK\x01\x03"), "cannot be read"),
        (ZIP, with_size(len(CONTENT) + 1), f"not the {len(CONTENT) + 1} bytes"),
        (ZIP, with_size(len(CONTENT) - 1), "cannot be read"),
        (ZIP, with_size(2**32 - 2), "not the 4294967294 bytes"),
    ],
    ids=[
        "zip without", "tar with ..", "zip link", "encrypted", "symlink", "hard link", "device", "folder", "no zip",
        "no tar", "cut tar", "broken directory", "states more", "states less", "states 4 GB",
    ],
)  # fmt: skip
def test_a_member_that_cannot_be_had_is_an_input_error(tmp_path, file, content, says):
    pinned = archive(content, file)
    put(tmp_path, pinned, content)
    with pytest.raises(InputError, match=says) as error:
        member_bytes(pinned, tmp_path)
    assert str(tmp_path / file) in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("file", "../pkg.whl"),
        ("file", "folder/pkg.whl"),
        ("file", "pkg.tar.bz2"),
        ("file", ""),
        ("package", "a/b"),
        ("sha256", "a" * 63),
        ("sha256", "A" * 64),
        ("member", "/etc/passwd"),
        ("member", "pkg/../../x"),
        ("member", ""),
    ],
)
def test_a_pin_that_makes_no_sense_is_refused_and_names_its_field(field, value):
    fields = {"package": "p", "version": "1", "file": "p.whl", "sha256": "0" * 64, "member": "p/x"}
    with pytest.raises(ValueError, match=f"^{field}: "):
        Archive(**{**fields, field: value})


def test_user_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "honyaku"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache() == tmp_path / "home" / ".cache" / "honyaku"
