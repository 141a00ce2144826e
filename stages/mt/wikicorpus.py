"""The reader `wikicorpus`: NICT's Japanese–English Bilingual Corpus of Wikipedia's Kyoto Articles."""

import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError
from xml.parsers.expat import errors

from tqdm import tqdm

from mt.archives import DAMAGE, tar_members
from mt.downloads import fetch_url
from mt.errors import InputError
from mt.reader import Request, Row, local_path, row, sides

MAX_ARTICLE_BYTES = 1 << 22
MAX_CORPUS_BYTES = 1 << 29
"""The most that is held in memory of an archive, whose articles are compressed there."""
_ARTICLE = re.compile(r"[A-Z]{3}\d+")
_NO_MEMORY = errors.codes[errors.XML_ERROR_NO_MEMORY]
_SPACE = re.compile("[ \t\r\n]+")


def read_wikicorpus(request: Request) -> Iterator[Row]:
    """The sentences of the articles in the order of their names: the Japanese original, and the English final check.

    The corpus is the archive at `url`, or at `path` a .tar.gz or a folder; of either, only regular files such as
    BDS00010.xml are read, and nothing is unpacked. Ids are `wikicorpus:<article>:<id of the sentence>`, and for titles
    `wikicorpus:<article>:t<n>`, n counting the article's titles and headings from 1, the first being its own title.
    `doc` is the article.

    Dropped: an article that is not well-formed XML (`malformed`, with what is wrong as `error`), a sentence without
    text on a side, one without an id or with that of another (`no_id`, `same_id`), and one with another in it
    (`nested`).

    Raises:
        InputError: the corpus cannot be had or read, an article declares a document type or an entity, too many are
            malformed, or a category is unknown.
    """
    options = request.wikicorpus
    own = request.corpus.path is not None
    path = local_path(request) if own else fetch_url(options.url, options.sha256, request.cache)
    articles = _in_folder(path) if path.is_dir() else _in_archive(path)
    names = _chosen(sorted(articles), options.categories, path)
    malformed: list[str] = []
    for name in tqdm(names, "read WikiCorpus", unit="article", disable=None):
        try:
            root = _parsed(articles[name](), f"{path}: {name}.xml")
        except (ParseError, ValueError, LookupError) as error:
            malformed.append(name)
            if len(malformed) > options.max_malformed * len(names):
                raise InputError(
                    f"{path}: more than {options.max_malformed:.2%} of {len(names)} articles are not well-formed XML, "
                    f"among them {', '.join(malformed[:3])}; give a corpus that is whole, or raise max_malformed"
                ) from error
            yield Row(name, {"id": f"wikicorpus:{name}", "doc": name, "error": str(error)}, "malformed")
        else:
            yield from _segments(root, name, request)


def _chosen(names: list[str], categories: tuple[str, ...], path: Path) -> list[str]:
    there = sorted({name[:3] for name in names})
    if not names:
        raise InputError(f"{path}: holds no article such as BDS00010.xml; give the corpus's archive or its folder")
    if unknown := sorted(set(categories) - set(there)):
        raise InputError(f"{path}: has no category {', '.join(unknown)}; there are {', '.join(there)}")
    return [name for name in names if not categories or name[:3] in categories]


def _in_folder(path: Path) -> dict[str, Callable[[], bytes]]:
    articles: dict[str, Callable[[], bytes]] = {}
    for file in path.rglob("*"):
        if file.is_symlink() and file.is_dir():
            raise InputError(f"{file}: is a link to a folder; put the folder itself in its place")
        if file.suffix != ".xml" or not _is_article(file.stem):
            continue
        if file.is_symlink() or not file.is_file():
            raise _no_file(file.stem, path)
        _check(file.stem, file.stat().st_size, articles, path)
        articles[file.stem] = partial(_content, file)
    return articles


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give a corpus that can") from error


def _in_archive(path: Path) -> dict[str, Callable[[], bytes]]:
    """Read the archive from end to end, whatever the order in it; its articles stay in memory, compressed."""
    articles: dict[str, Callable[[], bytes]] = {}
    kept = 0
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no plain file; give the corpus's archive or its folder")
    try:
        for member, content in tar_members(path):
            place = PurePosixPath(member.name)
            if place.suffix != ".xml" or not _is_article(place.stem):
                continue
            if content is None:
                raise _no_file(place.stem, path)
            _check(place.stem, member.size, articles, path)
            if place.is_absolute() or ".." in place.parts:
                raise InputError(f"{path}: the member {member.name!r} points out of the archive; do not trust it")
            packed = zlib.compress(content.read(), level=1)
            articles[place.stem] = partial(zlib.decompress, packed)
            kept += len(packed)
            if kept > MAX_CORPUS_BYTES:
                raise InputError(f"{path}: packs more than {MAX_CORPUS_BYTES} bytes of articles; do not trust it")
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found; put the corpus there, or write null as path to download it") from error
    except DAMAGE as error:
        raise InputError(f"{path}: is no whole .tar.gz ({error}); remove it and get it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give an archive that can") from error
    return articles


def _is_article(name: str) -> bool:
    return _ARTICLE.fullmatch(name) is not None


def _no_file(name: str, path: Path) -> InputError:
    return InputError(f"{path}: {name}.xml is a link, a device or a folder; put the article itself in its place")


def _check(name: str, size: int, articles: dict[str, Callable[[], bytes]], path: Path) -> None:
    """Refuse an article that is too large, or there already."""
    if size > MAX_ARTICLE_BYTES:
        raise InputError(f"{path}: {name}.xml has {size} bytes, more than {MAX_ARTICLE_BYTES}; do not trust it")
    if name in articles:
        raise InputError(f"{path}: holds {name}.xml twice; remove one")


def _parsed(data: bytes, place: str) -> Element:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except (MemoryError, ParseError) as error:
        if isinstance(error, ParseError) and error.code != _NO_MEMORY:
            raise
        raise InputError(f"{place}: takes more memory than there is; free some and run the stage again") from error
    except DefusedXmlException as error:
        raise InputError(
            f"{place}: declares a document type or an entity ({type(error).__name__}), which no article does; "
            "do not trust the corpus that it came with"
        ) from error
    return root


def _segments(root: Element, article: str, request: Request) -> Iterator[Row]:
    seen: set[str] = set()
    headings = 0
    tags = {"sen", "tit"} if request.wikicorpus.titles else {"sen"}
    for element in _outermost(root, tags):
        headings += element.tag == "tit"
        name = f"t{headings}" if element.tag == "tit" else element.get("id", "")
        id_ = f"wikicorpus:{article}:{name}"
        found = {"en": _text(element.findall("e[@type='check']")[-1:]), "ja": _text(element.findall("j"))}
        texts = sides("wikicorpus", found, request.languages)
        segment = {"id": id_, **{key: texts[key] for key in request.texts}, "doc": article}
        if any(inner.tag in tags for child in element for inner in child.iter()):
            yield Row(id_, segment, "nested")
        elif not name or name in seen:
            yield Row(id_, segment, "same_id" if name else "no_id")
        else:
            seen.add(name)
            yield row(id_, segment, request.texts)


def _outermost(root: Element, tags: set[str]) -> Iterator[Element]:
    """The elements with one of the tags that stand in no other such, in their order.

    What stands in them is not walked: the text of each contains that of all inside, which would be read once a level.
    """
    left = [root]
    while left:
        element = left.pop()
        if element.tag in tags:
            yield element
        else:
            left += reversed(element)


def _text(elements: list[Element]) -> str:
    """The text of elements and of all that stands in them, white space (as XML has it) collapsed."""
    return _SPACE.sub(" ", "".join(text for element in elements for text in element.itertext())).strip(" ")
