"""The readers `tsv` and `jsonl`: files of the user's own."""

from collections.abc import Iterator

from mt.errors import InputError
from mt.reader import Request, Row, local_path
from mt.segments import decoded_lines
from mt.values import parsed


def read_tsv(request: Request) -> Iterator[Row]:
    """A tab separated file without a header or quoting: the texts, or an id and the texts.

    Lines end in a line feed alone; a carriage return is an error. Rows have as many columns as the first. Without a
    column of ids, a segment's id is the file's stem and the line.
    """
    stem = local_path(request).stem
    width = 0
    for number, (place, line) in enumerate(_lines(request), start=1):
        if "\r" in line:
            raise InputError(
                f"{place}: holds a carriage return; end lines with a line feed alone (sed -i 's/\\r$//' does it)"
            )
        columns = line.split("\t")
        _check_width(place, columns, request.texts, width)
        width = len(columns)
        named = columns if width > len(request.texts) else [f"{stem}:{number}", *columns]
        yield Row(place, dict(zip(("id", *request.texts), named, strict=True)))


def read_jsonl(request: Request) -> Iterator[Row]:
    """JSON Lines: one object a line with `id`, the texts, and `doc` where a document is named; the rest is left out."""
    for place, line in _lines(request):
        try:
            segment = parsed(line)
        except ValueError as error:
            raise InputError(f"{place}: not JSON ({error}); write one JSON object a line") from error
        if not isinstance(segment, dict):
            raise InputError(f"{place}: not an object; write one with the keys {', '.join(('id', *request.texts))}")
        kept = ("id", *request.texts, *(("doc",) if "doc" in segment else ()))
        yield Row(place, {key: segment.get(key) for key in kept})


def _lines(request: Request) -> Iterator[tuple[str, str]]:
    path = local_path(request)
    for number, line in decoded_lines(path):
        yield f"{path}:{number}", line


def _check_width(place: str, columns: list[str], texts: tuple[str, ...], width: int) -> None:
    number = f"{len(columns)} column{'s' * (len(columns) > 1)}"
    if len(columns) not in (len(texts), len(texts) + 1):
        wanted = " and ".join(texts)
        raise InputError(f"{place}: has {number}; write {wanted}, or id, {wanted}, with one tab between two columns")
    if width not in (0, len(columns)):
        raise InputError(f"{place}: has {number} where the rows before have {width}; give all rows as many")
