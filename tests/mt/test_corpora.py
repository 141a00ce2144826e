"""The readers of corpora, and what is checked for all of them."""

import contextlib
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.archives import Archive
from mt.corpora import READERS, Corpus, NamedCorpus, Request, read_corpus
from mt.errors import InputError
from mt.segments import Segment
from mt.tally import Tally

PAIR = ("src", "tgt")


def local(source: str, path: Path, texts: tuple[str, ...] = PAIR, complete: bool = False) -> Request:
    return Request(Corpus(source, str(path), None, ()), texts, complete, path.parent, path.parent)


def read(request: Request) -> tuple[list[Segment], Tally]:
    tally = Tally(3)
    return list(read_corpus(request, tally)), tally


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def archive(cache: Path, content: str) -> Archive:
    """Put a packed corpus where downloads are kept."""
    data = content.encode()
    with tarfile.open(cache / "pack-1.tar.gz", "w:gz") as file:
        info = tarfile.TarInfo("pack-1/SENTENCES")
        info.size = len(data)
        file.addfile(info, io.BytesIO(data))
    digest = hashlib.sha256((cache / "pack-1.tar.gz").read_bytes()).hexdigest()
    return Archive("pack", "1", "pack-1.tar.gz", digest, "pack-1/SENTENCES")


def tatoeba(folder: Path, content: str, texts: tuple[str, ...] = PAIR) -> Request:
    return Request(Corpus("tatoeba", None, None, (archive(folder, content),)), texts, False, folder, folder)


SENTENCES = "1\t猫だ。\tA cat.\t-\tKatze\n2\t犬だ。\t-\t-\tHund\n3\t-\tA bird.\t-\t-\n4\t魚だ。\tA fish.\t-\t-\n"


def test_tatoeba_yields_english_to_japanese_and_counts_what_has_no_translation(tmp_path: Path) -> None:
    segments, tally = read(tatoeba(tmp_path, SENTENCES))
    assert segments == [
        {"id": "tatoeba:1", "src": "A cat.", "tgt": "猫だ。"},
        {"id": "tatoeba:4", "src": "A fish.", "tgt": "魚だ。"},
    ]
    assert (tally.kept, tally.dropped) == (2, {"no_translation": 2})


def test_tatoeba_as_monolingual_text_needs_no_english(tmp_path: Path) -> None:
    segments, tally = read(tatoeba(tmp_path, SENTENCES, ("tgt",)))
    assert [segment["id"] for segment in segments] == ["tatoeba:1", "tatoeba:2", "tatoeba:4"]
    assert list(segments[0]) == ["id", "tgt"]
    assert tally.dropped == {"no_translation": 1}


def test_tatoeba_names_a_row_that_is_too_short(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"SENTENCES:2: has 2 columns"):
        read(tatoeba(tmp_path, "1\t猫だ。\tA cat.\n2\t犬だ。\n"))


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
        ("jsonl", "[1]\n", r"own:1: not an object"),
        ("jsonl", '{"id": "x", "src": "a"}\n', r"own:1: 'tgt' is missing or is no text"),
        ("jsonl", '{"id": 7, "src": "a", "tgt": "b"}\n', r"own:1: 'id' is missing or is no text"),
        ("jsonl", '{"id": "x", "src": "a\\nb", "tgt": "b"}\n', r"own:1: 'src' holds a line break"),
        ("jsonl", '{"id": "x", "src": "a\\ud800", "tgt": "b"}\n', r"own:1: 'src' holds half a surrogate pair"),
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


@pytest.mark.parametrize("path", ["elsewhere/own.tsv", "local/../own.tsv", "locally/own.tsv", "/own.tsv"])
def test_a_file_that_dvc_does_not_watch_is_refused(path: str) -> None:
    request = Request(Corpus("tsv", path, None, ()), PAIR, False, Path("local"), Path("cache"))
    with pytest.raises(InputError, match="outside local, so DVC would not see it change"):
        read(request)


def test_segments_without_text_are_dropped_and_counted(tmp_path: Path) -> None:
    segments, tally = read(local("tsv", write(tmp_path, "own.tsv", "a\t\n \tい\nc\tう\n")))
    assert [segment["id"] for segment in segments] == ["own:3"]
    assert (tally.kept, tally.dropped) == (1, {"empty_tgt": 1, "empty_src": 1})


@pytest.mark.parametrize(("content", "side"), [("a\tあ\nb\t\n", "tgt"), ("a\tあ\n \tい\n", "src")])
def test_a_test_set_must_have_text_on_both_sides(tmp_path: Path, content: str, side: str) -> None:
    with pytest.raises(InputError, match=rf"own\.tsv:2: '{side}' is empty"):
        read(local("tsv", write(tmp_path, "own.tsv", content), complete=True))


@given(st.binary(max_size=40), st.sampled_from(["tsv", "jsonl"]))
def test_any_bytes_are_segments_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, source: str
) -> None:
    path = write(tmp_path_factory.getbasetemp(), "own", data)
    with contextlib.suppress(InputError):
        segments, tally = read(local(source, path))
        assert tally.kept == len(segments) > 0
        assert all(segment[side].strip() for segment in segments for side in PAIR)


ARCHIVE = Archive("pack", "1", "pack-1.tar.gz", "0" * 64, "pack-1/SENTENCES")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("moon", None, None, ()), r"source: 'moon' is unknown; write one of .*tsv.*parallel"),
        (("tsv", None, None, ()), r"path: the source tsv needs it"),
        (("tsv", "own.tsv", "v1", ()), r"revision: the source tsv reads none; write null"),
        (("tatoeba", None, None, ()), r"archives: the source tatoeba needs it"),
        (("tatoeba", "own.tsv", None, (ARCHIVE,)), r"path: the source tatoeba reads none"),
        (("parallel", None, None, (ARCHIVE,)), r"archives: the source parallel reads none; write \[\]"),
    ],
)
def test_a_corpus_gives_what_its_reader_reads_and_no_more(
    values: tuple[str, str | None, str | None, tuple[Archive, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Corpus(*values)


@pytest.mark.parametrize("name", ["", "a b", "../a", "a-b", "a.b", "京都"])
def test_a_test_sets_name_is_fit_for_files_and_stages(name: str) -> None:
    with pytest.raises(ValueError, match="name: "):
        NamedCorpus("parallel", None, None, (), name)


def test_every_reader_says_what_it_reads() -> None:
    assert all(reader.reads and set(reader.reads) <= {"path", "revision", "archives"} for reader in READERS.values())
