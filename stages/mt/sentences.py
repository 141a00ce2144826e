"""Running text into sentences."""

import re
from collections import Counter
from itertools import accumulate

from mt.errors import InputError

_LINE = re.compile("[\r\n\u2028\u2029]+")
_CLOSES = dict(zip("」』）】》〉〕］｝”", "「『（【《〈〔［｛“", strict=True))
_OPENS = frozenset(_CLOSES.values())
_END = re.compile(r"[.!?…。．！？｡][\"'”’)\]" + "".join(_CLOSES) + "]*$")
_LONGEST = 20_000
"""Characters of the longest line that is split: for a hostile one, sentencex takes time as the square of that."""
_GOES_ON = re.compile(
    "(?!とても|ところ|とき|でも|はい|もう|もし|もちろん|やがて|やはり|だが|だから)(?:[とをがはにでのもへやだ]|って|など)"
)


def sentences(text: str, language: str) -> list[str]:
    """Split text into sentences, each without white space around it; a line break always ends one.

    Within a line, sentencex (Wikimedia's rules for some 300 languages) says where a sentence may end. Its rules for
    Japanese also end one inside and behind a quotation, and at the points of an abbreviation; here none ends

    - inside a pair of CJK brackets or quotation marks, so that 「行く。すぐ行く。」と言った。 stays whole,
    - behind such a pair where a particle goes on with the sentence, as と does there, nor
    - at a full stop in the middle of a word (U.S.A.).

    A line of more than 20,000 characters is no running text, and is given whole.

    Args:
        text: of any length.
        language: ISO 639-1.

    Raises:
        InputError: sentencex is not installed.
    """
    try:
        from sentencex import segment
    except ImportError as error:
        raise InputError("sentencex, which splits text into sentences, is missing; pip install '.[hub]'") from error
    found = []
    for line in filter(None, (line.strip() for line in _LINE.split(text))):
        if len(line) > _LONGEST:
            found.append(line)
            continue
        start = end = 0
        inside = _inside_brackets(line)
        for piece in segment(language, line):
            end += len(piece)
            if end == len(line) or not (inside[end] or _goes_on(line, end)):
                found.append(line[start:end].strip())
                start = end
    return [sentence for sentence in found if sentence]


def is_sentence(text: str) -> bool:
    """Whether text ends as a sentence does, in a full stop or its like; a heading or an item of a list does not."""
    return _END.search(text) is not None


def _inside_brackets(line: str) -> list[bool]:
    """For each character, whether it stands behind the opening bracket of a pair, up to and with the closing one."""
    change = [0] * (len(line) + 1)
    open_at: list[int] = []
    open_now: Counter[str] = Counter()
    for position, character in enumerate(line):
        if character in _OPENS:
            open_at.append(position)
            open_now[character] += 1
        elif open_now[wanted := _CLOSES.get(character, "")]:
            while line[start := open_at.pop()] != wanted:
                open_now[line[start]] -= 1
            open_now[wanted] -= 1
            change[start + 1] += 1
            change[position + 1] -= 1
    return [depth > 0 for depth in accumulate(change)]


def _goes_on(line: str, end: int) -> bool:
    before, after = line[end - 1], line[end]
    if before == ".":
        return not after.isspace()
    return before in _CLOSES and _GOES_ON.match(line, end) is not None
