"""The reader `wikicorpus`: NICT's Japanese–English Bilingual Corpus of Wikipedia's Kyoto Articles."""

import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from tqdm import tqdm

from mt.downloads import fetch_url
from mt.errors import InputError
from mt.reader import Request, Row, local_path, row, sides

MAX_ARTICLE_BYTES = 1 << 24
CHUNK_BYTES = 1 << 20
_ARTICLE = re.compile(r"[A-Z]{3}\d+")
_SPACE = re.compile("[ \t\r\n]+")


def read_wikicorpus(request: Request) -> Iterator[Row]:
    """The sentences of the articles in the order of their names: the Japanese original, and the English final check.

    The corpus is the archive at `url`, or at `path` a .tar.gz or a folder; of either, only regular files such as
    BDS00010.xml are read, and nothing is unpacked. Ids are `wikicorpus:<article>:<id of the sentence>`, and for titles
    `wikicorpus:<article>:t<n>`, n counting the article's titles and headings from 1, the first being its own title.
    `doc` is the article.

    Dropped: an article that is not well-formed XML (`malformed`, with what is wrong as `error`), a sentence without
    text on a side, and one without an id or with that of another (`no_id`, `same_id`).

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
    for file in path.rglob("*.xml"):
        if file.is_file() and not file.is_symlink() and _is_new(file.stem, file.stat().st_size, articles, path):
            articles[file.stem] = file.read_bytes
    return articles


def _in_archive(path: Path) -> dict[str, Callable[[], bytes]]:
    """Read the archive from end to end, whatever the order in it; its articles stay in memory, compressed."""
    articles: dict[str, Callable[[], bytes]] = {}
    try:
        with gzip.open(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                file = archive.extractfile(member) if member.isreg() and place.suffix == ".xml" else None
                if file is None or not _is_new(place.stem, member.size, articles, path):
                    continue
                if place.is_absolute() or ".." in place.parts:
                    raise InputError(f"{path}: the member {member.name!r} points out of the archive; do not trust it")
                articles[place.stem] = partial(zlib.decompress, zlib.compress(file.read(), level=1))
            while unzipped.read(CHUNK_BYTES):
                pass  # at the end stands the checksum, without which a cut archive would pass for a whole one
    except FileNotFoundError as error:
        raise InputError(f"{path}: not found; put the corpus there, or write null as path to download it") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: is no whole .tar.gz ({error}); remove it and get it again") from error
    return articles


def _is_new(name: str, size: int, articles: dict[str, Callable[[], bytes]], path: Path) -> bool:
    """Whether a file is an article, by its name; InputError where it is too large or there already."""
    if not _ARTICLE.fullmatch(name):
        return False
    if size > MAX_ARTICLE_BYTES:
        raise InputError(f"{path}: {name}.xml has {size} bytes, more than {MAX_ARTICLE_BYTES}; do not trust it")
    if name in articles:
        raise InputError(f"{path}: holds {name}.xml twice; remove one")
    return True


def _parsed(data: bytes, place: str) -> Element:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise InputError(
            f"{place}: declares a document type or an entity ({type(error).__name__}), which no article does; "
            "do not trust the corpus that it came with"
        ) from error
    return root


def _segments(root: Element, article: str, request: Request) -> Iterator[Row]:
    seen: set[str] = set()
    headings = 0
    for element in root.iter():
        if element.tag == "sen":
            name = element.get("id", "")
        elif element.tag == "tit" and request.wikicorpus.titles:
            headings += 1
            name = f"t{headings}"
        else:
            continue
        id_ = f"wikicorpus:{article}:{name}"
        found = {"en": _text(element.findall("e[@type='check']")[-1:]), "ja": _text(element.findall("j"))}
        texts = sides("wikicorpus", found, request.languages)
        segment = {"id": id_, **{key: texts[key] for key in request.texts}, "doc": article}
        if not name or name in seen:
            yield Row(id_, segment, "same_id" if name else "no_id")
        else:
            seen.add(name)
            yield row(id_, segment, request.texts)


def _text(elements: list[Element]) -> str:
    """The text of elements and of all that stands in them, white space (as XML has it) collapsed."""
    return _SPACE.sub(" ", "".join(text for element in elements for text in element.itertext())).strip(" ")
