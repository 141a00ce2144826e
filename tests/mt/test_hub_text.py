"""The reader of the Hub's datasets, on repositories on disk and on what the Hub answers."""

import json
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from corpus_requests import MONO, PAIR, corpus, read, request
from mt.errors import InputError
from mt.hub_text import _one_line
from mt.reader import Request

datasets = pytest.importorskip("datasets")
pytest.importorskip("sentencex")

PIN = "b04c8d1ceb2f5cd4588862100d08de323dccfbaa"
CARD = """---
configs:
- config_name: plain
  data_files:
  - {split: train, path: data/train*}
TEST- config_name: empty
  data_files: none/*
---
A dataset of the test's own.
"""
TEST = "  - {split: test, path: data/test*}\n"
PAIRS = [
    {"translation": {"en": "A cat.", "ja": "猫。"}, "score": 1},
    {"translation": {"en": "A\n  dog.", "ja": " 犬。"}, "score": 2},
    {"translation": {"en": "", "ja": "鳥。"}, "score": 3},
    {"translation": {"en": "A fish.", "ja": None}, "score": 4},
]
NO_PICTURE = {"bytes": b"not read, or it would be an error", "path": None}
ARTICLES = ["概要\n京都は「町。」という。寺がある。", "歴史\n\n794年に遷都。", "一。二。三。"]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two repositories laid out as the Hub has them: pairs in JSON Lines, and wiki in two files of Parquet."""
    made = tmp_path / "local"
    for name in ("pairs", "wiki"):
        (made / name / "data").mkdir(parents=True)
        (made / name / "README.md").write_text(CARD.replace("TEST", TEST * (name == "pairs")), encoding="utf-8")
    (made / "pairs/data/train.jsonl").write_text(lines(PAIRS), encoding="utf-8")
    (made / "pairs/data/test.jsonl").write_text(lines(PAIRS[:1]), encoding="utf-8")
    for number, texts in enumerate((ARTICLES[:2], ARTICLES[2:])):
        columns = {"title": texts, "text": texts, "count": [1] * len(texts), "picture": [NO_PICTURE] * len(texts)}
        rows = datasets.Dataset.from_dict(columns).cast_column("picture", datasets.Image())
        rows.to_parquet(made / f"wiki/data/train-{number}.parquet")
    return made


def pairs(folder: Path, **keys: Any) -> Request:
    columns = ("translation.en", "translation.ja")
    own = {"path": str(folder / "pairs"), "config": "plain", "split": "train", "columns": columns, **keys}
    return request(corpus("hf", **own), folder)


def wiki(folder: Path, texts: tuple[str, ...] = MONO, **keys: Any) -> Request:
    own = {"path": str(folder / "wiki"), "config": "plain", "split": "train", "columns": ("text",), **keys}
    return request(corpus("hf", **own), folder, texts)


def test_pairs_are_a_segment_a_row(folder: Path) -> None:
    segments, tally = read(pairs(folder))
    assert segments == [
        {"id": f"{folder}/pairs:0", "src": "A cat.", "tgt": "猫。"},
        {"id": f"{folder}/pairs:1", "src": "A dog.", "tgt": "犬。"},
    ]
    assert tally.dropped == {"empty_src": 1, "empty_tgt": 1}


def test_a_split_is_one_of_its_own(folder: Path) -> None:
    assert len(read(pairs(folder, split="test"))[0]) == 1


def test_monolingual_text_is_split_into_sentences_of_a_document(folder: Path) -> None:
    segments, tally = read(wiki(folder))
    assert segments == [
        {"id": f"{folder}/wiki:0:1", "tgt": "京都は「町。」という。", "doc": f"{folder}/wiki:0"},
        {"id": f"{folder}/wiki:0:2", "tgt": "寺がある。", "doc": f"{folder}/wiki:0"},
        {"id": f"{folder}/wiki:1:1", "tgt": "794年に遷都。", "doc": f"{folder}/wiki:1"},
        {"id": f"{folder}/wiki:2:0", "tgt": "一。", "doc": f"{folder}/wiki:2"},
        {"id": f"{folder}/wiki:2:1", "tgt": "二。", "doc": f"{folder}/wiki:2"},
        {"id": f"{folder}/wiki:2:2", "tgt": "三。", "doc": f"{folder}/wiki:2"},
    ]
    assert tally.dropped == {"no_sentence": 2}


def test_a_limit_takes_the_first(folder: Path) -> None:
    segments, tally = read(wiki(folder, limit=2))
    assert [s["id"].rpartition("/")[2] for s in segments] == ["wiki:0:1", "wiki:0:2"]
    assert tally.dropped == {"no_sentence": 1}


def test_pairs_may_have_plain_columns(folder: Path) -> None:
    segments, _ = read(wiki(folder, PAIR, columns=("title", "text")))
    assert segments[2] == {"id": f"{folder}/wiki:2", "src": "一。二。三。", "tgt": "一。二。三。"}


Change = Callable[[Path], Request]

FAULTS: dict[str, tuple[Change, str]] = {
    "columns": (lambda folder: pairs(folder, columns=("translation.en",)), "name one for each of src, tgt"),
    "a column": (lambda folder: wiki(folder, columns=("body",)), r"body.*title.*text.*count"),
    "a nested column": (
        lambda folder: pairs(folder, columns=("translation.en", "translation.de")),
        "has no column translation.de; there, de would be one of: en, ja",
    ),
    "no text": (lambda folder: wiki(folder, columns=("count",)), "wiki:0: column count holds int, not text"),
    "a configuration": (lambda folder: wiki(folder, config="wikis"), r"correct config.*'wikis' not found.*plain"),
    "no configuration": (lambda folder: wiki(folder, config=None), r"correct config.*Config name is missing"),
    "a split": (lambda folder: wiki(folder, split="dev"), r"correct config, split.*dev"),
    "no folder": (lambda folder: wiki(folder, path=str(folder / "none")), "none: is no folder"),
    "outside": (lambda folder: wiki(folder, path="/srv/own"), "so DVC would not see it change"),
    "a name without a pin": (lambda folder: wiki(folder, path="org/name"), "revision is null; pin the dataset"),
    "a folder with a pin": (lambda folder: wiki(folder, revision=PIN), "is no name of a dataset, such as org/name"),
    "a packaged module": (lambda folder: wiki(folder, path="json", revision=PIN), "is no name of a dataset"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_one_line(folder: Path, change: Change, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(change(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "card",
    [
        "dataset_info: {features: 5}",
        "dataset_info: [5]",
        "configs: [5]",
        "configs: [{config_name: a, data_files: [{split: 5, path: 5}]}]",
    ],
)
def test_a_damaged_card_is_one_line(folder: Path, card: str) -> None:
    (folder / "wiki/README.md").write_text(f"---\n{card}\n---\n")
    with pytest.raises(InputError, match="wiki: cannot be read; correct config, split, columns or the files") as caught:
        read(wiki(folder))
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_one_line(folder: Path) -> None:
    (folder / "wiki/data/train-0.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(InputError, match="wiki: cannot be read; correct config, split, columns or the files"):
        read(wiki(folder))


def test_a_script_is_not_run(folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (folder / "wiki/wiki.py").write_text(f"open({str(ran)!r}, 'w')\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"wiki: cannot be read.*scripts are no longer supported"):
        read(wiki(folder))
    assert not ran.exists()


def answer(status: int) -> Any:
    from requests import Response

    made = Response()
    made.status_code = status
    return made


def gated(status: int) -> Exception:
    from huggingface_hub.errors import GatedRepoError

    error = datasets.exceptions.DatasetNotFoundError("Dataset 'org/name' is a gated dataset on the Hub.")
    error.__cause__ = GatedRepoError("gated", answer(status))
    return error


def refused() -> Exception:
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError("401 Client Error\nmore", answer(401))


ANSWERS: dict[str, tuple[Callable[[], Exception], str]] = {
    "gated": (lambda: gated(401), r"its licence must be accepted; do so at .*/datasets/org/name, and set HF_TOKEN"),
    "gated to this account": (lambda: gated(403), r"its licence must be accepted; do so at .*/datasets/org/name"),
    "no token": (refused, r"refuses it; set HF_TOKEN to a token that may read it"),
    "unknown": (
        lambda: datasets.exceptions.DatasetNotFoundError("Dataset 'org/name' doesn't exist"),
        "not found; correct the name and the revision, or set HF_TOKEN where it is private",
    ),
    "offline": (
        lambda: ConnectionError("Couldn't reach it"),
        "cannot be reached; check the network and HF_HUB_OFFLINE",
    ),
    "configuration": (lambda: ValueError("BuilderConfig 'x' not found"), "cannot be read; correct config, split and"),
}


@pytest.mark.parametrize(("error", "message"), ANSWERS.values(), ids=ANSWERS)
def test_what_the_hub_answers_is_one_line_that_says_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], message: str
) -> None:
    def load(path: str, **keys: Any) -> None:
        assert (path, keys) == ("org/name", {"name": "plain", "split": "train", "revision": PIN, "streaming": True})
        raise error()

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(InputError, match=rf"org/name: .*{message}") as caught:
        read(wiki(tmp_path, path="org/name", revision=PIN))
    assert "\n" not in str(caught.value)


def test_without_the_package_the_error_says_how_to_install_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"needs the package datasets; pip install '\.\[hub\]'"):
        read(wiki(folder))


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" A\n  cat. ", "A cat."), ("a \r\n b\u3000\tc", "a b\u3000\tc"), ("a\n\n\nb\u2028c", "a b\u2028c")],
)
def test_only_line_breaks_become_a_space(text: str, expected: str) -> None:
    assert _one_line(text) == expected


def test_a_megabyte_of_spaces_takes_no_longer_than_its_length() -> None:
    start = process_time()
    assert len(_one_line("a" + " " * 2**20 + "b")) == 2**20 + 2
    assert process_time() - start < 2
