"""References made worse by known degrees: what the embedded COMET checkpoint learns quality from.

Severity is a level from 0 (as good as the reference) to `levels - 1` (worthless). The graded kinds spoil a share of the
reference's tokens; the others have a fixed level. After the synthetic perturbations of BLEURT (Sellam et al. 2020) and
the critical-error sets of DEMETR (Karpinska et al. 2022).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

END_MARKS = "。.!?！？"


@dataclass(frozen=True)
class Material:
    """What a reference is perturbed with. Texts are lists of tokens; a token keeps the white space in front of it."""

    src: list[str]
    ref: list[str]
    other: list[str]
    neighbour: list[str]


@dataclass(frozen=True)
class Perturbed:
    """`text` stands for a hypothesis of `kind`, whose severity is `level`."""

    kind: str
    level: int
    text: str


def tokens(text: str, words: Sequence[str]) -> list[str]:
    """Cut `text` behind each word but the last, so that the tokens joined are the text again.

    Text without a word is one token.

    Raises:
        ValueError: a word is not in the text where it should be.
    """
    parts = []
    end = 0
    for word in words:
        stop = text.index(word, end) + len(word)
        parts.append(text[end:stop])
        end = stop
    return [*parts[:-1], parts[-1] + text[end:]] if parts else [text]


def drop(material: Material, count: int, rng: Random) -> list[str]:
    """Leave out `count` tokens."""
    gone = set(rng.sample(range(len(material.ref)), count))
    return [token for i, token in enumerate(material.ref) if i not in gone]


def swap(material: Material, count: int, rng: Random) -> list[str]:
    """Move `count` tokens, two at least, to each other's places."""
    places = rng.sample(range(len(material.ref)), max(2, count))
    result = list(material.ref)
    for to, origin in zip(places, places[1:] + places[:1], strict=True):
        result[to] = material.ref[origin]
    return result


def repeat(material: Material, count: int, rng: Random) -> list[str]:
    """Say a run of tokens again, until `count` tokens are too many."""
    length = rng.randint(1, count)
    end = rng.randint(length, len(material.ref))
    run = material.ref[end - length : end]
    again = [run[i % length] for i in range(count)]
    return material.ref[:end] + again + material.ref[end:]


def substitute(material: Material, count: int, rng: Random) -> list[str]:
    """Put tokens of another sentence in the places of `count` tokens."""
    places = set(rng.sample(range(len(material.ref)), count))
    return [rng.choice(material.other) if i in places else token for i, token in enumerate(material.ref)]


def insert(material: Material, count: int, rng: Random) -> list[str]:
    """Put `count` tokens of another sentence between the tokens."""
    result = list(material.ref)
    for _ in range(count):
        result.insert(rng.randint(0, len(result)), rng.choice(material.other))
    return result


def truncate(material: Material, count: int, rng: Random) -> list[str]:  # noqa: ARG001
    """Cut the last `count` tokens off."""
    return material.ref[:-count]


def graft(material: Material, count: int, rng: Random) -> list[str]:  # noqa: ARG001
    """Go on with the end of another sentence where the last `count` tokens stood: fluent, and wrong."""
    return material.ref[:-count] + material.other[-count:]


def untranslated(material: Material, count: int, rng: Random) -> list[str]:  # noqa: ARG001
    """Leave the last part in the source language, as much of the source as `count` tokens are of the reference."""
    share = max(1, round(len(material.src) * count / len(material.ref)))
    return material.ref[:-count] + material.src[-share:]


GRADED: dict[str, Callable[[Material, int, Random], list[str]]] = {
    "drop": drop,
    "swap": swap,
    "repeat": repeat,
    "substitute": substitute,
    "insert": insert,
    "truncate": truncate,
    "graft": graft,
    "untranslated": untranslated,
}


def perturbations(material: Material, levels: int, rng: Random) -> list[Perturbed]:
    """The reference itself, and perturbations of every kind that the reference is long enough for.

    Every text of a level above 0 differs from the reference. No text stands twice: the kinds of one level go before the
    graded ones.

    Args:
        material: a reference with at least one token, and what it is perturbed with.
        levels: how many degrees of severity there are, at least 3; each graded kind gets one between the two ends.
        rng: decides which tokens are spoilt.
    """
    ref = "".join(material.ref).strip()
    worst = levels - 1
    found = [Perturbed("untouched", 0, ref)]
    if bare := ref.rstrip(END_MARKS).rstrip():
        found.append(Perturbed("punctuation", 0, bare))
    found.append(Perturbed("neighbour", worst - 1, _text(material.neighbour)))
    found.append(Perturbed("other", worst, _text(material.other)))
    found.append(Perturbed("copy", worst, _text(material.src)))
    found.append(Perturbed("salad", worst, _text(rng.sample(material.other, len(material.other)))))
    found.append(Perturbed("loop", worst, _text([rng.choice(material.ref)] * (2 * len(material.ref)))))
    found.append(Perturbed("empty", worst, ""))
    for kind, spoil in GRADED.items():
        level = rng.randint(1, worst - 1)
        count = round(len(material.ref) * level / worst)
        if 1 <= count < len(material.ref):
            found.append(Perturbed(kind, level, _text(spoil(material, count, rng))))
    distinct = {one.text: one for one in reversed(found)}
    return [one for one in found if distinct[one.text] is one]


def _text(parts: Sequence[str]) -> str:
    return "".join(parts).strip()
