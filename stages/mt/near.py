"""Near duplicates: texts that share most of their character n-grams."""

from array import array
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mt.params import Key
from mt.text import key, ngrams


class Index:
    """Finds texts that are nearly one that was added, exactly and without sampling.

    Two texts are near when, of the sets of character n-grams of their `mt.text.key`s,

    - the Jaccard similarity (common to all) is at least `jaccard`, or
    - the share of the smaller set that stands in the larger is at least `contained`, and it has `contained_ngrams` or
      more: a few n-grams such as those of "So what?" stand in too many texts.

    Case, width, punctuation and spaces so make no difference, and the order of clauses little. A key shorter than
    `ngram` is near only to the same key. A text without letters and digits is near to none.

    A query costs as much as the added texts that hold its n-grams: fit for some ten thousand added texts, with which
    a sentence takes a millisecond.
    """

    def __init__(self, ngram: int, jaccard: float, contained: float, contained_ngrams: int) -> None:
        self._ngram = ngram
        self._jaccard = jaccard
        self._contained = contained
        self._contained_ngrams = contained_ngrams
        self._ids: list[str] = []
        self._sizes = array("q")
        self._holders: dict[str, array[int]] = {}

    def add(self, id_: str, text: str) -> None:
        """Add one text; several texts, such as both sides of a segment, may have one id."""
        grams = ngrams(key(text), self._ngram)
        for gram in grams:
            self._holders.setdefault(gram, array("q")).append(len(self._ids))
        self._ids.append(id_)
        self._sizes.append(len(grams))

    def find(self, text: str) -> str | None:
        """The id of the text added first among those that are near to this one, or None."""
        found = self._near(text)
        return self._ids[found[0]] if len(found) else None

    def find_all(self, text: str) -> list[str]:
        """The ids of all texts that are near to this one, in the order in which they were added."""
        return [self._ids[number] for number in self._near(text)]

    def _near(self, text: str) -> NDArray[np.intp]:
        grams = ngrams(key(text), self._ngram)
        holders = b"".join(self._holders[gram] for gram in grams if gram in self._holders)
        common = np.bincount(np.frombuffer(holders, np.int64), minlength=1)
        # Fewer in common make no text near, whatever its size.
        least = max(1.0, min(self._jaccard * len(grams), self._contained * self._contained_ngrams))
        likely = np.flatnonzero(common >= least)
        if not len(likely):
            return likely
        common, sizes = common[likely], np.frombuffer(self._sizes, np.int64)[likely]
        smaller = np.minimum(sizes, len(grams))
        near = common >= self._jaccard * (len(grams) + sizes - common)
        near |= (smaller >= self._contained_ngrams) & (common >= self._contained * smaller)
        found: NDArray[np.intp] = likely[near]
        return found


@dataclass(frozen=True)
class Nearness:
    """What counts as near everywhere, as preparation has it; for `Index`."""

    ngram: Annotated[int, Key("prepare.ngram")]
    near_duplicate: Annotated[float, Key("prepare.near_duplicate")]
    contained: Annotated[float, Key("prepare.contained")]
    contained_ngrams: Annotated[int, Key("prepare.contained_ngrams")]

    def index(self) -> Index:
        """An empty index."""
        return Index(self.ngram, self.near_duplicate, self.contained, self.contained_ngrams)
