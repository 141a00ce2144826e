"""Files from a URL, served by a server of the test's own."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mt.downloads import fetch_url
from mt.errors import InputError

CONTENT = b"\x1f\x8b corpus" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


LENGTHS = {"words": "many", "minus": "-1", "endless": 2**60, "digits": "9" * 5000}
"""What a server may say of the length, by what a path begins with."""


class Server(ThreadingHTTPServer):
    """Answers with CONTENT, or as its path says; counts what it was asked."""

    asked = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked += 1
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        self.send_response(200)
        stated = next((value for name, value in LENGTHS.items() if self.path.startswith(f"/{name}")), len(CONTENT))
        self.send_header("Content-Length", str(stated))
        if self.path.startswith("/encoded"):
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path.startswith("/cut") else CONTENT)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["corpus.tar.gz", "encoded.tar.gz", "corpus.tar.gz?version=2"])
def test_a_file_is_downloaded_once_and_as_it_is(server: Server, tmp_path: Path, name: str) -> None:
    for _ in range(2):
        path = fetch_url(server.url(name), DIGEST, tmp_path / "cache")
    assert (path, path.read_bytes()) == (tmp_path / "cache" / name.partition("?")[0], CONTENT)
    assert server.asked == 1
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_digest_is_checked_every_time(server: Server, tmp_path: Path) -> None:
    path = fetch_url(server.url("corpus.tar.gz"), None, tmp_path)
    with pytest.raises(InputError, match=rf"{path}: its SHA-256 is {DIGEST}, not 0{{64}}; remove the file"):
        fetch_url(server.url("corpus.tar.gz"), "0" * 64, tmp_path)
    path.write_bytes(b"changed")
    with pytest.raises(InputError, match="its SHA-256 is"):
        fetch_url(server.url("corpus.tar.gz"), DIGEST, tmp_path)


@pytest.mark.parametrize(("name", "reason"), [("gone.gz", "404 Not Found"), ("cut.gz", "IncompleteRead|ProtocolError")])
def test_a_download_that_fails_leaves_nothing(server: Server, tmp_path: Path, name: str, reason: str) -> None:
    url = server.url(name)
    with pytest.raises(
        InputError, match=rf"{tmp_path / name}: not there, and {url} cannot be downloaded \(({reason})\)"
    ):
        fetch_url(url, None, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_that_lies_is_whole_or_an_error(server: Server, tmp_path: Path, name: str) -> None:
    said, found = outcome(server.url(f"{name}.gz"), tmp_path)
    assert found in ({f"{name}.gz": CONTENT}, {})
    assert ("cannot be downloaded" in said) == (not found)
    assert "\n" not in said


def outcome(url: str, folder: Path) -> tuple[str, dict[str, bytes]]:
    """The error, if there is one, and what then stands in the folder."""
    said = ""
    try:
        fetch_url(url, None, folder)
    except InputError as error:
        said = str(error)
    return said, {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz").mkdir()
    with pytest.raises(InputError, match=r"corpus\.tar\.gz: cannot be read \(Is a directory\); remove it"):
        fetch_url("http://127.0.0.1:9/corpus.tar.gz", DIGEST, tmp_path)


def test_a_server_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be downloaded \(ConnectionError\)") as caught:
        fetch_url("http://127.0.0.1:9/corpus.tar.gz", None, tmp_path)
    assert "\n" not in str(caught.value)


def test_what_was_put_there_by_hand_is_taken(tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz").write_bytes(CONTENT)
    assert fetch_url("http://127.0.0.1:9/corpus.tar.gz", DIGEST, tmp_path).read_bytes() == CONTENT
