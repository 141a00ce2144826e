"""What can be measured of a synthetic pair: every feature that a filter may use.

The source is the reverse model's translation and may be empty; the target is a genuine sentence. Every value is a
finite float, rounded to six digits.

| feature      | what it is                                                                | range    | empty source |
| ------------ | ------------------------------------------------------------------------- | -------- | ------------ |
| src_chars    | characters of the source, without the white space around it               | 0 and up | 0            |
| length_ratio | target characters to source characters                                    | above 0  | as if 1 char |
| src_script   | share of the source's letters in the script of its language               | 0 to 1   | 0            |
| tgt_script   | the same for the target                                                   | 0 to 1   |              |
| src_language | probability that the source is in its language                            | 0 to 1   | 0            |
| tgt_language | the same for the target                                                   | 0 to 1   |              |
| copy         | share of the target's character n-grams that stand in the source as well  | 0 to 1   | 0            |
| echo         | share of the prompt's labels, such as `Japanese:`, that the source repeats | 0 to 1   | 0            |
| repetition   | share of the source's word n-grams that stood in it before                | 0 to 1   | 0            |
| similarity   | cosine of the encoder's vectors of source and target                      | -1 to 1  | 0            |
| logprob      | the reverse model's mean log-probability per token of the source          | up to 0  | as given     |

Length ratio and language identification are the filters of arXiv 2511.12109; similarity follows Artetxe and Schwenk
(2019), *Margin-based parallel corpus mining with multilingual sentence embeddings*, with a plain cosine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mt.prompt import Languages
from mt.segments import Segment
from mt.text import UNSPACED, length_ratio, ngrams, script_share, words

FEATURES = (
    "src_chars",
    "length_ratio",
    "src_script",
    "tgt_script",
    "src_language",
    "tgt_language",
    "copy",
    "echo",
    "repetition",
    "similarity",
    "logprob",
)
DIGITS = 6
BLOCK_BATCHES = 8
"""Batches that are embedded at once: long enough to sort by length, short enough to keep memory flat."""

Part = Callable[[str, int, Callable[[], list[float]]], list[float]]
"""`mt.progress.Progress.part`."""


class Encoding(Protocol):
    """What `mt.encoder.Encoder` offers."""

    def embed(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        """Unit vectors [len(texts), dim]."""


class Identifying(Protocol):
    """What `mt.lid.LanguageId` offers."""

    def probabilities(self, texts: Sequence[str], language: str) -> list[float]:
        """How probably each text is in the language."""


@dataclass(frozen=True)
class Settings:
    """What the features need to know.

    `labels` are the fixed texts of the prompt, the n are the lengths of n-grams: words for repetition (characters
    where a language writes no spaces), characters for copying.
    """

    languages: Languages
    labels: tuple[str, ...]
    repetition_ngram: int
    copy_ngram: int


def features(
    segments: Sequence[Segment], settings: Settings, lid: Identifying, similarity: Sequence[float]
) -> list[dict[str, float]]:
    """Every feature of every segment, in the order of `FEATURES`; `similarity` comes from `cosines`."""
    src = languages(lid, [segment["src"] for segment in segments], settings.languages.src)
    tgt = languages(lid, [segment["tgt"] for segment in segments], settings.languages.tgt)
    scores = []
    for segment, src_language, tgt_language, cosine in zip(segments, src, tgt, similarity, strict=True):
        found = text_features(segment["src"], segment["tgt"], settings)
        found |= {"src_language": src_language, "tgt_language": tgt_language, "similarity": cosine}
        found["logprob"] = segment["logprob"]
        scores.append({name: rounded(found[name]) for name in FEATURES})
    return scores


def text_features(src: str, tgt: str, settings: Settings) -> dict[str, float]:
    """The features of one pair that need no model."""
    return {
        "src_chars": len(src.strip()),
        "length_ratio": length_ratio(src.strip(), tgt.strip()),
        "src_script": script_share(src, settings.languages.src) if src.strip() else 0.0,
        "tgt_script": script_share(tgt, settings.languages.tgt),
        "copy": copy(src, tgt, settings.copy_ngram),
        "echo": echo(src, settings.labels),
        "repetition": repetition(src, settings.languages.src, settings.repetition_ngram),
    }


def copy(src: str, tgt: str, n: int) -> float:
    """Share of the target's distinct character n-grams that the source holds; n shrinks to a shorter target."""
    n = min(n, len(tgt))
    copied = ngrams(tgt, n)
    return len(copied & ngrams(src, n)) / len(copied) if copied and src.strip() else 0.0


def echo(src: str, labels: Sequence[str]) -> float:
    """Share of the labels that stand in the source; one without a letter says nothing and is passed over."""
    telling = [label.strip() for label in labels if any(char.isalpha() for char in label)]
    return sum(label in src for label in telling) / len(telling) if telling else 0.0


def repetition(text: str, language: str, n: int) -> float:
    """Share of n-grams that stood in the text before; 0 where the text has fewer than two n-grams.

    They are of words, or of characters where no spaces part the words: a loop such as `ははははは` has no steady words.
    """
    units = list(text) if language in UNSPACED else words(text, language)
    grams = list(zip(*(units[start:] for start in range(n)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def languages(lid: Identifying, texts: Sequence[str], language: str) -> list[float]:
    """The probability of each text to be in the language, within 0 and 1; 0 for an empty one."""
    asked = [text for text in texts if text.strip()]
    found = iter(lid.probabilities(asked, language))
    return [rounded(min(1.0, max(0.0, next(found)))) if text.strip() else 0.0 for text in texts]


def cosines(encoder: Encoding, pairs: Sequence[tuple[str, str]], batch_size: int, part: Part) -> list[float]:
    """The cosine of each pair of texts, within -1 and 1; 0 where one of them is empty.

    A text that stands in several neighbouring pairs is embedded once. `part` keeps what is finished.
    """
    size = batch_size * BLOCK_BATCHES
    found = []
    for start in range(0, len(pairs), size):
        some = pairs[start : start + size]
        found += part(f"similarity {start}", len(some), partial(_cosines, encoder, some, batch_size))
    return found


def rounded(value: float) -> float:
    """`value` with six digits, as it is written."""
    return round(float(value), DIGITS)


def _cosines(encoder: Encoding, pairs: Sequence[tuple[str, str]], batch_size: int) -> list[float]:
    texts = list(dict.fromkeys(text for pair in pairs for text in pair if text.strip()))
    row = {text: number for number, text in enumerate(texts)}
    vectors = encoder.embed(texts, batch_size) if texts else np.zeros((0, 1), dtype=np.float32)
    return [
        rounded(np.clip(vectors[row[left]] @ vectors[row[right]], -1.0, 1.0)) if left in row and right in row else 0.0
        for left, right in pairs
    ]
