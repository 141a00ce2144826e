"""What holds for every reader's place in the pipeline."""

from pathlib import Path

import pytest

from corpus_requests import corpus, read, request
from mt.errors import InputError
from mt.prompt import Languages
from mt.reader import WikiCorpus, sides


@pytest.mark.parametrize("path", ["elsewhere/own.tsv", "local/../own.tsv", "locally/own.tsv", "/own.tsv"])
def test_a_file_that_dvc_does_not_watch_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="outside local, so DVC would not see it change"):
        read(request(corpus("tsv", path=path), Path("local")))


@pytest.mark.parametrize(
    ("languages", "expected"),
    [(("en", "ja"), {"src": "a", "tgt": "あ"}), (("ja", "en"), {"src": "あ", "tgt": "a"})],
    ids=["en-ja", "ja-en"],
)
def test_sides_follow_the_languages(languages: tuple[str, str], expected: dict[str, str]) -> None:
    assert sides("own", {"en": "a", "ja": "あ"}, Languages(*languages)) == expected


@pytest.mark.parametrize(
    ("url", "sha256", "share", "message"),
    [
        ("ftp://x/y.tar.gz", None, 0.1, "must begin with https"),
        ("https://x/", None, 0.1, "end in a file's name"),
        ("https://x/y.tar.gz", "12", 0.1, "sha256"),
        ("https://x/y.tar.gz", None, 1.5, "write a share from 0 to 1"),
    ],
)
def test_settings_of_wikicorpus_that_are_refused(url: str, sha256: str | None, share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WikiCorpus(url, sha256, (), False, share)
