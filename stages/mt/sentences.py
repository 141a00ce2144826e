"""Running text into sentences."""

import re

from mt.errors import InputError

_LINE = re.compile("[\r\n\u2028\u2029]+")
_CLOSES = dict(zip("」』）】》〉〕］｝”", "「『（【《〈〔［｛“", strict=True))
_END = re.compile(r"[.!?…。．！？｡][\"'”’)\]" + "".join(_CLOSES) + "]*$")
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
    inside = [False] * len(line)
    open_at: list[int] = []
    for position, character in enumerate(line):
        if character in _CLOSES.values():
            open_at.append(position)
        elif character in _CLOSES and _CLOSES[character] in (line[i] for i in open_at):
            while line[start := open_at.pop()] != _CLOSES[character]:
                pass
            inside[start + 1 : position + 1] = [True] * (position - start)
    return inside


def _goes_on(line: str, end: int) -> bool:
    before, after = line[end - 1], line[end]
    if before == ".":
        return not after.isspace()
    return before in _CLOSES and _GOES_ON.match(line, end) is not None
