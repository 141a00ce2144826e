"""The reader of Tatoeba's pairs."""

import hashlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from corpus_requests import PAIR, corpus, read, request
from mt.archives import Archive
from mt.errors import InputError
from mt.reader import Request


def archive(cache: Path, content: str | bytes) -> Archive:
    """Put a packed corpus where downloads are kept."""
    data = content if isinstance(content, bytes) else content.encode()
    with tarfile.open(cache / "pack-1.tar.gz", "w:gz") as file:
        info = tarfile.TarInfo("pack-1/SENTENCES")
        info.size = len(data)
        file.addfile(info, io.BytesIO(data))
    digest = hashlib.sha256((cache / "pack-1.tar.gz").read_bytes()).hexdigest()
    return Archive("pack", "1", "pack-1.tar.gz", digest, "pack-1/SENTENCES")


def tatoeba(
    folder: Path, content: str | bytes, texts: tuple[str, ...] = PAIR, languages: Sequence[str] = ("en", "ja")
) -> Request:
    return request(corpus("tatoeba", archives=(archive(folder, content),)), folder, texts, languages=languages)


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
    ("content", "message"),
    [
        (b"1\t\xff\tA\n", r"SENTENCES:1: byte 3 is not UTF-8"),
        (b"1\tA\tB\r\n2\tA\tB\t\r\n", r"SENTENCES:1: 'src' holds a line break"),
        (b"1\tA\tB\n1\tA\tB\n", r"SENTENCES:2: the id 'tatoeba:1' stands twice"),
        (b"\n", r"SENTENCES:1: has 1 columns"),
        (b"1\tA\t" + b"B" * (1 << 20), r"SENTENCES:1: is longer than 1048576 bytes"),
    ],
    ids=["no UTF-8", "CRLF", "id twice", "nothing", "a long line"],
)
def test_tatoeba_names_a_broken_row(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tatoeba(tmp_path, content))


def test_tatoeba_the_other_way_round(tmp_path: Path) -> None:
    segments, _ = read(tatoeba(tmp_path, SENTENCES, languages=("ja", "en")))
    assert segments[0] == {"id": "tatoeba:1", "src": "猫だ。", "tgt": "A cat."}


def test_tatoeba_has_no_other_language(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tatoeba holds en and ja; languages are de and ja"):
        read(tatoeba(tmp_path, SENTENCES, languages=("de", "ja")))
