"""Outputs appear whole or not at all: after a failure, after a kill, on a full disk."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.errors import InputError
from mt.files import digests, read_json, read_object, remove, replacing, sha256, write_json, write_text
from mt.files import given as given_input
from mt.segments import write_segments

STAGES = Path(__file__).parents[2] / "stages"
FULL = "the disk is full; free some space and run the stage again"


class Stop(BaseException):
    """As a signal would end the block."""


def tree(folder: Path) -> dict[str, str]:
    """Everything under a folder: path → content, folders with an empty one."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def write_file(partial: Path) -> None:
    partial.write_text("new", encoding="utf-8")


def write_folder(partial: Path) -> None:
    (partial / "deep").mkdir(parents=True)
    (partial / "deep" / "b").write_text("new", encoding="utf-8")


def fail_after(write: Callable[[Path], None], out: Path, error: BaseException) -> None:
    """Write half of an output, then fail."""
    with replacing(out) as partial:
        write(partial)
        raise error


@pytest.fixture(params=["file", "folder"])
def write(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    return write_file if request.param == "file" else write_folder


OLD = {
    "nothing": {},
    "a file": {"out": "old"},
    "a folder": {"out": "", "out/a": "old"},
}


@pytest.fixture(params=OLD)
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The path to write, with an earlier output in its place or none."""
    for name, content in OLD[request.param].items():
        path = tmp_path / name
        if content:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
    return tmp_path / "out"


def test_puts_the_new_in_the_place_of_the_old(out: Path, write: Callable[[Path], None]) -> None:
    with replacing(out) as partial:
        assert partial.parent == out.parent
        write(partial)
    expected = {"out": "new"} if write is write_file else {"out": "", "out/deep": "", "out/deep/b": "new"}
    assert tree(out.parent) == expected


def test_the_old_stands_until_the_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old", encoding="utf-8")
    with replacing(out) as partial:
        write_file(partial)
        assert out.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("error", [ValueError("no"), InputError("no"), Stop(), KeyboardInterrupt()], ids=repr)
def test_a_failure_leaves_the_old_alone(out: Path, write: Callable[[Path], None], error: BaseException) -> None:
    before = tree(out.parent)
    with pytest.raises(type(error)) as raised:
        fail_after(write, out, error)
    assert raised.value is error
    assert tree(out.parent) == before


def test_makes_the_folders_above(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "text")
    assert tree(tmp_path) == {"a": "", "a/b": "", "a/b/c.txt": "text"}


def test_a_block_that_writes_nothing_is_an_error(out: Path) -> None:
    before = tree(out.parent)
    with pytest.raises(FileNotFoundError), replacing(out):
        pass
    assert tree(out.parent) == before


@pytest.mark.parametrize("leftover", [write_file, write_folder])
def test_what_a_killed_run_left_goes_first(
    tmp_path: Path, write: Callable[[Path], None], leftover: Callable[[Path], None]
) -> None:
    with replacing(tmp_path / "out") as partial:
        name = partial.name
        write(partial)
    expected = tree(tmp_path)
    leftover(tmp_path / name)
    with replacing(tmp_path / "out") as partial:
        assert not partial.exists()
        write(partial)
    assert tree(tmp_path) == expected


def test_a_killed_run_leaves_the_old_and_the_next_one_mends(tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    out.write_text("old", encoding="utf-8")
    script = (
        "import os, signal, sys; from pathlib import Path; from mt.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(STAGES)}
    done = subprocess.run([sys.executable, "-c", script, str(out)], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    assert out.read_text(encoding="utf-8") == "old"
    assert len(tree(tmp_path)) == 2
    write_text(out, "new")
    assert tree(tmp_path) == {"out.txt": "new"}


def failing(code: int) -> Callable[..., None]:
    """A call into the system that fails."""

    def call(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    return call


class FullFile(io.FileIO):
    """A file on a disk on which there is room for eight bytes more."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data) or 0


class Writer(NamedTuple):
    """One of the ways in which a stage writes: what it writes by default, and much of it."""

    name: str
    call: Callable[[Path], None]


WRITERS = [
    Writer("text", lambda path: write_text(path, "text " * 1_000_000)),
    Writer("json", lambda path: write_json(path, ["json"] * 1_000_000)),
    Writer(
        "segments", lambda path: write_segments(path, ({"id": str(i), "src": "text " * 100} for i in range(10_000)))
    ),
]


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_a_full_disk_at_the_write_call(writer: Writer, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def opened(self: Path, mode: str = "r", **options: Any) -> Any:
        if "w" not in mode:
            return real(self, mode, **options)
        file = io.BufferedWriter(FullFile(self, "w"))
        return file if "b" in mode else io.TextIOWrapper(file, encoding="utf-8", newline="")

    before = tree(out.parent)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(InputError) as raised:
            writer.call(out)
    assert str(raised.value) == f"{out}: {FULL}"
    assert tree(out.parent) == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["disk", "quota"])
def test_a_full_disk_at_the_last_moment(
    code: int, out: Path, write: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(out.parent)
    monkeypatch.setattr("mt.files.os.fsync", failing(code))
    with pytest.raises(InputError, match="the disk is full"), replacing(out) as partial:
        write(partial)
    assert tree(out.parent) == before


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(
    ("error", "free", "expected"),
    [
        pytest.param(RuntimeError("unexpected pos 64 vs 0"), 1000, InputError, id="a library's error, full"),
        pytest.param(RuntimeError("unexpected pos 64 vs 0"), 1 << 30, RuntimeError, id="a library's error, room left"),
        pytest.param(
            shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]),
            1 << 30,
            InputError,
            id="of a copy, full",
        ),
        pytest.param(shutil.Error([("a", "b", "[Errno 5] Input/output error")]), 1 << 30, shutil.Error, id="of a copy"),
        pytest.param(InputError("no pair fits"), 1000, InputError, id="a mendable error, full"),
        pytest.param(Stop(), 1000, Stop, id="a signal, full"),
        pytest.param(OSError(errno.EIO, "Input/output error"), 1000, OSError, id="another error of the system, full"),
    ],
)
def test_asks_for_the_space_where_the_error_does_not_tell(
    error: BaseException, free: int, expected: type[BaseException], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(out.parent)
    monkeypatch.setattr("mt.files.shutil.disk_usage", lambda _: Usage(free))
    with pytest.raises(expected) as raised:
        fail_after(write_folder, out, error)
    if expected is type(error):
        assert raised.value is error
    else:
        assert str(raised.value) == f"{out}: {FULL}"
    assert tree(out.parent) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes, where this machine lets one be mounted."""
    place = tmp_path / "small disk"
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not mount or not umount:
        pytest.skip("there is no mount command")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"mounting is not allowed: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run([umount, place], check=True)


@pytest.mark.parametrize("old", ["nothing", "an old output"])
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_a_disk_that_is_really_full(writer: Writer, old: str, small_disk: Path) -> None:
    out = small_disk / "data" / "out.jsonl"
    out.parent.mkdir()
    if old != "nothing":
        out.write_text("old", encoding="utf-8")
    before = tree(small_disk)
    with pytest.raises(InputError) as raised:
        writer.call(out)
    assert str(raised.value) == f"{out}: {FULL}"
    assert tree(small_disk) == before
    write_text(out, "there is room again")


def test_a_model_on_a_disk_that_is_really_full(small_disk: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    def save(partial: Path) -> None:
        partial.mkdir()
        (partial / "config.json").write_text("{}", encoding="utf-8")
        save_file({"weight": np.ones(2_000_000, dtype=np.float32)}, partial / "model.safetensors")

    out = small_disk / "model"
    with pytest.raises(InputError) as raised, replacing(out) as partial:
        save(partial)
    assert str(raised.value) == f"{out}: {FULL}"
    assert tree(small_disk) == {}


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EACCES, "Permission denied"), (errno.EROFS, "Read-only file system")],
    ids=["no permission", "read-only"],
)
def test_a_place_that_cannot_be_written(code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", failing(code))
    with pytest.raises(InputError) as raised:
        write_text(tmp_path / "out", "text")
    mend = f"make {tmp_path} a folder that can be written to"
    assert str(raised.value) == f"{tmp_path / 'out'}: cannot be written ({words}); {mend}"


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match=r"data/out: cannot be written \("):
        write_text(tmp_path / "data" / "out", "text")
    assert tree(tmp_path) == {"data": "a file"}


def test_json_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "猫": [1.5, None]})
    write_json(tmp_path / "b", {"猫": [1.5, None], "b": 1})
    assert tree(tmp_path)["a"] == '{\n  "b": 1,\n  "猫": [\n    1.5,\n    null\n  ]\n}\n'
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"set"}], ids=["nan", "infinite", "a set"])
def test_json_refuses_what_json_has_not(value: Any, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "out", {"value": value})
    assert tree(tmp_path) == {}


@given(text=st.text(st.characters(codec="utf-8")))
def test_text_keeps_its_line_ends(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "text"
    write_text(path, text)
    assert path.read_bytes() == text.encode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "not found; run `dvc repro` to make it", id="missing"),
        pytest.param(b"", "not JSON (Expecting value: line 1 column 1 (char 0)); remove it", id="empty"),
        pytest.param(b'{"a": 1', "not JSON (Expecting ',' delimiter", id="cut off"),
        pytest.param(b'{"a": "\xff"}', "not JSON ('utf-8' codec can't decode byte 0xff in position 7", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "not JSON (lists or objects stand too deep", id="deep"),
        pytest.param(b'{"a":' * 100_000, "not JSON (lists or objects stand too deep", id="deep objects"),
        pytest.param(b'{"a": NaN}', "not JSON (NaN is no number", id="NaN"),
        pytest.param(b"[-Infinity]", "not JSON (-Infinity is no number", id="an infinity"),
        pytest.param(b'{"a": 1, "a": 2}', "not JSON (a key stands twice", id="a key twice"),
        pytest.param(b'["\\ud800"]', "holds half a surrogate pair; remove it", id="half a pair"),
        pytest.param(b"1" * 5000, "not JSON (1111", id="a long number"),
    ],
)
def test_read_json_refuses(content: bytes | None, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_json(path)
    assert str(raised.value).startswith(f"{path}: {expected}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("place", "said"),
    [("", "is no plain file"), ("file/below", "cannot be read (Not a directory)")],
    ids=["a folder", "below a file"],
)
def test_read_json_refuses_what_cannot_be_read(place: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / place
    with pytest.raises(InputError) as raised:
        read_json(path)
    assert str(raised.value) == f"{path}: {said}; remove it and run `dvc repro`"


@pytest.mark.parametrize("bytes_", [(1 << 26) + 1, 1 << 40])
def test_read_json_refuses_what_is_too_large(bytes_: int, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(bytes_)
    with pytest.raises(InputError, match=rf"^{path}: is larger than 67108864 bytes; remove it"):
        read_json(path)


def test_read_json_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"a\.json: is no plain file; remove it"):
        read_json(tmp_path / "a.json")


def test_read_json_refuses_what_it_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    monkeypatch.setattr(Path, "read_text", failing(errno.EACCES))
    with pytest.raises(InputError, match=r"a: cannot be read \(Permission denied\); remove it"):
        read_json(tmp_path / "a")


@pytest.mark.parametrize("content", [[], None, 1, "{}", True])
def test_what_is_no_object_is_refused(content: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "a", content)
    with pytest.raises(InputError, match="a: holds no JSON object; remove it"):
        read_object(tmp_path / "a")


def test_read_json_reads_what_write_json_wrote(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"猫": [1.5, None, "x\u2028y"]})
    assert read_json(tmp_path / "a") == {"猫": [1.5, None, "x\u2028y"]}


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_digests_follow_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    (tmp_path / "a" / "d").write_text("d")
    first = digests(tmp_path / "a")
    assert list(first) == ["b/c", "d"]
    assert digests(tmp_path / "a" / "d") == {"": first["d"]}
    (tmp_path / "a" / "d").write_text("e")
    assert digests(tmp_path / "a")["d"] != first["d"]


@pytest.mark.parametrize("make", [None, write_file, write_folder], ids=["nothing", "file", "folder"])
def test_remove(make: Callable[[Path], None] | None, tmp_path: Path) -> None:
    if make:
        make(tmp_path / "a")
    remove(tmp_path / "a")
    assert tree(tmp_path) == {}


def test_remove_does_not_follow_links(tmp_path: Path) -> None:
    write_folder(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove(tmp_path / "link")
    assert tree(tmp_path) == {"kept": "", "kept/deep": "", "kept/deep/b": "new"}


def test_an_input_that_a_stage_goes_without() -> None:
    assert given_input(Path("data/none")) is None
    assert given_input(Path("data/train.jsonl")) == Path("data/train.jsonl")


def test_a_full_disk_names_what_would_have_been_written(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError) as raised,
        replacing(tmp_path / "raw") as folder,
        replacing(folder / "tests" / "x.jsonl"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(raised.value) == f"{tmp_path}/raw/tests/x.jsonl: {FULL}"
