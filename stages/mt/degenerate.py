"""Degenerate hypotheses: what a model writes when it does not translate, told by kind and counted.

| kind           | a hypothesis is of it where                                                          |
| -------------- | ------------------------------------------------------------------------------------ |
| empty          | nothing shows in it but punctuation, spaces and �: no letter, digit or other symbol  |
| repetition     | more than `max_repetition` of its n-grams stood in it before: an endless loop        |
| copy           | more than `max_copy` of its character n-grams stand in the source, or of the         |
|                | source's in it: a copy with something in front                                       |
| wrong_language | it has letters, and is in the target language with less than `min_tgt_language`      |
| cut            | the limit on tokens ended it, and not the model                                      |

One hypothesis may be of several kinds: a copied source is in the wrong language too. Where the reference itself is of a
kind (`Ha ha ha ha ha!`, a name, a web address), that is what a good translation looks like, and a hypothesis that is no
more than `MOST_TIMES` as long is not held to it.

Counted on purpose, though it may be right: a name or an acronym that is copied where the reference writes it otherwise,
and a text that repeats itself by nature (`トントントントン`, `No, no, no, no, no!`) where the reference does not.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mt.features import Identifying, copy, languages, repetition
from mt.segments import Segment
from mt.text import UNSPACED, words

KINDS = ("empty", "repetition", "copy", "wrong_language", "cut")
ANY = "degenerate"
COUNTS = (*KINDS, ANY)
"""What is counted of a system: each kind, and the hypotheses that are of at least one."""
MOST_TIMES = 2
"""How many times as long as its reference a hypothesis may be that does what the reference does."""
MIN_COPIED = 12
"""Characters of the shortest source that is looked for in a hypothesis; what is shorter may be a name."""
BLANKS = "\u115f\u1160\u2800\u3164\uffa0\ufffd"
"""Letters and symbols that show nothing: the fillers of Hangul, the empty cell of Braille, and what stands for bytes
that are no character."""


@dataclass(frozen=True)
class Limits:
    """Beyond what a hypothesis counts as degenerate: shares from 0 to 1, and a probability.

    `repetition_ngram` counts words, or characters where a language writes no spaces or a text has fewer words than fill
    two n-grams; `copy_ngram` counts characters.
    """

    repetition_ngram: int
    max_repetition: float
    copy_ngram: int
    max_copy: float
    min_tgt_language: float

    def __post_init__(self) -> None:
        for name in ("repetition_ngram", "copy_ngram"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        for name in ("max_repetition", "max_copy", "min_tgt_language"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must lie in [0, 1], such as 0.5, not {getattr(self, name)}")


@dataclass(frozen=True)
class Measured:
    """What is known of one text, a hypothesis or a reference.

    `shows` is whether there is anything to see but punctuation; `repetition` and `copy` are shares; `language` is the
    probability of the target language, None where the text has no letter that could show one.
    """

    characters: int
    shows: bool
    repetition: float
    copy: float
    language: float | None


def measured(
    texts: Sequence[str], srcs: Sequence[str], language: str, limits: Limits, lid: Identifying
) -> list[Measured]:
    """Measure texts that are, or should be, in `language`, each beside its source."""
    return [
        Measured(
            characters=len(text.strip()),
            shows=any(map(_shows, text)),
            repetition=_repetition(text.strip(), language, limits.repetition_ngram),
            copy=_copy(src.strip(), text.strip(), limits.copy_ngram),
            language=probability if any(map(str.isalpha, filter(_shows, text))) else None,
        )
        for text, src, probability in zip(texts, srcs, languages(lid, texts, language), strict=True)
    ]


def signs(text: Measured, limits: Limits) -> dict[str, bool]:
    """Whether a text is of each kind that it can show by itself."""
    return {
        "empty": not text.shows,
        "repetition": text.repetition > limits.max_repetition,
        "copy": text.copy > limits.max_copy,
        "wrong_language": text.language is not None and text.language < limits.min_tgt_language,
    }


def kinds(hyp: Measured, ref: Measured, cut: bool, limits: Limits) -> set[str]:
    """The kinds of which one hypothesis is, without those of a reference that is not much shorter."""
    found = {kind for kind, shown in signs(hyp, limits).items() if shown}
    if hyp.characters <= MOST_TIMES * ref.characters:
        found -= {kind for kind, shown in signs(ref, limits).items() if shown}
    return found | ({"cut"} if cut else set())


def counted(rows: Sequence[Segment], language: str, limits: Limits, lid: Identifying) -> dict[str, int]:
    """How many hypotheses are of each kind, and how many of at least one: the keys are COUNTS.

    Args:
        rows: of one system on one test set, with `src`, `tgt` (the reference), `hyp` and `cut`.
        language: of the target.
        limits: beyond what a hypothesis counts.
        lid: identifies languages.
    """
    srcs = [row["src"] for row in rows]
    hyps = measured([row["hyp"] for row in rows], srcs, language, limits, lid)
    refs = measured([row["tgt"] for row in rows], srcs, language, limits, lid)
    found = [kinds(hyp, ref, row["cut"], limits) for hyp, ref, row in zip(hyps, refs, rows, strict=True)]
    return {kind: sum(kind in of for of in found) for kind in KINDS} | {ANY: sum(map(bool, found))}


def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNS" and character not in BLANKS


def _repetition(text: str, language: str, n: int) -> float:
    # Fewer words than two n-grams hold cannot stand twice, as in "aaaaaaaa", "!!!!!!!!" and "the the the the".
    few = language not in UNSPACED and len(words(text, language)) < 2 * n
    return repetition(text, UNSPACED[0] if few else language, n)


def _copy(src: str, text: str, n: int) -> float:
    whole = copy(text, src, n) if len(src) >= MIN_COPIED else 0.0
    return max(copy(src, text, n), whole)
