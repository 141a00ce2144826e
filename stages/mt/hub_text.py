"""The reader `hf`: a dataset of the Hugging Face Hub, or a folder laid out as one, read row by row with `datasets`.

Only data is read: `datasets` 4 runs no script of a dataset, and refuses one that needs to.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.reader import Request, Row, local_path, row
from mt.sentences import is_sentence, sentences

_SPACE = re.compile(r"\s+")


def read_hf(request: Request) -> Iterator[Row]:
    """Rows of one split of a dataset, in its order, counted from 0 as `datasets` counts them.

    Pairs are a segment a row, ids `<path>:<row>`. Monolingual text is split into sentences, ids
    `<path>:<row>:<sentence>`, and the row is their document; what does not end as a sentence does (a heading, an item
    of a list) is dropped as `no_sentence`.
    """
    corpus, texts = request.corpus, request.texts
    if len(corpus.columns) != len(texts):
        raise InputError(f"{corpus.path}: columns is {list(corpus.columns)}; name one for each of {', '.join(texts)}")
    for number, values in enumerate(_rows(request)):
        place = f"{corpus.path}:{number}"
        found = {key: _text(values, column, place) for key, column in zip(texts, corpus.columns, strict=True)}
        if texts == ("tgt",):
            for index, sentence in enumerate(sentences(found["tgt"], request.languages.tgt)):
                segment = {"id": f"{place}:{index}", "tgt": sentence, "doc": place}
                yield Row(place, segment, None if is_sentence(sentence) else "no_sentence")
        else:
            yield row(place, {"id": place, **{key: _one_line(found[key]) for key in texts}}, texts)


def _rows(request: Request) -> Iterator[dict[str, Any]]:
    corpus = request.corpus
    path = _checked_path(request)
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise InputError(f"{path}: needs the package {error.name}; pip install '.[hub]'") from error
    roots = list(dict.fromkeys(column.partition(".")[0] for column in corpus.columns))
    try:
        stream = load_dataset(path, name=corpus.config, split=corpus.split, revision=corpus.revision, streaming=True)
        # Other columns may hold pictures or sound, which would be decoded.
        yield from stream.select_columns(roots) if stream.column_names else stream
    except Exception as error:  # what a library makes of a network, a name or a damaged file is not known beforehand
        if isinstance(error, MemoryError):
            raise
        raise InputError(f"{path}: {_advice(error, path, corpus.revision is None)}") from error


def _checked_path(request: Request) -> str:
    """The dataset's name, or its folder; which of them is meant, the revision says."""
    path = str(request.corpus.path)
    if request.corpus.revision is None:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", path) or Path(path).is_dir():
            folder = local_path(request)
            if not folder.is_dir():
                raise InputError(f"{folder}: is no folder; put the dataset's files there")
            return str(folder)
        raise InputError(f"{path}: revision is null; pin the dataset by a commit's 40 hexadecimal digits")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", path) or Path(path).exists():
        raise InputError(f"{path}: is no name of a dataset, such as org/name; for a folder, write null as revision")
    return path


def _text(values: dict[str, Any], column: str, place: str) -> str:
    found: Any = values
    for part in column.split("."):
        if not isinstance(found, dict) or part not in found:
            there = ", ".join(found) if isinstance(found, dict) else "no columns"
            raise InputError(f"{place}: has no column {column}; there, {part} would be one of: {there}")
        found = found[part]
        if found is None:
            return ""
    if not isinstance(found, str):
        raise InputError(f"{place}: column {column} holds {type(found).__name__}, not text; name one of text")
    return found


def _one_line(text: str) -> str:
    """The text with each line break, and the white space around it, as one space."""
    return _SPACE.sub(lambda space: " " if "\n" in space[0] or "\r" in space[0] else space[0], text).strip()


def _advice(error: Exception, path: str, folder: bool) -> str:
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError

    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
    if folder:
        return f"cannot be read; correct config, split, columns or the files ({said})"
    if isinstance(error, GatedRepoError) or isinstance(error.__cause__, GatedRepoError) or " gated " in str(error):
        page = f"{constants.ENDPOINT}/datasets/{path}"
        return f"its licence must be accepted; do so at {page}, and set HF_TOKEN to a token of that account ({said})"
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        return f"the hub refuses it; set HF_TOKEN to a token that may read it ({said})"
    if isinstance(error, DatasetNotFoundError):
        return f"not found; correct the name and the revision, or set HF_TOKEN where it is private ({said})"
    if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.startswith(("requests", "aiohttp")):
        return (
            "the hub cannot be reached; check the network and HF_HUB_OFFLINE, or put the dataset's files into a folder "
            f"beside the test sets, name that as path, and write null as revision ({said})"
        )
    return f"cannot be read; correct config, split and columns ({said})"
