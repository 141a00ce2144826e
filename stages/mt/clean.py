"""Cleaning: a segment in its normal form, and the first reason to drop it for what it is by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from mt.prompt import Languages
from mt.segments import Segment
from mt.splits import SIDES
from mt.tally import Tally
from mt.text import key, length_ratio, normalise, words

FAULTS = ("empty", "chars", "length_ratio", "words")

OVERLONG = 32
"""How many times `max_chars` a text may have before it is in normal form, for which a hostile one takes very long."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a segment, each included: for each side in characters and words, and for tgt to src in characters."""

    min_chars: int
    max_chars: int
    max_words: int
    min_length_ratio: float
    max_length_ratio: float

    def __post_init__(self) -> None:
        if self.min_chars < 1 or self.max_words < 1:
            raise ValueError(f"min_chars is {self.min_chars} and max_words {self.max_words}; write 1 or more")
        if self.max_chars < self.min_chars:
            raise ValueError(f"max_chars is {self.max_chars}; write min_chars, {self.min_chars}, or more")
        if not 0 <= self.min_length_ratio <= self.max_length_ratio:
            raise ValueError(f"min_length_ratio is {self.min_length_ratio}; write a number from 0 to max_length_ratio")


def normalised(segment: Segment, languages: Languages) -> Segment:
    """The segment's id, its texts in normal form, and its document where it names one."""
    texts = {side: normalise(segment[side], getattr(languages, side)) for side in SIDES if side in segment}
    return {"id": segment["id"], **texts, **({"doc": segment["doc"]} if "doc" in segment else {})}


def overlong(segment: Segment, max_chars: int) -> list[str]:
    """The sides of a segment as it is read that are too long to be brought into normal form."""
    return [side for side in SIDES if len(segment.get(side, "")) > OVERLONG * max_chars]


def fault(segment: Segment, languages: Languages, limits: Limits) -> str | None:
    """The first of `FAULTS` that a segment has, or None.

    `empty`: no letter or digit on a side; `chars`: a side too short or too long; `length_ratio`: out of bounds;
    `words`: too many on a side. Words are counted last, since that is slow.
    """
    sides = [side for side in SIDES if side in segment]
    if not all(key(segment[side]) for side in sides):
        return "empty"
    if not all(limits.min_chars <= len(segment[side]) <= limits.max_chars for side in sides):
        return "chars"
    if len(sides) == len(SIDES):
        ratio = length_ratio(segment["src"], segment["tgt"])
        if not limits.min_length_ratio <= ratio <= limits.max_length_ratio:
            return "length_ratio"
    if any(_wordy(segment[side], getattr(languages, side), limits.max_words) for side in sides):
        return "words"
    return None


def _wordy(text: str, language: str, most: int) -> bool:
    return len(text) > most and len(words(text, language)) > most  # a word has a character or more


def clean(segments: Iterable[Segment], languages: Languages, limits: Limits, tally: Tally) -> list[Segment]:
    """The segments without a fault, in normal form and in their order; the rest are dropped, overlong ones as `chars`.

    Of an overlong one, the tally is given the beginning.
    """
    kept = []
    for segment in segments:
        if overlong(segment, limits.max_chars):
            texts = {side: segment[side][: limits.max_chars] for side in SIDES if side in segment}
            tally.drop("chars", {"id": segment["id"], **texts})
            continue
        normal = normalised(segment, languages)
        reason = fault(normal, languages, limits)
        if reason is None:
            kept.append(normal)
        else:
            tally.drop(reason, normal)
    return kept
