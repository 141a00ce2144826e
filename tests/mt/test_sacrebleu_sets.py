"""The reader of sacreBLEU's test sets, on sets laid out as it lays them out."""

import io
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import sacrebleu
from sacrebleu.dataset import base
from sacrebleu.dataset.fake_sgml import FakeSGMLDataset
from sacrebleu.dataset.wmt_xml import WMTXMLDataset

from corpus_requests import MONO, PAIR, corpus, read, request
from mt.errors import InputError
from mt.reader import Request

XML = """<?xml version='1.0' encoding='utf-8'?>
<dataset id="wmt24test">
<collection id="general">
<doc origlang="en" id="news.1" domain="news">
<src lang="en"><p><seg id="1">A  cat.</seg><seg id="2">A dog.</seg></p></src>
<ref lang="ja" translator="refB"><p><seg id="1">猫B。</seg><seg id="2">犬B。</seg></p></ref>
<ref lang="ja" translator="refA"><p><seg id="1">猫A。</seg><seg id="2">犬A。</seg></p></ref>
</doc>
<doc origlang="en" id="news.2" domain="news">
<src lang="en"><p><seg id="1">A bird.</seg><seg id="2">A fish.</seg></p></src>
<ref lang="ja" translator="refB"><p><seg id="1">鳥B。</seg><seg id="2">魚B。</seg></p></ref>
<ref lang="ja" translator="refA"><p><seg id="1">鳥A。</seg><seg id="2"></seg></p></ref>
</doc>
</collection>
</dataset>
"""
SGML = """<{kind} setid="newstest2020" srclang="any" {target}>
<doc docid="paper.{n}" genre="news" origlang="en">
<p>
<seg id="1">{one}</seg>
<seg id="2">{two}</seg>
</p>
</doc>
</{kind}>
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SacreBLEU's folder of downloads, with a set of each of the two forms that WMT has had; no network."""
    for module in (base, sacrebleu):
        monkeypatch.setattr(module, "SACREBLEU_DIR", str(tmp_path))
    old = {"en-ja": ["sgm/src.sgm", "sgm/ref.sgm"], "ja-en": ["sgm/ref.sgm", "sgm/src.sgm"]}
    new = {"en-ja": ["xml/wmttest2024.en-ja.all.xml"]}
    sets = {
        "wmt20": FakeSGMLDataset("wmt20", data=["https://wmt.example/test.tgz"], md5=["0"], langpairs=old),
        "wmt24": WMTXMLDataset("wmt24", data=["https://wmt.example/xml.tar.gz"], langpairs=new, refs=["refB", "refA"]),
    }
    for name, dataset in sets.items():
        monkeypatch.setitem(sacrebleu.DATASETS, name, dataset)

    def unreachable(*arguments: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    return tmp_path


def lay(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def said(source: str) -> str:
    """The error that reading a set ends with, if there is one."""
    try:
        assert read(asked(source))[0]
    except InputError as error:
        return str(error)
    return ""


@pytest.fixture
def laid(home: Path) -> Path:
    lay(home / "wmt24/raw/wmt24.xml.tar.gz", "was unpacked")
    lay(home / "wmt24/raw/xml/wmttest2024.en-ja.all.xml", XML)
    lay(home / "wmt20/raw/wmt20.test.tgz", "was unpacked")
    lay(home / "wmt20/raw/sgm/src.sgm", SGML.format(kind="srcset", target="", n=7, one="A &amp; B.", two="A dog."))
    lay(home / "wmt20/raw/sgm/ref.sgm", SGML.format(kind="refset", target='trglang="ja"', n=7, one="猫。", two="犬。"))
    return home


def asked(source: str, texts: tuple[str, ...] = PAIR, **keys: Any) -> Request:
    return request(corpus(source), Path(), texts, complete=texts == PAIR, **keys)


@pytest.mark.parametrize("backwards", [False, True])
def test_the_first_reference_by_name_is_taken_and_documents_are_named(
    laid: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    # SacreBLEU gives the references of these sets in the order of a set of strings, which differs from run to run.
    dataset = sacrebleu.DATASETS["wmt24"]
    files = dataset.get_reference_files
    monkeypatch.setattr(dataset, "get_reference_files", lambda pair: sorted(files(pair), reverse=backwards))
    segments, tally = read(asked("sacrebleu:wmt24"))
    assert segments == [
        {"id": "sacrebleu:wmt24:1", "src": "A cat.", "tgt": "猫A。", "doc": "news.1"},
        {"id": "sacrebleu:wmt24:2", "src": "A dog.", "tgt": "犬A。", "doc": "news.1"},
        {"id": "sacrebleu:wmt24:3", "src": "A bird.", "tgt": "鳥A。", "doc": "news.2"},
    ]
    assert tally.dropped == {"empty_tgt": 1}


def test_the_older_form(laid: Path) -> None:
    segments, _ = read(asked("sacrebleu:wmt20"))
    assert [(s["src"], s["tgt"], s["doc"]) for s in segments] == [
        ("A & B.", "猫。", "paper.7"),
        ("A dog.", "犬。", "paper.7"),
    ]


def test_the_pair_follows_the_languages(laid: Path) -> None:
    segments, _ = read(asked("sacrebleu:wmt20", languages=("ja", "en")))
    assert (segments[1]["src"], segments[1]["tgt"]) == ("犬。", "A dog.")


def test_monolingual_text_is_the_reference(laid: Path) -> None:
    segments, tally = read(asked("sacrebleu:wmt24", MONO))
    assert segments[0] == {"id": "sacrebleu:wmt24:1", "tgt": "猫A。", "doc": "news.1"}
    assert tally.dropped == {"empty_tgt": 1}


@pytest.mark.parametrize(("name", "languages"), [("wmt99", ("en", "ja")), ("wmt24", ("ja", "en"))])
def test_an_unknown_set_or_pair_lists_those_that_there_are(laid: Path, name: str, languages: tuple[str, str]) -> None:
    message = rf"sacrebleu:{name}: no such test set for {'-'.join(languages)}; there are: .*wmt20"
    with pytest.raises(InputError, match=message) as caught:
        read(asked(f"sacrebleu:{name}", languages=languages))
    assert ("wmt24" in str(caught.value).partition("there are")[2]) == (languages == ("en", "ja"))


@pytest.mark.parametrize(("name", "packed"), [("wmt20", "test.tgz"), ("wmt24", "xml.tar.gz")])
def test_without_a_network_the_error_says_what_goes_where(home: Path, name: str, packed: str) -> None:
    place = f"{home}/{name}/raw, put https://wmt.example/{packed} as {name}.{packed} there, and unpack there"
    with pytest.raises(InputError, match=rf"sacrebleu:{name}: cannot be downloaded or read .*{place}"):
        read(asked(f"sacrebleu:{name}"))


def test_a_download_of_another_digest_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda url: io.BytesIO(b"something else"))
    with pytest.raises(InputError, match=r"sacrebleu:wmt20: cannot be downloaded or read \(SystemExit"):
        read(asked("sacrebleu:wmt20"))


def test_a_damaged_file_is_one_line(laid: Path) -> None:
    lay(laid / "wmt24/raw/xml/wmttest2024.en-ja.all.xml", XML[:-200])
    with pytest.raises(InputError, match=r"cannot be downloaded or read \(XMLSyntaxError"):
        read(asked("sacrebleu:wmt24"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (' id="1"', ' id="one"'),
        (' id="1"', ""),
        (">A dog.<", "><"),
        (' lang="ja"', ""),
        ('<src lang="en">', '<src lang="de">'),
        (' id="news.1"', ""),
        (' translator="refA"', ""),
        ("<dataset", '<!DOCTYPE d [<!ENTITY a "x">]><dataset'),
        (XML, ""),
        (XML, "<a/>"),
        (XML, "\0"),
    ],
)
def test_xml_that_is_not_as_it_should_be_is_read_or_one_line(laid: Path, old: str, new: str) -> None:
    assert old in XML
    lay(laid / "wmt24/raw/xml/wmttest2024.en-ja.all.xml", XML.replace(old, new))
    assert "\n" not in said("sacrebleu:wmt24")


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


def test_a_bomb_is_refused(laid: Path) -> None:
    bomb = XML.replace("<dataset", f'<!DOCTYPE d [<!ENTITY a0 "ha">{BOMB}]><dataset').replace("A dog.", "&a9;")
    lay(laid / "wmt24/raw/xml/wmttest2024.en-ja.all.xml", bomb)
    with pytest.raises(InputError, match=r"cannot be downloaded or read \(XMLSyntaxError"):
        read(asked("sacrebleu:wmt24"))


@pytest.mark.parametrize("content", [b"caf\xe9\n", b"a\0b\n" * 2, b""], ids=["Latin-1", "NUL", "nothing"])
def test_lines_that_are_not_as_they_should_be_are_read_or_one_line(laid: Path, content: bytes) -> None:
    read(asked("sacrebleu:wmt20"))
    (laid / "wmt20/wmt20.en-ja.ref").write_bytes(content)
    assert "\n" not in said("sacrebleu:wmt20")


def test_an_archive_that_is_none_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda url: io.BytesIO(b"no archive"))
    monkeypatch.setattr(sacrebleu.DATASETS["wmt24"], "md5", None)
    with pytest.raises(InputError, match=r"cannot be downloaded or read \(ReadError|FileNotFoundError"):
        read(asked("sacrebleu:wmt24"))


def test_files_of_unlike_length_are_an_error(laid: Path) -> None:
    read(asked("sacrebleu:wmt20"))
    lay(laid / "wmt20/wmt20.en-ja.ref", "猫。\n")
    with pytest.raises(InputError, match="files of unlike length"):
        read(asked("sacrebleu:wmt20"))


def test_the_sets_of_wmt20_to_wmt24_are_known() -> None:
    for name in ("wmt20", "wmt21", "wmt22", "wmt23", "wmt24"):
        assert "en-ja" in sacrebleu.get_langpairs_for_testset(name)
