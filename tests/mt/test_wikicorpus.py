"""The reader of NICT's WikiCorpus."""

import encodings
import gzip
import io
import os
import pkgutil
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import errors

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mt.wikicorpus
from bounded import gzipped, outcome, tar_header, zeros
from corpus_requests import MONO, PAIR, WIKICORPUS, corpus, read, request
from mt.errors import InputError
from mt.reader import Request, WikiCorpus
from mt.segments import Segment
from mt.tally import Tally
from mt.wikicorpus import MAX_ARTICLE_BYTES

SAMPLE = Path(__file__).parents[2].parent / "shared" / "wikicorpus" / "wiki_corpus_2.01_sample.tar.gz"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def unit(tag: str, src: str, tgt: str, id_: str | None = None) -> str:
    """A sentence or a title as the corpus has it, with the two translations before the final check."""
    versions = "".join(f'<e type="trans" ver="{n}">draft {n}</e>\n<cmt></cmt>\n' for n in (1, 2))
    name = f' id="{id_}"' if id_ else ""
    return f'<{tag}{name}>\n<j>{tgt}</j>\n{versions}<e type="check" ver="1">{src}</e>\n<cmt>修正なし</cmt>\n</{tag}>\n'


def article(*units: str, head: str = HEAD) -> bytes:
    return (
        f'{head}<art orl="ja" trl="en">\n<inf>jawiki</inf>\n{"".join(units)}<copyright>…</copyright>\n</art>'.encode()
    )


def sentence(number: int | str) -> str:
    return unit("sen", f"Sentence {number}.", f"文{number}。", str(number))


PLAIN = {
    "BDS/BDS00010.xml": article(
        unit("tit", "Temple", "寺"),
        f'<par id="1">{sentence(1)}</par>',
        f'<sec id="1">{unit("tit", "History", "歴史")}<par id="1">{sentence(2)}</par></sec>',
    ),
    "HST/HST00002.xml": article(unit("tit", "War", "戦"), sentence(1)),
}


def pack(path: Path, members: Mapping[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, member in members.items():
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(f"wiki_corpus_2.01/{name}")
            data = b"" if isinstance(member, tarfile.TarInfo) else member
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def unpacked(path: Path, members: Mapping[str, bytes]) -> Path:
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def asked(path: Path, texts: tuple[str, ...] = PAIR, complete: bool = False, **options: Any) -> Request:
    wikicorpus = replace(WIKICORPUS, **{"max_malformed": 1.0, **options})
    return request(corpus("wikicorpus", path=str(path)), path.parent, texts, complete, wikicorpus=wikicorpus)


def of_one(tmp_path: Path, content: bytes, **options: Any) -> tuple[list[Segment], Tally]:
    return read(asked(pack(tmp_path / "c.tar.gz", {"BDS00010.xml": content}), **options))


def test_sentences_come_with_their_article_and_its_final_check(tmp_path: Path) -> None:
    segments, tally = read(asked(pack(tmp_path / "c.tar.gz", PLAIN)))
    assert segments == [
        {"id": "wikicorpus:BDS00010:1", "src": "Sentence 1.", "tgt": "文1。", "doc": "BDS00010"},
        {"id": "wikicorpus:BDS00010:2", "src": "Sentence 2.", "tgt": "文2。", "doc": "BDS00010"},
        {"id": "wikicorpus:HST00002:1", "src": "Sentence 1.", "tgt": "文1。", "doc": "HST00002"},
    ]
    assert tally.dropped == {}


def test_titles_are_numbered_within_their_article(tmp_path: Path) -> None:
    segments, _ = read(asked(pack(tmp_path / "c.tar.gz", PLAIN), titles=True))
    assert [(s["id"].partition(":")[2], s["src"]) for s in segments] == [
        ("BDS00010:t1", "Temple"),
        ("BDS00010:1", "Sentence 1."),
        ("BDS00010:t2", "History"),
        ("BDS00010:2", "Sentence 2."),
        ("HST00002:t1", "War"),
        ("HST00002:1", "Sentence 1."),
    ]


def test_a_folder_and_an_archive_in_any_order_read_alike(tmp_path: Path) -> None:
    backwards = dict(reversed(PLAIN.items()))
    expected = read(asked(pack(tmp_path / "c.tar.gz", PLAIN)))[0]
    assert read(asked(pack(tmp_path / "d.tar.gz", backwards)))[0] == expected
    assert read(asked(unpacked(tmp_path / "folder", backwards)))[0] == expected


def test_monolingual_text_is_the_japanese(tmp_path: Path) -> None:
    segments, _ = read(asked(pack(tmp_path / "c.tar.gz", PLAIN), MONO))
    assert segments[0] == {"id": "wikicorpus:BDS00010:1", "tgt": "文1。", "doc": "BDS00010"}


def test_categories_are_the_first_letters(tmp_path: Path) -> None:
    path = pack(tmp_path / "c.tar.gz", PLAIN)
    assert [s["doc"] for s in read(asked(path, categories=("HST",)))[0]] == ["HST00002"]
    with pytest.raises(InputError, match="has no category GNM, XYZ; there are BDS, HST"):
        read(asked(path, categories=("XYZ", "HST", "GNM")))


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("a <b>nested</b> word", "a nested word"),
        ("  two\n\tlines\r\n here ", "two lines here"),
        ("fish &amp; &quot;chips&quot; &#x30ab;", 'fish & "chips" カ'),
        ("no\u3000XML\u00a0space", "no\u3000XML\u00a0space"),
        ("a<!-- comment -->b", "ab"),
        ("<![CDATA[1 < 2]]>", "1 < 2"),
    ],
)
def test_text_is_one_line_of_all_that_stands_inside(tmp_path: Path, inner: str, expected: str) -> None:
    segments, _ = of_one(tmp_path, article(unit("sen", inner, inner, "1")))
    assert (segments[0]["src"], segments[0]["tgt"]) == (expected, expected)


@pytest.mark.parametrize("complete", [False, True])
def test_what_lacks_a_text_or_an_id_of_its_own_is_dropped_and_counted(tmp_path: Path, complete: bool) -> None:
    odd = [
        unit("sen", " ", "文", "2"),
        unit("sen", "Text.", "", "3"),
        unit("sen", "Text.", "文"),
        unit("sen", "Other.", "別", "1"),
        '<sen id="4"><j>文</j><e type="trans" ver="2">A draft.</e></sen>',
    ]
    segments, tally = read(asked(pack(tmp_path / "c", {"BDS00010.xml": article(sentence(1), *odd)}), PAIR, complete))
    assert [s["id"] for s in segments] == ["wikicorpus:BDS00010:1"]
    assert tally.dropped == {"empty_src": 2, "empty_tgt": 1, "no_id": 1, "same_id": 1}


BROKEN = {
    "cut": article(sentence(1))[:-20],
    "an ampersand": article(unit("sen", "a & b", "文", "1")),
    "nothing": b"",
    "bytes": b"\xff\xfe\x00<",
    "an unknown encoding": article(sentence(1), head='<?xml version="1.0" encoding="Klingon"?>'),
    "an encoding of many bytes": article(sentence(1), head='<?xml version="1.0" encoding="shift_jis"?>'),
    "an undefined entity": article(unit("sen", "a &nbsp; b", "文", "1")),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_malformed_article_is_skipped_named_and_counted(tmp_path: Path, content: bytes) -> None:
    path = pack(tmp_path / "c.tar.gz", {**PLAIN, "GNM/GNM00155.xml": content})
    segments, tally = read(asked(path, max_malformed=0.34))
    assert (len(segments), tally.dropped) == (3, {"malformed": 1})
    (rejected,) = tally.report()["rejected"]
    assert (rejected["id"], rejected["doc"]) == ("wikicorpus:GNM00155", "GNM00155")
    assert rejected["error"]


def test_too_many_malformed_articles_are_an_error(tmp_path: Path) -> None:
    path = pack(tmp_path / "c.tar.gz", {**PLAIN, "GNM/GNM00155.xml": b"<"})
    with pytest.raises(
        InputError, match=r"more than 33\.00% of 3 articles are not well-formed XML, among them GNM00155"
    ):
        read(asked(path, max_malformed=0.33))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the codec
@pytest.mark.parametrize("codec", sorted(module.name for module in pkgutil.iter_modules(encodings.__path__)))
def test_whatever_encoding_an_article_names_it_is_read_or_malformed(tmp_path: Path, codec: str) -> None:
    head = f'<?xml version="1.0" encoding="{codec}"?>'
    path = pack(tmp_path / "c.tar.gz", {**PLAIN, "GNM/GNM00155.xml": article(sentence(1), head=head)})
    segments, tally = read(asked(path, max_malformed=0.34))
    assert len(segments) + tally.dropped.get("malformed", 0) == 4


HOSTILE = {
    "entity": '<!DOCTYPE a [<!ENTITY lol "lol">]>',
    "entities that grow": '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]>',
    "external entity": '<!DOCTYPE a [<!ENTITY f SYSTEM "secret.txt">]>',
    "parameter entity": '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
    "external document type": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">',
    "document type": "<!DOCTYPE art>",
}


@pytest.mark.parametrize("head", HOSTILE.values(), ids=HOSTILE)
def test_document_types_and_entities_are_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(InputError, match=r"BDS00010\.xml: declares a document type or an entity"):
        of_one(tmp_path, article(sentence(1), head=HEAD + head))


def out_of_memory() -> ParseError:
    """As the parser raises it; memory is tight where it does, and any call may fail."""
    error = ParseError("out of memory: line 1, column 1048563")
    error.code = errors.codes["out of memory"]
    return error


@pytest.mark.parametrize("error", [MemoryError(), out_of_memory()], ids=["Python", "expat"])
def test_too_little_memory_makes_no_article_malformed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("defusedxml.ElementTree.fromstring", fail)
    with pytest.raises(InputError, match=r"BDS00010\.xml: takes more memory than there is; free some"):
        of_one(tmp_path, article(sentence(1)))


READ = """
from dataclasses import replace
from corpus_requests import WIKICORPUS, corpus, read, request
options = replace(WIKICORPUS, max_malformed=1.0)
def asked(path):
    return request(corpus("wikicorpus", path=str(path)), path.parent, wikicorpus=options)
"""


def bounded(path: Path, megabytes: int) -> str:
    return outcome(READ, "read(asked(path))", path, megabytes)


BOMB = '<!DOCTYPE a [<!ENTITY a0 "ha">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
)  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        article(unit("sen", "&a11;", "文", "1"), head=f"{HEAD}{BOMB}]>"),
        article(unit("sen", "&a;" * 9000, "文", "1"), head=f'{HEAD}<!DOCTYPE a [<!ENTITY a "{"x" * 90_000}">]>'),
        article(head=f'{HEAD}<!DOCTYPE a [<!ENTITY a SYSTEM "/dev/zero">]>') + b"&a;",
    ],
    ids=["entities of entities", "a long entity many times", "a device"],
)
def test_an_xml_bomb_takes_no_memory(tmp_path: Path, content: bytes) -> None:
    path = pack(tmp_path / "c.tar.gz", {"BDS00010.xml": content})
    assert "BDS00010.xml: declares a document type or an entity" in bounded(path, 24)


@pytest.mark.parametrize(("allocator", "megabytes"), [("pymalloc", 400), ("malloc", 480)])
@pytest.mark.parametrize("inner", ["<a/>", "<a>", "<a b='' c='' d=''/>", "x<a/>y", "<!---->", "&#65;", "<?a?>"])
def test_the_largest_article_takes_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str, allocator: str, megabytes: int
) -> None:
    monkeypatch.setenv("PYTHONMALLOC", allocator)
    content = article(sentence(1), inner * ((MAX_ARTICLE_BYTES - 1000) // len(inner)))
    path = pack(tmp_path / "c.tar.gz", {"BDS00010.xml": content})
    assert bounded(path, megabytes) in ("read", f"{path}: holds no segment with text (1 were read); give at least one")


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        pytest.param(
            [tar_header("BDS00010.xml", 2**60)], f"has {2**60} bytes, more than", id="an article of 2^60 bytes"
        ),
        pytest.param([tar_header("a.txt", 2**60)], "unexpected end of data", id="another file of 2^60 bytes"),
        pytest.param([tar_header("a.txt", -1024)], "a header leads back", id="a negative size"),
        pytest.param([tar_header("a.txt", -512)], "a header is damaged", id="back to the beginning"),
        pytest.param(
            [tar_header("a.txt", 1 << 29), *zeros(1 << 29)], "holds no article", id="half a gigabyte of zeros"
        ),
        pytest.param([tar_header("a", 1 << 29, tarfile.XGLTYPE), *zeros(1 << 29)], "are to be read", id="in a header"),
        pytest.param([bytes(1024), *zeros(1 << 29)], "holds no article", id="after the end"),
    ],
)
def test_an_archive_takes_no_memory_whatever_its_headers_claim(tmp_path: Path, chunks: list[bytes], said: str) -> None:
    path = gzipped(tmp_path / "c.tar.gz", chunks)
    assert said in bounded(path, 24)


def test_articles_are_kept_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mt.wikicorpus, "MAX_CORPUS_BYTES", 300)
    with pytest.raises(InputError, match=r"packs more than 300 bytes of articles; do not trust it"):
        read(asked(pack(tmp_path / "c.tar.gz", PLAIN)))


def test_a_damaged_header_does_not_end_the_corpus(tmp_path: Path) -> None:
    path = pack(tmp_path / "c.tar.gz", PLAIN)
    blocks = gzip.decompress(path.read_bytes())
    at = blocks.index(b"wiki_corpus_2.01/HST")
    path.write_bytes(gzip.compress(blocks[:at] + b"x" + blocks[at + 1 :]))
    with pytest.raises(InputError, match=r"is no whole \.tar\.gz \(a header is damaged\)"):
        read(asked(path))


@pytest.mark.parametrize("kind", ["file", "article", "pipe"])
def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = unpacked(tmp_path / "folder", PLAIN) if kind == "article" else pack(tmp_path / "c.tar.gz", PLAIN)
    if kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        monkeypatch.setattr("builtins.open" if kind == "file" else "pathlib.Path.read_bytes", refuse)
    with pytest.raises(InputError, match=r"cannot be read|is no plain file"):
        read(asked(path))


def refuse(*_: Any, **__: Any) -> Any:
    raise PermissionError(13, "Permission denied")


def test_deep_nesting_harms_nothing(tmp_path: Path) -> None:
    depth = 50_000
    segments, _ = of_one(tmp_path, article("<p>" * depth + sentence(1) + "</p>" * depth))
    assert len(segments) == 1


NESTED = '<sen id="{0}"><e type="check">e</e><j>{1}'


def nested(levels: int) -> bytes:
    opened = "".join(NESTED.format(level, "文" * 8) for level in range(levels))
    return article(sentence("a") + opened + "</j></sen>" * levels + sentence("b"))


@pytest.mark.parametrize("titles", [False, True])
def test_a_sentence_in_a_sentence_is_dropped_with_it_and_counted(tmp_path: Path, titles: bool) -> None:
    path = pack(tmp_path / "c.tar.gz", {"BDS00001.xml": nested(3)})
    segments, tally = read(asked(path, titles=titles))
    assert [segment["id"] for segment in segments] == [f"wikicorpus:BDS00001:{name}" for name in "ab"]
    assert tally.dropped == {"nested": 1}


def test_nesting_takes_no_longer_than_its_length(tmp_path: Path) -> None:
    path = pack(tmp_path / "c.tar.gz", {"BDS00001.xml": nested(40_000)})
    began = time.process_time()
    _, tally = read(asked(path))
    assert tally.dropped == {"nested": 1}
    assert time.process_time() - began < 5


def link(name: str, kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_only_regular_articles_of_an_archive_are_read(tmp_path: Path) -> None:
    others: dict[str, bytes | tarfile.TarInfo] = {
        "README.xml": b"<",
        "._BDS00010.xml": b"<",
        "BDS00011.txt": b"<",
        "link": link("BDS00012", tarfile.SYMTYPE),
    }
    segments, tally = read(asked(pack(tmp_path / "c.tar.gz", {**PLAIN, **others})))
    assert ({s["doc"] for s in segments}, tally.dropped) == ({"BDS00010", "HST00002"}, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_an_article_of_an_archive_that_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    others = {"other": link("BDS00012.xml", kind, "wiki_corpus_2.01/HST/HST00002.xml")}
    with pytest.raises(InputError, match=r"BDS00012\.xml is a link, a device or a folder; put the article itself"):
        read(asked(pack(tmp_path / "c.tar.gz", {**PLAIN, **others})))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("BDS/CLT00001.xml", r"CLT00001\.xml is a link, a device or a folder"),
        ("CLT", r"CLT: is a link to a folder; put the folder itself"),
    ],
)
def test_links_in_a_folder_are_refused(tmp_path: Path, name: str, says: str) -> None:
    folder = unpacked(tmp_path / "folder", PLAIN)
    elsewhere = unpacked(tmp_path / "elsewhere", {"CLT/CLT00001.xml": article(sentence(1))})
    (folder / name).symlink_to(elsewhere / "CLT" / ("CLT00001.xml" if name.endswith(".xml") else ""))
    with pytest.raises(InputError, match=says):
        read(asked(folder))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_an_article_of_a_folder_that_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    folder = unpacked(tmp_path / "folder", PLAIN)
    make(folder / "BDS" / "BDS00012.xml")
    with pytest.raises(InputError, match=r"BDS00012\.xml is a link, a device or a folder"):
        read(asked(folder))


@pytest.mark.parametrize("name", ["../BDS00012.xml", "/tmp/BDS00012.xml", "a/../../BDS00012.xml"])
def test_members_that_point_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(InputError, match="points out of the archive"):
        read(asked(path))


def test_a_large_article_and_one_that_is_there_twice_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = pack(tmp_path / "c.tar.gz", {**PLAIN, "CLT/BDS00010.xml": article(sentence(1))})
    with pytest.raises(InputError, match=r"holds BDS00010\.xml twice"):
        read(asked(twice))
    monkeypatch.setattr(mt.wikicorpus, "MAX_ARTICLE_BYTES", 100)
    for path in (pack(tmp_path / "d.tar.gz", PLAIN), unpacked(tmp_path / "folder", PLAIN)):
        with pytest.raises(InputError, match=r"00\d+\.xml has \d+ bytes, more than 100"):
            read(asked(path))


@pytest.mark.parametrize("cut", [1, 8, 9, 500])
def test_a_cut_archive_never_passes_for_a_whole_one(tmp_path: Path, cut: int) -> None:
    path = pack(tmp_path / "c.tar.gz", PLAIN)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"c\.tar\.gz: is no whole \.tar\.gz"):
        read(asked(path))


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar")], ids=["empty", "text", "gzip"])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.tar.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"c\.tar\.gz: "):
        read(asked(path))


def test_a_missing_or_empty_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"c\.tar\.gz: not found"):
        read(asked(tmp_path / "c.tar.gz"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder: holds no article such as BDS00010\.xml"):
        read(asked(tmp_path / "folder"))


def test_without_a_path_the_corpus_is_that_of_the_url(tmp_path: Path) -> None:
    pack(tmp_path / "wiki_corpus.tar.gz", PLAIN)
    assert len(read(request(corpus("wikicorpus"), tmp_path))[0]) == 3


def test_without_a_network_the_error_names_the_url_and_the_place(tmp_path: Path) -> None:
    place = tmp_path / "wiki_corpus.tar.gz"
    with pytest.raises(InputError, match=rf"{place}: not there, and {WIKICORPUS.url} cannot be downloaded.*by hand"):
        read(request(corpus("wikicorpus"), tmp_path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("ftp://host/c.tar.gz", None, (), False, 0.1), "url: "),
        (("https://host/", None, (), False, 0.1), "url: "),
        (("https://host/a/..", None, (), False, 0.1), "url: "),
        (("https://host?c.tar.gz", None, (), False, 0.1), "url: "),
        (("https:///c.tar.gz", None, (), False, 0.1), "url: "),
        (("https://[1/c.tar.gz", None, (), False, 0.1), "Invalid IPv6 URL"),
        (("https://host/c.tar.gz", "abc", (), False, 0.1), "sha256: 'abc' must be 64"),
        (("https://host/c.tar.gz", None, (), False, 1.5), "max_malformed is 1.5; write a share"),
    ],
)
def test_options_that_make_no_sense_are_refused(values: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WikiCorpus(*values)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20))
def test_any_text_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    from xml.sax.saxutils import escape

    content = article(unit("sen", "x" + escape(text) + "x", "文", "1"))
    if any(ord(character) & 0xFFFF >= 0xFFFE for character in text):
        return  # no characters of XML
    segments, _ = of_one(tmp_path_factory.mktemp("any"), content)
    assert segments[0]["src"].replace(" ", "") == f"x{text}x".replace(" ", "")


@pytest.mark.skipif(not SAMPLE.is_file(), reason="needs the sample of the corpus")
def test_the_sample_has_360_articles_and_9072_pairs() -> None:
    segments, tally = read(asked(SAMPLE, max_malformed=0.01))
    assert (len({s["doc"] for s in segments}), len(segments)) == (360, 9072)
    assert tally.dropped == {"malformed": 1}
    assert tally.report()["rejected"][0]["doc"] == "GNM00155"
