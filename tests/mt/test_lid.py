"""mt.lid, on the model itself: a member of a small archive, kept in the user's cache."""

from pathlib import Path

import pytest

from mt.archives import Archive, member_bytes, user_cache
from mt.errors import InputError
from mt.lid import FILE, LanguageId
from mt.params import read_tree

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the model."""
    (pinned,) = read_tree(ROOT / "presets" / "embedded.yaml")["models"]["lid"]["archives"]
    path = tmp_path_factory.mktemp("lid")
    (path / FILE).write_bytes(member_bytes(Archive(**pinned), user_cache()))
    return path


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


@pytest.mark.parametrize("content", [None, b"", b"no model", "cut"], ids=["missing", "empty", "another", "cut"])
def test_what_is_no_model_is_an_input_error(folder, tmp_path, content):
    if content is not None:
        whole = (folder / FILE).read_bytes()
        (tmp_path / FILE).write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    with pytest.raises(InputError, match=str(tmp_path / FILE)):
        LanguageId(tmp_path)
