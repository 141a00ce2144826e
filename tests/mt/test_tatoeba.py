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


def archive(cache: Path, content: str) -> Archive:
    """Put a packed corpus where downloads are kept."""
    data = content.encode()
    with tarfile.open(cache / "pack-1.tar.gz", "w:gz") as file:
        info = tarfile.TarInfo("pack-1/SENTENCES")
        info.size = len(data)
        file.addfile(info, io.BytesIO(data))
    digest = hashlib.sha256((cache / "pack-1.tar.gz").read_bytes()).hexdigest()
    return Archive("pack", "1", "pack-1.tar.gz", digest, "pack-1/SENTENCES")


def tatoeba(
    folder: Path, content: str, texts: tuple[str, ...] = PAIR, languages: Sequence[str] = ("en", "ja")
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


def test_tatoeba_the_other_way_round(tmp_path: Path) -> None:
    segments, _ = read(tatoeba(tmp_path, SENTENCES, languages=("ja", "en")))
    assert segments[0] == {"id": "tatoeba:1", "src": "猫だ。", "tgt": "A cat."}


def test_tatoeba_has_no_other_language(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tatoeba holds en and ja; languages are de and ja"):
        read(tatoeba(tmp_path, SENTENCES, languages=("de", "ja")))
