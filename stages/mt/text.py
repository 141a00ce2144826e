"""Text: its normal form, words, duplicate key, character n-grams and script."""

import re
import unicodedata
from collections.abc import Callable
from functools import cache

_REMOVED = frozenset({"Cc", "Cf", "Cs", "Co"})
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛", "'"),
        **dict.fromkeys("“”„‟〝〞〟", '"'),
        **dict.fromkeys("‐‑−", "-"),
        "―": "—",
    }
)

_KANA_KANJI = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff"
# Takes nothing back and begins nowhere inside a row of dots, so that its time grows with the text and no faster.
_ELLIPSIS = re.compile(r"(?<!\.)(?<!\. )(?:\. )*+(?:\.?・{3,}|\.{2})(?: ?(?:\.|・{3,}))*+")
_AFTER_JAPANESE = re.compile(rf"(?<=[{_KANA_KANJI}」』）])[.,](?![A-Za-z0-9]) ?")
_FULL_WIDTH = str.maketrans("!?()~∼", "！？（）〜〜")
_COLON = re.compile(r"(?<![A-Za-z0-9])(?<![A-Za-z0-9] )[:;]|[:;](?! ?[A-Za-z0-9/])")
_LOOSE_SPACE = re.compile(r" (?=[、。！？（）「」『』…：；〜])|(?<=[、。！？（）「」『』…：；〜]) ")

_WORD = re.compile(r"\w+(?:['’-]\w+)*")

UNSPACED = ("ja", "zh", "th", "lo", "km", "my")
"""Languages that write no spaces between words."""

_SCRIPTS = {
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "zh": ("CJK",),
    "ko": ("HANGUL", "CJK"),
    "ru": ("CYRILLIC",),
    "uk": ("CYRILLIC",),
    "el": ("GREEK",),
    "ar": ("ARABIC",),
    "he": ("HEBREW",),
    "hi": ("DEVANAGARI",),
    "th": ("THAI",),
}
_LATIN = ("LATIN",)


def normalise(text: str, language: str) -> str:
    """The normal form of a segment's text; doing it twice changes nothing more.

    Every language, in this order:

    | what | becomes |
    | --- | --- |
    | controls, format characters (zero width, soft hyphen, direction marks), private use, surrogates, fillers, \
variation selectors | nothing |
    | compatibility forms (full-width ASCII, half-width kana, ligatures, ①, ㎏): Unicode NFKC | their plain letters |
    | ‘ ’ ‚ ‛ | ' |
    | “ ” „ ‟ 〝 〞 〟 | " |
    | ‐ ‑ − | - |
    | ― | — |
    | tabs, line and paragraph separators, no-break and ideographic spaces, runs of spaces | a space, none at the ends |

    Japanese besides, since NFKC takes its own punctuation away:

    | what | becomes |
    | --- | --- |
    | ! ? ( ) | ！ ？ （ ） |
    | ~ ∼ 〜 (and the full-width tilde) | 〜, the wave dash |
    | two dots or more, three middle dots or more, … | one … |
    | , and . after kana, kanji or a closing bracket, and no Latin letter or digit next | 、 and 。 |
    | : and ; unless between Latin letters or digits, with a space or none, or in :// | ： and ； |
    | a space beside 、 。 ！ ？ （ ） 「 」 『 』 … ： ； 〜 | nothing |

    Args:
        text: any text.
        language: an ISO 639-1 code.
    """
    if not text.isprintable():
        text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in _REMOVED)
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).translate(_PUNCTUATION)
    text = " ".join(text.split())
    return _japanese(text) if language == "ja" else text


def words(text: str, language: str) -> list[str]:
    """The words of a text.

    Japanese: MeCab's short units (unidic-lite), punctuation marks among them, so that they join to the text without its
    spaces. Other languages: runs of letters and digits, with inner apostrophes and hyphens and without punctuation;
    in a language that writes no spaces, such as Chinese, that is a whole clause.
    """
    return _mecab()(text).split() if language == "ja" else _WORD.findall(text)


def key(text: str) -> str:
    """What two texts share that differ in nothing that matters: NFKC, small letters, only letters, marks and digits."""
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return unicodedata.normalize("NFKC", folded.translate(_TELLING))


def ngrams(text: str, n: int) -> set[str]:
    """The n-grams of characters of a text; a text shorter than `n` is its own only one, and empty text has none."""
    if len(text) <= n:
        return {text} if text else set()
    return {text[i : i + n] for i in range(len(text) - n + 1)}


def length_ratio(src: str, tgt: str) -> float:
    """Characters of `tgt` to characters of `src`; an empty `src` counts as one character."""
    return len(tgt) / max(len(src), 1)


def script_share(text: str, language: str) -> float:
    """The share, 0 to 1, of a text's letters that belong to the language's script; 0 where no letter shows one.

    Digits, marks, punctuation and spaces are no letters. A language that is not listed is taken to write Latin.
    """
    scripts = _SCRIPTS.get(language, _LATIN)
    letters = [c for c in text if c.isalpha()]
    return sum(_script(c) in scripts for c in letters) / len(letters) if letters else 0.0


def _japanese(text: str) -> str:
    text = _ELLIPSIS.sub("…", text).translate(_FULL_WIDTH)
    text = _COLON.sub(lambda match: "：" if match[0] == ":" else "；", text)
    text = _LOOSE_SPACE.sub("", text)
    return _AFTER_JAPANESE.sub(lambda match: "、" if match[0][0] == "," else "。", text)


@cache
def _mecab() -> Callable[[str], str]:
    from fugashi import Tagger

    parse: Callable[[str], str] = Tagger("-Owakati").parse
    return parse


class _Telling(dict[int, int | None]):
    """For `str.translate`: takes out all but letters, marks and digits; filled as characters come."""

    def __missing__(self, point: int) -> int | None:
        self[point] = point if unicodedata.category(chr(point))[0] in "LMN" else None
        return self[point]


_TELLING = _Telling()


@cache
def _script(letter: str) -> str:
    # A letter's Unicode name begins with its script; the prolonged sound mark and 々 〆 〇 are of Japanese and CJK.
    if letter in "ー々〆〇":
        return "CJK" if letter != "ー" else "KATAKANA"
    name = unicodedata.name(letter, "").removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH ")
    return name.split(" ")[0].split("-")[0]
