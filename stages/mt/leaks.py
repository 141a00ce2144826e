"""Leaks: segments of which a side is a near duplicate of a side of a test segment.

The test sets are indexed whole, and what is tried passes by: memory grows with the test sets alone, and nothing is
sampled or hashed, so that every near duplicate as `mt.near.Index` has it is found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mt.near import Nearness
from mt.segments import Segment
from mt.splits import SIDES
from mt.text import key, ngrams

KINDS = ("same", "near", "contained")
"""From the worst: alike but for case, width, punctuation and spaces; alike as a whole; most of one in the other."""


@dataclass(frozen=True)
class Match:
    """A text of a test set that another text is near to; `jaccard` and `contained` are what they share, 0 to 1."""

    testset: str
    test_id: str
    test_side: str
    test_text: str
    kind: str
    jaccard: float
    contained: float


class Detector:
    """Knows both sides of all test sets, and says of any text which of them it is near to."""

    def __init__(self, testsets: Mapping[str, Sequence[Segment]], nearness: Nearness) -> None:
        self._nearness = nearness
        self._all = nearness.index()
        self._places = {(name, side): nearness.index() for name in testsets for side in SIDES}
        self._keys: dict[tuple[str, str], dict[str, str]] = {place: {} for place in self._places}
        self._texts: dict[tuple[str, str, str], str] = {}
        for (name, side), index in self._places.items():
            for segment in testsets[name]:
                id_, text = segment["id"], segment[side]
                self._all.add(name, text)
                index.add(id_, text)
                self._keys[name, side].setdefault(key(text), id_)
                self._texts[name, side, id_] = text

    def matches(self, text: str) -> dict[str, Match]:
        """The worst match in each test set that has one; of several as bad, the first, source sides before target."""
        if self._all.find(text) is None:
            return {}
        found: dict[str, Match] = {}
        for name, side in self._places:
            match = self._match(text, name, side)
            if match and (name not in found or _badness(match) < _badness(found[name])):
                found[name] = match
        return found

    def _match(self, text: str, name: str, side: str) -> Match | None:
        own = key(text)
        id_ = self._keys[name, side].get(own) if own else None
        ids = self._places[name, side].find_all(text) if id_ is None else [id_]
        found = [self._compared(text, own, (name, side, id_)) for id_ in ids]
        return min(found, key=_badness, default=None)

    def _compared(self, text: str, own: str, place: tuple[str, str, str]) -> Match:
        other = self._texts[place]
        one, two = ngrams(own, self._nearness.ngram), ngrams(key(other), self._nearness.ngram)
        common = len(one & two)
        jaccard, contained = common / len(one | two), common / min(len(one), len(two))
        alike, near = own == key(other), jaccard >= self._nearness.near_duplicate
        kind = "same" if alike else "near" if near else "contained"
        name, side, id_ = place
        return Match(name, id_, side, other, kind, round(jaccard, 4), round(contained, 4))


def _badness(match: Match) -> int:
    """The less, the worse."""
    return KINDS.index(match.kind)


class Audit:
    """Counts the leaks of one file, and keeps the first `sample` of each kind to be read."""

    def __init__(self, detector: Detector, testsets: Iterable[str], sample: int) -> None:
        self.segments = 0
        self.leaks = 0
        self.found: list[dict[str, Any]] = []
        self._detector = detector
        self._sample = sample
        self._shown = dict.fromkeys(KINDS, 0)
        self._by_testset: dict[str, dict[str, Any]] = {
            name: {"leaks": 0, "side": dict.fromkeys((*SIDES, "both"), 0), "kind": dict.fromkeys(KINDS, 0)}
            for name in testsets
        }

    def add(self, segment: Segment) -> None:
        """Count one segment, which leaks if any of its sides does."""
        self.segments += 1
        matches = {side: self._detector.matches(segment[side]) for side in SIDES if side in segment}
        if not any(matches.values()):
            return
        self.leaks += 1
        for name, counts in self._by_testset.items():
            if leaking := {side: found[name] for side, found in matches.items() if name in found}:
                _count(counts, leaking)
        for side, found in matches.items():
            for match in found.values():
                self._show(segment, side, match)

    @property
    def share(self) -> float:
        """Segments that leak to all segments."""
        return self.leaks / max(self.segments, 1)

    def report(self) -> dict[str, Any]:
        """What was counted, as numbers in nested mappings; `share` is of the file's segments."""
        testsets = {
            name: {**counts, "share": counts["leaks"] / max(self.segments, 1)}
            for name, counts in self._by_testset.items()
        }
        return {"segments": self.segments, "leaks": self.leaks, "share": self.share, "testsets": testsets}

    def _show(self, segment: Segment, side: str, match: Match) -> None:
        self._shown[match.kind] += 1
        if self._shown[match.kind] <= self._sample:
            self.found.append({"id": segment["id"], "side": side, "text": segment[side], **asdict(match)})


def _count(counts: dict[str, Any], leaking: Mapping[str, Match]) -> None:
    counts["leaks"] += 1
    counts["side"]["both" if len(leaking) > 1 else next(iter(leaking))] += 1
    counts["kind"][min((match.kind for match in leaking.values()), key=KINDS.index)] += 1
