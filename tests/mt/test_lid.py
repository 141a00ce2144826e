"""mt.lid, on the model itself: a member of a small archive, kept in the user's cache."""

import shutil
from pathlib import Path

import pytest

import tiny
from mt.archives import Archive, member_bytes, user_cache
from mt.errors import InputError
from mt.files import write_json
from mt.lid import FILE, LanguageId
from mt.params import read_tree

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the model."""
    (pinned,) = read_tree(ROOT / "presets" / "embedded.yaml")["models"]["lid"]["archives"]
    path = tmp_path_factory.mktemp("lid")
    (path / FILE).write_bytes(member_bytes(Archive(**pinned), user_cache()))
    return tiny.seal(path)


@pytest.mark.parametrize(
    ("text", "language", "low", "high"),
    [
        ("I would like a cup of tea.", "en", 0.8, 1),
        ("I would like a cup of tea.", "ja", 0, 0.01),
        ("お茶を一杯ください。", "ja", 0.99, 1),
        ("お茶を一杯ください。", "en", 0, 0.01),
        ("お茶を\n一杯\u2028ください。", "ja", 0.9, 1),
        ("Ich hätte gern eine Tasse Tee.", "de", 0.8, 1),
        ("I would like a cup of tea.", "tlh", 0, 0),
        ("", "en", 0, 0),
        (" \n\t", "ja", 0, 0),
    ],
    ids=["en", "en not ja", "ja", "ja not en", "line breaks", "de", "unknown language", "empty", "blank"],
)
def test_probability(folder, text, language, low, high):
    (probability,) = LanguageId(folder).probabilities([text], language)
    assert low <= probability <= high


def test_probabilities_keep_order_and_number(folder):
    texts = ["Good morning to all of you.", "", "皆さん、おはようございます。"] * 3
    assert [p > 0.5 for p in LanguageId(folder).probabilities(texts, "ja")] == [False, False, True] * 3
    assert LanguageId(folder).probabilities([], "ja") == []


@pytest.mark.parametrize("content", [None, b"", b"no model"], ids=["missing", "empty", "another"])
def test_what_is_no_model_is_an_input_error(tmp_path, content):
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
        tiny.seal(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path / FILE)):
        LanguageId(tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b[:-10], lambda b: b[:8] + b"\xff" + b[9:]])
def test_a_damaged_model_is_not_opened(folder, tmp_path, monkeypatch, damage):
    """FastText takes memory without end, crashes, or goes on."""
    shutil.copytree(folder, tmp_path / "lid")
    (tmp_path / "lid" / FILE).write_bytes(damage((folder / FILE).read_bytes()))
    monkeypatch.setattr("fasttext.load_model", lambda _: pytest.fail("was opened"))
    with pytest.raises(InputError, match=r"is not what provenance.json names; remove .*lid and run `dvc repro`"):
        LanguageId(tmp_path / "lid")


def test_a_model_that_no_provenance_names_is_not_opened(folder, tmp_path):
    shutil.copyfile(folder / FILE, tmp_path / FILE)
    with pytest.raises(InputError, match=r"provenance.json: not found"):
        LanguageId(tmp_path)
    write_json(tmp_path / "provenance.json", {"files": {}})
    with pytest.raises(InputError, match=f"provenance.json: does not name {FILE} and its SHA-256"):
        LanguageId(tmp_path)
