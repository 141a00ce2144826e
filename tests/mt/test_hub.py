"""mt.hub on a cache that the tests write, and on a hub that a thread plays."""

import errno
import hashlib
import http.server
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

import tiny_hub
from mt.errors import InputError
from mt.files import replacing
from mt.hub import MARK, REFUSED, check_pin, complete, snapshot
from tiny_hub import COMET, LABSE, MARIAN, MISTRAL, XLM_R, offline, publish

REPO = "an-owner/a.model"
FILES = {
    MARK: b"",
    "config.json": b"{}",
    "tokenizer.model": b"pieces",
    "original/tokenizer.model": b"others",
    "model.safetensors": b"weights",
    "model.py": b"raise SystemExit",
    "pytorch_model.bin": tiny_hub.TRAP,
    "vocab.pkl": tiny_hub.TRAP,
}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """An empty cache, and no network."""
    with offline(tmp_path / "cache"):
        yield tmp_path / "cache"


def put(cache: Path, files: dict[str, bytes], repo: str = REPO) -> str:
    """Write a repository into the cache; its revision."""
    folder = cache.parent / "published" / repo
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return publish(cache, repo, folder).revision


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*"], [MARK, "config.json", "model.safetensors", "tokenizer.model"]),
        (["*.model"], ["tokenizer.model"]),
        (["*/*.model"], ["original/tokenizer.model"]),
        (["config.json", "absent.json"], ["config.json"]),
        (["vocab*", "*.bin", "*.py"], []),
        (["pytorch_model.bin"], ["pytorch_model.bin"]),
    ],
    ids=["all", "root", "a folder", "names", "refused", "by its full name"],
)
def test_what_matches_comes(cache, tmp_path, patterns, expected):
    revision = put(cache, FILES)
    found = snapshot(REPO, revision, patterns, tmp_path / "out")
    assert found == {name: hashlib.sha256(FILES[name]).hexdigest() for name in expected}
    assert names(tmp_path / "out") == expected
    assert all((tmp_path / "out" / name).read_bytes() == FILES[name] for name in expected)
    assert list(found) == sorted(found)


def test_files_are_hard_links_and_never_symbolic_ones(cache, tmp_path):
    revision = put(cache, FILES)
    snapshot(REPO, revision, ["config.json"], tmp_path / "out")
    status = (tmp_path / "out" / "config.json").lstat()
    assert stat.S_ISREG(status.st_mode)
    assert status.st_nlink == 2


def test_files_are_copied_where_they_cannot_be_linked(cache, tmp_path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    revision = put(cache, FILES)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    snapshot(REPO, revision, ["config.json"], tmp_path / "out")
    assert (tmp_path / "out" / "config.json").lstat().st_nlink == 1
    assert (tmp_path / "out" / "config.json").read_bytes() == FILES["config.json"]


def test_a_damaged_blob_is_found(cache, tmp_path):
    revision = put(cache, FILES)
    blob = (cache / "models--an-owner--a.model" / "snapshots" / revision / "model.safetensors").resolve()
    blob.write_bytes(b"other weights")
    with pytest.raises(InputError, match=f"{blob}: its SHA-256 is .*, not the one that the hub gave"):
        snapshot(REPO, revision, ["*.safetensors"], tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_a_cache_without_blobs_is_read(cache, tmp_path):
    folder = cache / "models--an-owner--a.model" / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / MARK).touch()
    assert list(snapshot(REPO, "a" * 40, ["config.json"], tmp_path / "out")) == ["config.json"]


def test_offline_and_not_in_the_cache(cache, tmp_path):
    with pytest.raises(InputError) as error:
        snapshot(REPO, "b" * 40, ["*"], tmp_path / "out")
    assert str(error.value) == (
        f"{REPO}: revision {'b' * 40} is not in {cache}, and HF_HUB_OFFLINE is set; "
        "unset it, or set HF_HUB_CACHE to a cache that holds it"
    )


@pytest.mark.parametrize(
    ("repo", "revision", "says"),
    [
        ("gpt2", "a" * 40, "^repo: 'gpt2' must be"),
        ("../x", "a" * 40, "^repo: "),
        ("a/b/c", "a" * 40, "^repo: "),
        ("a--b/c", "a" * 40, "^repo: "),
        ("a/b.", "a" * 40, "^repo: "),
        ("ä/b", "a" * 40, "^repo: "),
        (None, "a" * 40, "^repo: None must be"),
        ("a/b", "main", "^revision: 'main' must be the 40"),
        ("a/b", "a" * 39, "^revision: "),
        ("a/b", "A" * 40, "^revision: "),
        ("a/b", None, "^revision: None must be"),
    ],
)
def test_a_loose_pin_is_refused(repo, revision, says):
    with pytest.raises(ValueError, match=says):
        check_pin(repo, revision)


@pytest.mark.parametrize("repo", [MISTRAL, MARIAN, LABSE, COMET, XLM_R, "a_b/c__d-e.f-0.5"])
def test_a_pin_is_taken(repo):
    check_pin(repo, "0123456789abcdef" + "0" * 24)


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers as a hub does for one revision of one repository; `asked` lists what it was asked for."""

    asked: list[str]
    tokens: set[str | None]
    fault: str

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        self.tokens.add(self.headers.get("Authorization"))
        revision = "c" * 40
        if self.path == f"/api/models/{REPO}/revision/{revision}":
            faults = {"missing": (401, "RepoNotFound"), "revision": (404, "RevisionNotFound"), "down": (503, "")}
            body = {"id": REPO, "sha": revision, "siblings": [{"rfilename": name} for name in FILES]}
            return self.send(json.dumps(body).encode(), faults.get(self.fault), {}, with_body)
        name = self.path.removeprefix(f"/{REPO}/resolve/{revision}/")
        self.asked.append(name)
        content = FILES[name]
        etag = hashlib.sha256(content).hexdigest()
        if self.fault == "damaged":
            content = content[::-1]
        headers = {"X-Repo-Commit": revision, "X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        faults = {"gated": (403, "GatedRepo"), "busy": (429, "")}
        return self.send(content, faults.get(self.fault), headers | {"ETag": f'"{etag}"'}, with_body)

    def send(self, body: bytes, fault: tuple[int, str] | None, headers: dict[str, str], with_body: bool) -> None:
        status, code = fault or (200, "")
        self.send_response(status)
        for key, value in {**headers, "X-Error-Code": code, "Content-Length": str(len(body))}.items():
            if value:
                self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on this machine, an empty cache, and no token."""

    class Here(Hub):
        asked: list[str] = []  # noqa: RUF012
        tokens: set[str | None] = set()  # noqa: RUF012
        fault = ""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Here)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # huggingface_hub waits before it asks again
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.configure_http_backend()
    yield Here
    server.shutdown()
    server.server_close()
    huggingface_hub.configure_http_backend()


def test_only_what_is_wanted_is_downloaded_and_only_once(hub, tmp_path):
    for out in ("one", "two"):
        found = snapshot(REPO, "c" * 40, ["config.json", "*.model", "*.safetensors"], tmp_path / out)
        assert found == {
            name: hashlib.sha256(FILES[name]).hexdigest()
            for name in ("config.json", "model.safetensors", "tokenizer.model")
        }
    # The hub's own patterns reach over slashes, so that what is of no use may come into the cache, but not further.
    assert set(hub.asked) == {"config.json", "model.safetensors", "tokenizer.model", "original/tokenizer.model"}
    assert len(hub.asked) == 2 * 4  # a HEAD and a GET each
    assert hub.tokens == {None}


def test_the_hub_is_not_asked_besides_where_all_came(hub, tmp_path, monkeypatch):
    revisions = []
    ask = huggingface_hub.HfApi.model_info

    def counted(*arguments: Any, **options: Any) -> Any:
        revisions.append(options["revision"])
        return ask(*arguments, **options)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", counted)
    complete(REPO, "c" * 40)
    snapshot(REPO, "c" * 40, ["config.json"], tmp_path / "out")
    assert revisions == ["c" * 40] * 2  # by huggingface_hub, for each


def test_the_token_is_sent(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    snapshot(REPO, "c" * 40, ["config.json"], tmp_path / "out")
    assert hub.tokens == {"Bearer hf_secret"}


def test_the_network_goes_and_the_cache_serves(hub, tmp_path):
    snapshot(REPO, "c" * 40, ["config.json"], tmp_path / "one")
    complete(REPO, "c" * 40)
    hub.fault = "down"
    assert list(snapshot(REPO, "c" * 40, ["config.json"], tmp_path / "two")) == ["config.json"]


def test_the_network_goes_before_all_came(hub, tmp_path):
    snapshot(REPO, "c" * 40, ["config.json"], tmp_path / "one")
    hub.fault = "down"
    with pytest.raises(InputError, match=f"may hold a part of {REPO} alone, .* run `hf download {REPO} --revision c"):
        snapshot(REPO, "c" * 40, ["config.json", "modules.json"], tmp_path / "two")


def test_offline_with_a_part_of_the_repository(cache, tmp_path):
    revision = put(cache, FILES)
    (cache / "models--an-owner--a.model" / "snapshots" / revision / MARK).unlink()
    with pytest.raises(InputError, match="may hold a part"):
        snapshot(REPO, revision, ["config.json"], tmp_path / "out")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("gated", r"licence must be accepted first; do so at .*/an-owner/a\.model, and set HF_TOKEN"),
        ("missing", "has no such repository, or keeps it private; correct its name in params.yaml, or set HF_TOKEN"),
        ("revision", "has no revision c{40}; take one of those at"),
        ("down", "is not in .*cache, and the hub answers 503; check the network"),
        ("busy", "is not in .*cache, and the hub answers 429"),
        ("damaged", "its SHA-256 is .*, not the one that the hub gave"),
    ],
)
def test_what_the_hub_refuses_is_one_line_with_the_mend(hub, tmp_path, monkeypatch, fault, says):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.fault = fault
    with pytest.raises(InputError, match=says) as error:
        snapshot(REPO, "c" * 40, ["config.json", "tokenizer.model"], tmp_path / "out")
    assert "\n" not in str(error.value)
    assert "hf_secret" not in str(error.value)


def test_nobody_answers(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"the hub cannot be reached \(\w+\); check the network") as error:
        snapshot(REPO, "c" * 40, ["*"], tmp_path / "out")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "model: the disk is full"),
        (RuntimeError(f"xet: {os.strerror(errno.ENOSPC)}"), "model: the disk is full"),
        (RuntimeError("xet: peer\nhung up"), "the download broke off; run the stage again"),
        (OSError("Consistency check failed: file should be of size 9"), "the download broke off; run the stage again"),
        (PermissionError(errno.EACCES, "Permission denied"), r"cannot be written \(Permission denied\); set HF_HOME"),
    ],
    ids=["full", "full, by xet", "broken off", "came short", "not allowed"],
)
def test_what_this_machine_refuses(cache, tmp_path, monkeypatch, raised, says):
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(InputError, match=says), replacing(tmp_path / "model") as partial:
        snapshot(REPO, "c" * 40, ["*"], partial)


def test_what_is_refused_is_code_and_pickles():
    assert {"*.py", "*.bin", "*.pt", "*.msgpack", "*.h5", "*.pkl"} <= set(REFUSED)
