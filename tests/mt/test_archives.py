"""mt.archives: what is fetched is what was pinned, and one member of it is all that is read."""

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from itertools import chain, repeat
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

import mt.archives
from bounded import gzipped, outcome, sparse, tar_header, zeros
from mt.archives import MAX_BYTES, Archive, copy_member, fetch, member_bytes, tar_members, user_cache
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


def zip64(size: int) -> bytes:
    """A zip whose directory states a size of 64 bits."""
    content = with_size(2**32 - 1)
    at, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    extra = struct.pack("<HHQ", 1, 8, size)
    directory = bytearray(content[at:end] + extra)
    directory[30:32] = len(extra).to_bytes(2, "little")
    return content[:at] + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(directory), at, 0)


def with_method(method: int) -> bytes:
    """A zip whose member is compressed in another way."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr("pkg/data.bin", CONTENT)
    return out.getvalue()


def with_place(place: int) -> bytes:
    """A zip whose directory states another place than the member's."""
    content = bytearray(wheel({"pkg/data.bin": CONTENT}))
    at = content.index(b"PK\x01\x02") + 42
    content[at : at + 4] = place.to_bytes(4, "little")
    return bytes(content)


def not_utf8() -> bytes:
    """A zip one of whose names is said to be UTF-8 and is not."""
    return wheel({"pkg/data.bin": b"x", "猫": b"x"}).replace("猫".encode(), b"\xff\xff\xff")


def tar_of(blocks: bytes) -> bytes:
    """A tar.gz of these blocks and what ends one."""
    return gzip.compress(blocks + bytes(1024), mtime=0)


def pax(records: bytes) -> bytes:
    """An extended header of a tar."""
    return tar_header("x", len(records), tarfile.XHDTYPE) + records + bytes(-len(records) % 512)


GOOD_MEMBER = tar_header("pkg/data.bin", 4) + b"good" + bytes(508)
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
        (ZIP, with_size(2**32 - 2), f"has 4294967294 bytes, more than {MAX_BYTES}"),
        (ZIP, zip64(2**60), f"has {2**60} bytes, more than {MAX_BYTES}"),
        (ZIP, with_method(zipfile.ZIP_LZMA), "compression method 14"),
        (ZIP, with_place(2**32 - 2), "cannot be read"),
        (ZIP, wheel({"pkg/data.bin": CONTENT}).replace(b"PK\x03\x04", b"PK\x03\x05"), "cannot be read"),
        (ZIP, not_utf8(), "cannot be read"),
        (TAR, tar_of(tar_header("pkg/data.bin", 2**60)), f"has {2**60} bytes, more than {MAX_BYTES}"),
        (TAR, tar_of(tar_header("a", 2**60) + GOOD_MEMBER), "cannot be read .unexpected end"),
        (TAR, tar_of(tar_header("a", -(2**40)) + GOOD_MEMBER), "cannot be read .a header leads back"),
        (TAR, tar_of(tar_header("a", 1 << 20, tarfile.XHDTYPE) + bytes(1 << 20)), "1048576 bytes are to be read"),
        (TAR, tar_of(tar_header("a", 1 << 20, tarfile.GNUTYPE_LONGNAME) + bytes(1 << 20)), "1048576 bytes are to be"),
        (TAR, tar_of(pax(b"9" * 5000) + GOOD_MEMBER), "holds a number of 100 digits"),
        (TAR, tar_of(pax(b"30 GNU.sparse.map=0,99999999\n") + GOOD_MEMBER), "plain file"),
        (TAR, tar_of(pax(b"23 GNU.sparse.size=x\n") + GOOD_MEMBER), "cannot be read"),
        (TAR, tar_of(tar_header("a", 0, tarfile.XHDTYPE) * 2000), "cannot be read"),
    ],
    ids=[
        "zip without", "tar with ..", "zip link", "encrypted", "symlink", "hard link", "device", "folder", "no zip",
        "no tar", "cut tar", "broken directory", "states more", "states less", "states 4 GB",
        "states 2^60", "another method", "place past the end", "broken header", "name that is no UTF-8",
        "tar states 2^60", "another states 2^60", "leads back", "long header", "long name", "long number", "sparse",
        "size that is no number", "headers of headers",
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


def members(path: Path, content: bytes) -> list[tuple[str, bytes | None]]:
    """All members of a tar.gz."""
    path.write_bytes(content)
    return [(info.name, source.read() if source else None) for info, source in tar_members(path)]


def test_members_come_in_their_order_and_only_plain_files_have_content(tmp_path):
    infos = [tarfile.TarInfo("a"), link("l", "/etc/passwd"), link("d", "", tarfile.DIRTYPE), tarfile.TarInfo("長" * 60)]
    content = tarball([(infos[0], b"x" * 513), *((info, b"") for info in infos[1:3]), (infos[3], CONTENT)])
    assert members(tmp_path / "a.tar.gz", content) == [
        ("a", b"x" * 513), ("l", None), ("d", None), ("長" * 60, CONTENT)
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["second header", "after the end"])
def test_a_tar_does_not_end_where_it_is_damaged(tmp_path, damage):
    blocks = GOOD_MEMBER + GOOD_MEMBER[:3] + b"!" + GOOD_MEMBER[4:]
    blocks = blocks if damage == "second header" else GOOD_MEMBER + bytes(1024) + b"!" * 512
    with pytest.raises(tarfile.ReadError, match="a header is damaged"):
        members(tmp_path / "a.tar.gz", tar_of(blocks))


def test_a_tar_without_its_end_is_read(tmp_path):
    assert members(tmp_path / "a.tar.gz", gzip.compress(GOOD_MEMBER)) == [("pkg/data.bin", b"good")]


def test_a_tar_has_only_so_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(mt.archives, "MAX_MEMBERS", 3)
    assert len(members(tmp_path / "a.tar.gz", tar_of(GOOD_MEMBER * 3))) == 3
    with pytest.raises(tarfile.ReadError, match="it has more than 3 members"):
        members(tmp_path / "a.tar.gz", tar_of(GOOD_MEMBER * 4))


EXTENDED = tar_header("a", 0, tarfile.GNUTYPE_SPARSE)[:482] + b"\1" + bytes(29)
"""A sparse member whose map goes on in the next block."""


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        (lambda: chain([tar_header("a", 1 << 28, tarfile.XHDTYPE)], zeros(1 << 28)), "268435456 bytes are to be read"),
        (
            lambda: chain([tar_header("a", 1 << 28, tarfile.GNUTYPE_LONGLINK)], zeros(1 << 28)),
            "268435456 bytes are to be",
        ),
        (
            lambda: chain([checked(EXTENDED)], repeat((b"1" * 11 + b" ") * 42 + b"\1\0\0\0\0\0\0\0", 500_000)),
            "0 are the most",
        ),
        (
            lambda: chain([tar_header("pkg/data.bin", 1 << 29)], zeros(1 << 29)),
            f"536870912 bytes, more than {MAX_BYTES}",
        ),
        (lambda: chain([tar_header("a", 1 << 29)], zeros(1 << 29), [GOOD_MEMBER]), "read"),
    ],
    ids=["a header", "a name", "a map of holes", "a member", "another member"],
)
def test_a_bomb_takes_no_memory(tmp_path, chunks, said):
    path = gzipped(tmp_path / TAR, chunks())
    pin = f"Archive('pkg', '1.0', '{TAR}', '{mt.archives.sha256(path)}', 'pkg/data.bin')"
    call = f"member_bytes({pin}, path.parent)"
    assert said in outcome("from mt.archives import Archive, member_bytes", call, path, megabytes=24)


def checked(header: bytes) -> bytes:
    """A header with its checksum."""
    return header[:148] + b"%06o\0 " % (sum(header[:148]) + 8 * ord(" ") + sum(header[156:])) + header[156:]


def test_a_large_member_is_copied_piece_by_piece(tmp_path):
    path = tmp_path / ZIP
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("m", "w") as member:
        for chunk in zeros(1 << 28):
            member.write(chunk)
    pin = f"Archive('pkg', '1.0', '{ZIP}', '{mt.archives.sha256(path)}', 'm')"
    call = f"copy_member({pin}, path.parent, open('/dev/null', 'wb'))"
    assert outcome("from mt.archives import Archive, copy_member", call, path, megabytes=24) == "read"


@pytest.mark.parametrize("kind", ["folder", "large"])
def test_what_lies_in_place_of_an_archive(tmp_path, kind):
    pinned = archive(b"")
    path = tmp_path / pinned.file
    path.mkdir() if kind == "folder" else sparse(path, 1 << 20)
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\); remove it|its SHA-256 is"):
        fetch(pinned, tmp_path)
