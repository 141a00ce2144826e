"""The readers of files of the user's own."""

from pathlib import Path

import pytest

from bounded import outcome, sparse
from corpus_requests import PAIR, local, read, write
from mt.errors import InputError
from mt.segments import MAX_LINE_BYTES


@pytest.mark.parametrize(
    ("content", "texts", "expected"),
    [
        pytest.param("a\tあ\nb\tい\n", PAIR, [("own:1", "a", "あ"), ("own:2", "b", "い")], id="two columns"),
        pytest.param("x\ta\tあ\ny\tb\tい", PAIR, [("x", "a", "あ"), ("y", "b", "い")], id="ids, no last line end"),
        pytest.param("あ\nい\n", ("tgt",), [("own:1", "あ"), ("own:2", "い")], id="plain text"),
        pytest.param("x\tあ\n", ("tgt",), [("x", "あ")], id="monolingual with ids"),
        pytest.param('a "b\t「あ"\n', PAIR, [("own:1", 'a "b', '「あ"')], id="quotes are text"),
        pytest.param(
            "a\u2028b\u0085\tあ\n", PAIR, [("own:1", "a\u2028b\u0085", "あ")], id="other line separators are text"
        ),
        pytest.param("\ufeffa\tあ\n", PAIR, [("own:1", "a", "あ")], id="byte order mark"),
    ],
)
def test_tsv(tmp_path: Path, content: str, texts: tuple[str, ...], expected: list[tuple[str, ...]]) -> None:
    segments, _ = read(local("tsv", write(tmp_path, "own.tsv", content), texts))
    assert segments == [dict(zip(("id", *texts), values, strict=True)) for values in expected]


def test_jsonl_keeps_the_id_and_the_texts(tmp_path: Path) -> None:
    path = write(tmp_path, "own.jsonl", '{"tgt": "あ", "id": "x", "src": "a", "note": 1}\n')
    assert read(local("jsonl", path))[0] == [{"id": "x", "src": "a", "tgt": "あ"}]


def test_jsonl_may_name_documents(tmp_path: Path) -> None:
    path = write(tmp_path, "own.jsonl", '{"id": "x", "src": "a", "tgt": "あ", "doc": "d"}\n')
    assert read(local("jsonl", path))[0] == [{"id": "x", "src": "a", "tgt": "あ", "doc": "d"}]


@pytest.mark.parametrize(
    ("source", "content", "message"),
    [
        ("tsv", "a\tあ\nb\n", r"own:2: has 1 column; write src and tgt, or id, src and tgt"),
        ("tsv", "a\tあ\n\nb\tい\n", r"own:2: has 1 column"),
        ("tsv", "a\tあ\nx\tb\tい\n", r"own:2: has 3 columns where the rows before have 2"),
        ("tsv", "a\tb\tc\td\n", r"own:1: has 4 columns"),
        ("tsv", "a\tあ\r\n", r"own:1: holds a carriage return"),
        ("tsv", b"a\t\xe3\x81\x82\nb\t\xff\n", r"own:2: byte 3 is not UTF-8"),
        ("tsv", "x\ta\tあ\nx\tb\tい\n", r"own:2: the id 'x' stands twice"),
        ("tsv", "\ta\tあ\n", r"own:1: 'id' is empty"),
        ("tsv", "", r"own: holds no segment"),
        ("tsv", "a\t\n\tい\n", r"own: holds no segment with text \(2 were read\)"),
        ("jsonl", "", r"own: holds no segment"),
        ("jsonl", "{\n", r"own:1: not JSON"),
        ("jsonl", "[" * 100_000, r"own:1: not JSON"),
        ("tsv", "a\tあ\rb\tい\r", r"own:1: holds a carriage return"),
        ("tsv", "a\tあ\n".encode("utf-16"), r"own:1: byte 1 is not UTF-8"),
        ("tsv", "x\t" * 100_000, r"own:1: has 100001 columns"),
        ("jsonl", '{"id": "x", "n": NaN}', r"own:1: not JSON \(NaN is no number"),
        ("jsonl", '{"id": "x", "n": 1' + "0" * 5000 + "}", r"own:1: not JSON \(1000.* is no number"),
        ("jsonl", '{"id": "x", "id": "y"}', r"own:1: not JSON \(a key stands twice"),
        ("jsonl", '{"id": "x\0"}', r"own:1: not JSON \(Invalid control character"),
        ("jsonl", '{"id": "x"}\r{"id": "y"}\r', r"own:1: not JSON \(Extra data"),
        ("jsonl", "[1]\n", r"own:1: not an object"),
        ("jsonl", '{"id": "x", "src": "a"}\n', r"own:1: 'tgt' is missing or is no text"),
        ("jsonl", '{"id": 7, "src": "a", "tgt": "b"}\n', r"own:1: 'id' is missing or is no text"),
        ("jsonl", '{"id": "x", "src": "a\\nb", "tgt": "b"}\n', r"own:1: 'src' holds a line break"),
        ("jsonl", '{"id": "x", "src": "a\\ud800", "tgt": "b"}\n', r"own:1: 'src' holds half a surrogate pair"),
        ("jsonl", '{"id": "x", "src": "a", "tgt": "b", "doc": " "}\n', r"own:1: 'doc' is empty; give each document"),
        ("jsonl", '{"id": "x", "src": "a", "tgt": "b", "doc": 1}\n', r"own:1: 'doc' is missing or is no text"),
        ("jsonl", b'{"id": "x", "src": "\xff"}\n', r"own:1: byte 21 is not UTF-8"),
    ],
)
def test_broken_files_are_named_with_the_line(tmp_path: Path, source: str, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(local(source, write(tmp_path, "own", content)))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tsv: not found"):
        read(local("tsv", tmp_path / "none.tsv"))


@pytest.mark.parametrize("source", ["tsv", "jsonl"])
def test_a_line_of_a_gigabyte_takes_no_memory(tmp_path: Path, source: str) -> None:
    path = sparse(tmp_path / "own", 1 << 30)
    said = outcome("from corpus_requests import local, read", f"read(local('{source}', path))", path, megabytes=16)
    assert said == f"{path}:1: is longer than {MAX_LINE_BYTES} bytes; write a segment a line"
