"""The reader `sacrebleu:<set>`: the test sets that sacreBLEU knows, such as WMT's."""

import html
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from mt.errors import InputError
from mt.reader import Request, Row, row
from mt.segments import decoded_lines

_FAULTS = (
    *(OSError, SystemExit, HTTPException, EOFError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error),
    *(SyntaxError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
)
"""What sacreBLEU does where a set cannot be had: it exits where the MD5 is another; archives; SyntaxError is XML's, and
the rest comes from files that are not as it takes them to be."""


def read_sacrebleu(request: Request) -> Iterator[Row]:
    """A set's segments for the pair of languages, ids `sacrebleu:<set>:<line>`, `doc` where the set has docids.

    SacreBLEU downloads a set once, to $SACREBLEU or ~/.sacrebleu, and checks its MD5. Of several references the first
    by name is taken (refA before refB); which of them a set offers, sacreBLEU says. Of the sets in SGML, up to WMT 20,
    it leaves `&amp;` and its like in the text; here they are read. Lines without text are dropped.
    """
    from sacrebleu.dataset.fake_sgml import FakeSGMLDataset

    source, pair = request.corpus.source, f"{request.languages.src}-{request.languages.tgt}"
    dataset = _dataset(source.partition(":")[2], pair)
    files = _files(dataset, pair)
    names = [key for key in (*request.texts, "doc") if key in files]
    escaped = isinstance(dataset, FakeSGMLDataset)
    columns = [_lines(files[key], escaped) for key in names]
    if len({len(column) for column in columns}) > 1:
        raise InputError(f"{files['src'].parent}: {source} has files of unlike length; remove the folder and try again")
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        place = f"{source}:{number}"
        yield row(place, {"id": place, **dict(zip(names, values, strict=True))}, request.texts)


def _dataset(name: str, pair: str) -> Any:
    from sacrebleu import DATASETS, get_available_testsets, get_langpairs_for_testset

    known = [found for found in get_available_testsets() if pair in get_langpairs_for_testset(found)]
    if name not in known:
        raise InputError(f"sacrebleu:{name}: no such test set for {pair}; there are: {', '.join(known) or 'none'}")
    return DATASETS[name]


def _files(dataset: Any, pair: str) -> dict[str, Path]:
    """src, tgt and, where there is one, doc: files of one line a segment."""
    from portalocker.exceptions import LockException

    try:
        fields = dict(zip(dataset.fieldnames(pair), dataset.get_files(pair), strict=True))
        references = sorted(dataset.get_reference_files(pair))
    except (*_FAULTS, LockException) as error:
        raise InputError(_by_hand(dataset, error)) from error
    files = {"src": fields["src"], "tgt": references[0], **({"doc": fields["docid"]} if "docid" in fields else {})}
    return {key: Path(file) for key, file in files.items()}


def _by_hand(dataset: Any, error: BaseException) -> str:
    from sacrebleu import SACREBLEU_DIR

    raw = Path(SACREBLEU_DIR) / dataset.name / "raw"
    packed = [f"{url} as {dataset.name.replace('/', '_')}.{PurePosixPath(url).name}" for url in dataset.data]
    return (
        f"sacrebleu:{dataset.name}: cannot be downloaded or read ({type(error).__name__}: {error}); check the network, "
        f"or remove what is in {raw}, put {' and '.join(packed)} there, and unpack there"
    )


def _lines(file: Path, escaped: bool) -> list[str]:
    return [html.unescape(line) if escaped else line for _, line in decoded_lines(file)]
