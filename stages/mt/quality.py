"""Corpus scores of hypotheses against one reference each, through sacreBLEU, with its signatures.

BLEU: Papineni et al. 2002; chrF: Popović 2015; sacreBLEU and its signatures: Post 2018,
https://github.com/mjpost/sacrebleu.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Score:
    """A corpus score, and the signature that says how it was computed."""

    value: float
    signature: str


@dataclass(frozen=True)
class Statistics:
    """Sufficient statistics: the score of any set of segments follows from the sum of their rows.

    `segments` has the shape [segments, statistics]; `score` takes such a sum, of the shape [statistics].
    """

    segments: NDArray[np.float64]
    score: Callable[[NDArray[np.float64]], float]
    signature: str

    @property
    def value(self) -> float:
        """The score of all segments."""
        return self.score(self.segments.sum(axis=0))


def bleu(hyps: Sequence[str], refs: Sequence[str], tokenizer: str) -> Score:
    """BLEU from 0 to 100; `tokenizer` is one of sacreBLEU's, such as `ja-mecab`."""
    statistics = bleu_statistics(hyps, refs, tokenizer)
    return Score(statistics.value, statistics.signature)


def chrf(hyps: Sequence[str], refs: Sequence[str]) -> Score:
    """chrF2 from 0 to 100: character 6-grams, no word n-grams, beta 2."""
    statistics = chrf_statistics(hyps, refs)
    return Score(statistics.value, statistics.signature)


def segment_chrf(hyps: Sequence[str], refs: Sequence[str]) -> list[float]:
    """chrF2 from 0 to 100 of each segment by itself."""
    statistics = chrf_statistics(hyps, refs)
    return [statistics.score(row) for row in statistics.segments]


def bleu_statistics(hyps: Sequence[str], refs: Sequence[str], tokenizer: str) -> Statistics:
    """Per segment: both lengths in tokens, then matched and total n-grams for n = 1 to 4."""
    from sacrebleu.metrics import BLEU

    # `force` only keeps sacreBLEU from a warning about text that ends in " ."; it changes no score.
    return _statistics(BLEU(tokenize=tokenizer, force=True), hyps, refs)


def chrf_statistics(hyps: Sequence[str], refs: Sequence[str]) -> Statistics:
    """Per segment: the hypothesis's, the reference's and the matched character n-grams for n = 1 to 6."""
    from sacrebleu.metrics import CHRF

    return _statistics(CHRF(), hyps, refs)


def mean_statistics(scores: Sequence[float], signature: str) -> Statistics:
    """For a metric whose corpus score is the mean of segment scores, as COMET's is: the score, and 1."""
    segments = np.column_stack([np.asarray(scores, dtype=np.float64), np.ones(len(scores))])
    return Statistics(segments, lambda total: float(total[0] / total[1]), signature)


def _statistics(metric: Any, hyps: Sequence[str], refs: Sequence[str]) -> Statistics:
    if len(hyps) != len(refs):
        raise ValueError(f"{len(hyps)} hypotheses for {len(refs)} references")
    # The two methods are what sacreBLEU's own significance tests are made of.
    segments = np.array(metric._extract_corpus_statistics(hyps, [refs]), dtype=np.float64)
    signature = metric.get_signature().format()
    return Statistics(segments, lambda total: float(metric._compute_score_from_stats(total).score), signature)
