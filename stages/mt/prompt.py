"""The text that a language model reads: one template, filled for training, for prompting with examples, or neither.

A template holds {src} and, after it, {tgt}, and may hold {src_language} and {tgt_language}; braces hold nothing else.
What stands between {tgt} and its end begins with a line break, so that a translation ends where its line ends. Before
{tgt}, white space belongs to the continuation: a word and the space in front of it are one token in the vocabularies of
language models.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mt.errors import InputError
from mt.segments import Segment

NAMES = {"de": "German", "en": "English", "fr": "French", "ja": "Japanese", "ko": "Korean", "zh": "Chinese"}
_BRACES = re.compile(r"\{(\w+)\}|[{}]", re.ASCII)


@dataclass(frozen=True)
class Languages:
    """The two languages as ISO 639-1 codes; `src` is translated into `tgt`, and back by the reverse model."""

    src: str
    tgt: str

    def __post_init__(self) -> None:
        for code in (self.src, self.tgt):
            if code not in NAMES:
                raise ValueError(
                    f"{code!r} has no English name in mt/prompt.py; add it, or write one of {sorted(NAMES)}"
                )
        if self.src == self.tgt:
            raise ValueError(f"src and tgt are both {self.src!r}; write two languages")


@dataclass(frozen=True)
class Direction:
    """Which side of a segment is read and which is written: `("src", "tgt")`, or reversed."""

    reads: str
    writes: str


FORWARD = Direction("src", "tgt")
REVERSE = Direction("tgt", "src")


def check_template(template: str) -> None:
    """Hold a template to the form that the module's docstring gives.

    Raises:
        ValueError: says what to write instead.
    """
    named = _BRACES.findall(template)
    known = "src, tgt, src_language and tgt_language"
    if "" in named:
        raise ValueError(f"template: braces hold a bare name, such as {{src}}, and nothing else; use {known}")
    if unknown := set(named) - {"src", "tgt", "src_language", "tgt_language"}:
        raise ValueError(f"template: {{{min(unknown)}}} is unknown; use {known}")
    if named.count("src") != 1 or named.count("tgt") != 1 or named.index("tgt") < named.index("src"):
        raise ValueError("template: must hold {src} once and, after it, {tgt} once")
    if not template.partition("{tgt}")[2].startswith("\n"):
        raise ValueError("template: a line break must follow {tgt}, since translations end at the end of a line")


@dataclass(frozen=True)
class Prompt:
    """The section `prompt` of params.yaml: `shots` is how many examples stand in front where nothing is trained."""

    template: str
    shots: int

    def __post_init__(self) -> None:
        check_template(self.template)
        if self.shots < 0:
            raise ValueError(f"shots must not be negative, not {self.shots}; write 0 for no examples")


def examples(train: Sequence[Segment], shots: int, key: str) -> Sequence[Segment]:
    """The first `shots` training segments, whose order is already random; `key` is what params.yaml calls that number.

    Raises:
        InputError: there are fewer.
    """
    if shots > len(train):
        raise InputError(f"params.yaml: {key}: {shots} is more than the {len(train)} training segments; lower it")
    return train[:shots]


def labels(template: str, languages: Languages) -> list[str]:
    """The fixed texts of the template in both directions, stripped, such as `English:` and `Japanese:`."""
    found = []
    for names in (_names(languages, FORWARD), _names(languages, REVERSE)):
        filled = template.replace("{src}", "\0").replace("{tgt}", "\0").format(**names)
        found += [label.strip() for part in filled.split("\0") for label in part.split("\n")]
    return sorted({label for label in found if label})


class Prompter:
    """Fills a template in one direction.

    Args:
        template: see the module's docstring.
        languages: names both languages.
        direction: FORWARD or REVERSE.
        shots: segments put in front as examples, in their order.
    """

    def __init__(self, template: str, languages: Languages, direction: Direction, shots: Sequence[Segment]) -> None:
        head, _, tail = template.partition("{tgt}")
        self._open = head.rstrip(" ")
        self._close = head[len(self._open) :] + "{tgt}" + tail.partition("\n")[0] + "\n"
        self._names = _names(languages, direction)
        self._direction = direction
        self._shots = "".join(template.format(**self._names, **self._texts(shot)) for shot in shots)

    def prompt(self, segment: Segment) -> str:
        """Everything that the model reads before it writes."""
        return self._shots + self._open.format(**self._names, src=segment[self._direction.reads])

    def continuation(self, segment: Segment) -> str:
        """What the model learns to write after `prompt(segment)`, the end of the line included."""
        return self._close.format(**self._names, tgt=segment[self._direction.writes])

    def source(self, segment: Segment) -> str:
        """The text that is translated."""
        text: str = segment[self._direction.reads]
        return text

    def _texts(self, segment: Segment) -> dict[str, str]:
        return {"src": segment[self._direction.reads], "tgt": segment[self._direction.writes]}


def _names(languages: Languages, direction: Direction) -> dict[str, str]:
    codes = (languages.src, languages.tgt) if direction == FORWARD else (languages.tgt, languages.src)
    return {"src_language": NAMES[codes[0]], "tgt_language": NAMES[codes[1]]}
