"""Segments in JSON Lines: what is read back, and what is refused with its line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded import outcome as bounded_outcome
from bounded import sparse
from mt.errors import InputError
from mt.segments import MAX_LINE_BYTES, Segment, decoded_lines, read_segments, write_segments
from mt.values import MAX_DEPTH, parsed

PAIR = ("src", "tgt")
GOOD: Segment = {"id": "a:1", "src": "A cat.", "tgt": "猫だ。"}
SEPARATORS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""What str.splitlines takes for line ends, besides LF and CR."""


def lines(*segments: Any) -> bytes:
    return b"".join(json.dumps(segment, ensure_ascii=False).encode() + b"\n" for segment in segments)


def test_reads_in_order_and_keeps_other_keys(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    segments = [{**GOOD, "scores": {"copy": 0.5}}, {**GOOD, "id": "a:0", "oracle": {}}]
    file.write_bytes(lines(*segments))
    assert read_segments(file, PAIR) == segments


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lines(GOOD), id="LF"),
        pytest.param(lines(GOOD).removesuffix(b"\n"), id="no LF at the end"),
        pytest.param(lines(GOOD).replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + lines(GOOD), id="byte order mark"),
    ],
)
def test_line_ends(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(content)
    assert read_segments(file, PAIR) == [GOOD]


@pytest.mark.parametrize("separator", SEPARATORS, ids=lambda text: f"U+{ord(text):04X}")
def test_other_separators_stay_inside_the_text(separator: str, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    segments = [{**GOOD, "src": f"one{separator}two"}, {**GOOD, "id": "a:2"}]
    write_segments(file, segments)
    assert file.read_bytes().count(b"\n") == 2
    assert read_segments(file, PAIR) == segments


@pytest.mark.parametrize(
    ("content", "texts", "expected"),
    [
        pytest.param(None, PAIR, ": not found; put the file there or run `dvc repro` to make it", id="missing"),
        pytest.param(b"", PAIR, ": holds no segment; the stage that writes it must keep at least one", id="empty"),
        pytest.param(
            lines(GOOD) + b'{"id": "a:2", "src": "caf' + b"\xe9",
            PAIR,
            ":2: byte 26 is not UTF-8; convert the file, for example with iconv",
            id="Latin-1",
        ),
        pytest.param(
            "\n".encode("utf-16"),
            PAIR,
            ":1: byte 1 is not UTF-8; convert the file, for example with iconv",
            id="UTF-16",
        ),
        pytest.param(
            b'{"id": "\xed\xa0\x80"}\n',
            PAIR,
            ":1: byte 9 is not UTF-8; convert the file",
            id="half of a surrogate pair",
        ),
        pytest.param(lines(GOOD) + b"{", PAIR, ":2: not JSON (", id="not JSON"),
        pytest.param(lines(GOOD) + b"\n" + lines({**GOOD, "id": "b"}), PAIR, ":2: not JSON (", id="empty line"),
        pytest.param(b"a\tb\n", PAIR, ":1: not JSON (", id="tab separated"),
        pytest.param(lines(GOOD) + b"\xef\xbb\xbf{}", PAIR, ":2: not JSON (", id="byte order mark on line two"),
        pytest.param(lines(GOOD, GOOD).replace(b"\n", b"\r"), PAIR, ":1: not JSON (Extra data", id="CR line ends"),
        pytest.param(b'{"id": "a\0"}', PAIR, ":1: not JSON (Invalid control character", id="NUL"),
        pytest.param(b'{"id": "a", "n": NaN}', PAIR, ":1: not JSON (NaN is no number", id="NaN"),
        pytest.param(b'{"id": "a", "n": -Infinity}', PAIR, ":1: not JSON (-Infinity is no", id="an infinity"),
        pytest.param(b'{"id": "a", "n": 1e999}', PAIR, ":1: not JSON (1e999 is no number", id="beyond float64"),
        pytest.param(b'{"n": ' + b"9" * 5000 + b"}", PAIR, ":1: not JSON (9999", id="a number of 5000 digits"),
        pytest.param(b'{"n": [{"a": 1, "a": 1}]}', PAIR, ":1: not JSON (a key stands twice", id="key twice"),
        pytest.param(b"[" * 100_000, PAIR, ":1: not JSON (lists or objects stand too deep", id="100,000 brackets"),
        pytest.param(
            b'{"n": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
            PAIR,
            f":1: not JSON (lists or objects stand more than {MAX_DEPTH} deep",
            id="deeper than can be written",
        ),
        pytest.param(
            rb'{"id": "a", "src": "x", "tgt": "y", "model": ["\ud800"]}',
            PAIR,
            ":1: holds half a surrogate pair, which is no UTF-8; correct its escapes",
            id="half of an escaped pair, anywhere",
        ),
        pytest.param(lines(["a", "b"]), PAIR, ":1: not an object; write {'id': …, 'src': …, 'tgt': …}", id="a list"),
        pytest.param(
            lines({"src": "x", "tgt": "y"}),
            PAIR,
            ":1: 'id' is missing or empty; give it text or take the segment out",
            id="no id",
        ),
        pytest.param(
            lines(GOOD, {"id": "a:2", "src": "x"}),
            PAIR,
            ":2: 'tgt' is missing or empty; give it text or take the segment out",
            id="no translation",
        ),
        pytest.param(
            lines({**GOOD, "src": " \u3000"}),
            PAIR,
            ":1: 'src' is missing or empty; give it text or take the segment out",
            id="white space alone",
        ),
        pytest.param(
            lines({**GOOD, "id": 7}), PAIR, ":1: 'id' is missing or empty; give it text", id="an id that is a number"
        ),
        pytest.param(
            lines({**GOOD, "src": "one\ntwo"}), PAIR, ":1: 'src' holds a line break; make it one line", id="line feed"
        ),
        pytest.param(
            lines({**GOOD, "tgt": "one\rtwo"}), PAIR, ":1: 'tgt' holds a line break; make it one line", id="return"
        ),
        pytest.param(
            lines(GOOD, {**GOOD, "id": "a:2"}, GOOD),
            PAIR,
            ":3: the id 'a:1' stands twice; give each segment its own",
            id="id twice",
        ),
    ],
)
def test_refuses(content: bytes | None, texts: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_segments(file, texts)
    assert str(raised.value).startswith(f"{file}{expected}")
    assert "\n" not in str(raised.value)


def test_whole_surrogate_pairs_and_brackets_in_text_are_text(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(rb'{"id": "a", "src": "\ud83d\ude00", "tgt": "' + b"[{" * 100 + b'"}')
    assert read_segments(file, PAIR) == [{"id": "a", "src": "😀", "tgt": "[{" * 100}]


def test_what_is_not_too_deep_is_read() -> None:
    inside = MAX_DEPTH - 1
    assert json.dumps(parsed("[" * inside + "[1], []" + "]" * inside)).count("[") == MAX_DEPTH + 1


def test_the_longest_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    room = MAX_LINE_BYTES - len(lines({**GOOD, "src": ""}))
    write_segments(file, [{**GOOD, "src": "x" * room}])
    assert len(read_segments(file, PAIR)[0]["src"]) == room
    with pytest.raises(InputError, match=rf"the segment 'a:1' takes {MAX_LINE_BYTES + 1} bytes, more than"):
        write_segments(file, [{**GOOD, "src": "x" * (room + 1)}])
    file.write_bytes(lines(GOOD, {**GOOD, "id": "b", "src": "x" * (room + 3)}))
    with pytest.raises(InputError, match=rf"jsonl:2: is longer than {MAX_LINE_BYTES} bytes; write a segment a line"):
        read_segments(file, PAIR)


def test_a_line_of_a_gigabyte_takes_no_memory(tmp_path: Path) -> None:
    file = sparse(tmp_path / "a.jsonl", 1 << 30, lines(GOOD) + b'{"id": "')
    said = bounded_outcome("from mt.segments import read_segments", "read_segments(path, ('src',))", file, megabytes=16)
    assert said == f"{file}:2: is longer than {MAX_LINE_BYTES} bytes; write a segment a line"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_plain_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(InputError, match=r"a\.jsonl: is no plain file; name one that is"):
        read_segments(path, PAIR)


def test_checks_only_the_texts_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(lines({"id": "a:1", "src": "", "tgt": "猫だ。"}))
    assert read_segments(file, ("tgt",)) == [{"id": "a:1", "src": "", "tgt": "猫だ。"}]


def test_a_file_may_be_empty_where_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    write_segments(file, [], allow_empty=True)
    assert file.read_bytes() == b""
    assert read_segments(file, PAIR, allow_empty=True) == []


def test_refuses_to_write_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with pytest.raises(InputError, match=r"a\.jsonl: nothing is left to write; loosen what drops segments"):
        write_segments(file, [])
    assert list(tmp_path.iterdir()) == []


def test_refuses_to_write_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_segments(tmp_path / "a.jsonl", [{**GOOD, "logprob": float("nan")}])
    assert list(tmp_path.iterdir()) == []


def test_a_source_of_segments_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        yield GOOD
        raise InputError("line 2 is broken")

    with pytest.raises(InputError, match="line 2 is broken"):
        write_segments(tmp_path / "a.jsonl", broken())
    assert list(tmp_path.iterdir()) == []


def test_writes_text_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    write_segments(file, [GOOD])
    assert file.read_text(encoding="utf-8") == '{"id": "a:1", "src": "A cat.", "tgt": "猫だ。"}\n'


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1).filter(str.strip)


@given(pairs=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    segments = [{"id": str(number), "src": src, "tgt": tgt} for number, (src, tgt) in enumerate(pairs)]
    write_segments(file, segments)
    assert read_segments(file, PAIR) == segments
    assert file.read_bytes().count(b"\n") == len(segments)


def outcome(file: Path) -> list[Segment] | str:
    """What is read, or the error."""
    try:
        return read_segments(file, PAIR)
    except InputError as error:
        return str(error)


@given(content=st.binary(max_size=60) | st.text('{}[]":,ids rctg\n\r1', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_bytes(content)
    found = outcome(file)
    assert isinstance(found, list) or "\n" not in found


def test_decoded_lines_count_from_one(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_bytes("a\u2028b\tc\n\nd\r\ne".encode())
    assert list(decoded_lines(file)) == [(1, "a\u2028b\tc"), (2, ""), (3, "d\r"), (4, "e")]


@pytest.mark.parametrize("key", ["src", "doc", "hyp"])
@pytest.mark.parametrize("value", [5, None, True, [], {"a": 1}])
def test_what_is_text_elsewhere_is_text_where_nobody_asks_for_it(key: str, value: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(lines({"id": "a:1", "tgt": "猫だ。"}, {"id": "a:2", "tgt": "猫だ。", key: value}))
    with pytest.raises(InputError, match=rf"a\.jsonl:2: '{key}' is no text; write it as a string, or leave it out$"):
        read_segments(file, ("tgt",))


def test_a_side_that_nobody_asks_for_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(lines({"id": "a:1", "src": "a\nb", "tgt": "猫だ。"}))
    with pytest.raises(InputError, match="'src' holds a line break"):
        read_segments(file, ("tgt",))
