"""Splits of a corpus that stay as they are when something else changes: hash order, each text once, drawing.

Segments that name a document (`doc`) stand together in every order here, in that of the corpus, and no document is in
two splits; a segment that names none is its own.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby

from mt.errors import InputError
from mt.near import Index
from mt.segments import Segment
from mt.tally import Tally
from mt.text import key

SIDES = ("src", "tgt")


def ordered(segments: Iterable[Segment], seed: int, name: str) -> list[Segment]:
    """The segments in the order of the SHA-256 of `<seed>:<name>:<document, or id where there is none>`.

    Which of two comes first depends on nothing but their names, so that one segment more or less moves no other.
    Segments of one document keep their order.
    """
    return sorted(segments, key=lambda s: hashlib.sha256(f"{seed}:{name}:{s.get('doc', s['id'])}".encode()).digest())


def backwards(segments: Iterable[Segment]) -> list[Segment]:
    """The documents from the last to the first, each in its own order."""
    documents = [list(document) for _, document in groupby(segments, lambda s: (s.get("doc"), s.get("doc") or s["id"]))]
    return [segment for document in reversed(documents) for segment in document]


def elsewhere(segments: Iterable[Segment], drawn: Iterable[Segment], tally: Tally) -> list[Segment]:
    """The segments that are of no document of those drawn; the rest are dropped, as `same_document`."""
    documents = {segment["doc"] for segment in drawn if "doc" in segment}
    kept = []
    for segment in segments:
        if segment.get("doc") in documents:
            tally.drop("same_document", segment)
        else:
            kept.append(segment)
    return kept


def unique(segments: Iterable[Segment], tally: Tally) -> list[Segment]:
    """The segments of which no side has the `mt.text.key` of that side of one kept before.

    The rest are dropped: `same_pair` where a kept segment has both, else `same_src` or `same_tgt`.
    """
    holders: dict[tuple[str, str], str] = {}
    kept = []
    for segment in segments:
        keys = [(side, key(segment[side])) for side in SIDES if side in segment]
        known = {side: holders[side, text] for side, text in keys if (side, text) in holders}
        if not known:
            holders.update((one, segment["id"]) for one in keys)
            kept.append(segment)
            continue
        same = len(known) == len(SIDES) and known["src"] == known["tgt"]
        tally.drop(
            "same_pair" if same else f"same_{next(iter(known))}", {**segment, "near": next(iter(known.values()))}
        )
    return kept


def add(segment: Segment, index: Index) -> None:
    """Put each side of a segment into the index."""
    for side in SIDES:
        if side in segment:
            index.add(segment["id"], segment[side])


def apart(segments: Iterable[Segment], index: Index, reason: str, tally: Tally) -> list[Segment]:
    """The segments without a side that is near to anything in the index.

    The rest are dropped; in the tally's sample, `near` is the id of what they are near to.
    """
    kept = []
    for segment in segments:
        found = (index.find(segment[side]) for side in SIDES if side in segment)
        near = next((id_ for id_ in found if id_ is not None), None)
        if near is None:
            kept.append(segment)
        else:
            tally.drop(reason, {**segment, "near": near})
    return kept


def draw(
    segments: Sequence[Segment], wanted: int, parameter: str, taken: Index, tally: Tally
) -> tuple[list[Segment], list[Segment]]:
    """Draw the first segments that are near to nothing in `taken`, nor to each other, and put them into it.

    Args:
        segments: in the order of drawing.
        wanted: how many.
        parameter: what the user calls that number.
        taken: what was drawn before.
        tally: gets the segments that were passed over, as `near_duplicate`, and what was not needed of the last
            document, as `same_document`; they are gone.

    Returns:
        The drawn, and the rest in their order.

    Raises:
        InputError: there are too few.
    """
    drawn: list[Segment] = []
    for position, segment in enumerate(segments):
        if len(drawn) == wanted:
            return drawn, elsewhere(segments[position:], drawn, tally)
        for one in apart([segment], taken, "near_duplicate", tally):
            add(one, taken)
            drawn.append(one)
    if len(drawn) < wanted:
        raise InputError(
            f"{parameter}: {wanted} segments are wanted, but of the {len(segments)} that are left only {len(drawn)} are"
            f" no near duplicates; write {len(drawn)} or fewer, or give a larger corpus"
        )
    return drawn, []
