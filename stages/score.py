"""Measure every synthetic pair once: the features that filters may use, and how far it is from the true source.

In:
    --synthetic   {"id", "src" (synthetic, may be empty), "tgt", "logprob" (mean per token), "model"} a line
    --mono-refs   {"id", "src"} a line: the set-aside genuine source of those targets where it is known; may have none
    --encoder     folder of a sentence encoder for both languages
    --lid         folder of a language identifier
Out:
    --out         the synthetic segments in their order, with "scores" {feature: number} (mt/features.py lists them) and
                  "oracle" {"chrf", "similarity"} of src against the set-aside source, or {} where that is unknown
    --metrics     "segments"; "empty", the share of empty translations; "features", for each its "mean" and the
                  quantiles "p05", "p50" and "p95"; "oracle": "segments" whose true source is known, and over these
                  "corpus_chrf", "chrf" (mean of segments) and "similarity" (mean), null where there is none, and the
                  "signatures" of chrF, a list, which DVC's tables of metrics pass over: its `|` would break them

Nothing is dropped here. The oracle is for measuring backtranslation; no filter sees it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from mt.claims import ingredients
from mt.cli import main
from mt.encoder import Encoder, Reading
from mt.errors import InputError
from mt.features import FEATURES, Encoding, Part, Settings, cosines, features, rounded
from mt.files import together, write_json
from mt.lid import LanguageId
from mt.params import Key
from mt.progress import progress
from mt.prompt import Languages, check_template, labels
from mt.quality import chrf, segment_chrf
from mt.segments import Segment, read_segments, write_segments
from mt.values import MAX_NUMBER, is_number

LIBRARIES = ("tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Paths:
    synthetic: Path
    mono_refs: Path
    encoder: Path
    lid: Path
    out: Path
    metrics: Path


@dataclass(frozen=True)
class Score:
    """`prefix` is what the encoder's makers put before a text, or empty."""

    prefix: str
    precision: Reading
    batch_size: int
    repetition_ngram: int
    copy_ngram: int

    def __post_init__(self) -> None:
        for name in ("batch_size", "repetition_ngram", "copy_ngram"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; write a whole number from 1")


@dataclass(frozen=True)
class Params:
    languages: Languages
    template: Annotated[str, Key("prompt.template")]
    score: Score

    def __post_init__(self) -> None:
        check_template(self.template)


def read_synthetic(path: Path) -> list[Segment]:
    """Read what backtranslation wrote.

    Raises:
        InputError: a line is no such segment; names the file and the line.
    """
    segments = read_segments(path, ("tgt",))
    for line, segment in enumerate(segments, start=1):
        logprob = segment.get("logprob")
        if "src" not in segment:
            raise InputError(f"{path}:{line}: 'src' must be one line of text, empty or not; run `dvc repro` to make it")
        if not is_number(logprob):
            raise InputError(
                f"{path}:{line}: 'logprob' must be a number of at most {MAX_NUMBER:g}; run `dvc repro` to make it"
            )
    return segments


def compare(
    segments: Sequence[Segment], refs: Mapping[str, str], encoder: Encoding, batch_size: int, part: Part
) -> tuple[list[float], list[dict[str, float]]]:
    """The similarity of every source to its target, and to the true source where that is known, with chrF."""
    pairs = []
    for segment in segments:
        pairs.append((segment["src"], segment["tgt"]))
        if segment["id"] in refs:
            pairs.append((segment["src"], refs[segment["id"]]))
    known = [segment for segment in segments if segment["id"] in refs]
    chrfs = iter(segment_chrf([s["src"] for s in known], [refs[s["id"]] for s in known]) if known else [])
    values = iter(cosines(encoder, pairs, batch_size, part))
    similarity, oracle = [], []
    for segment in segments:
        similarity.append(next(values))
        oracle.append({"chrf": rounded(next(chrfs)), "similarity": next(values)} if segment["id"] in refs else {})
    return similarity, oracle


def noise(segments: Sequence[Segment], refs: Mapping[str, str]) -> dict[str, Any]:
    """The metrics: how the features of scored segments are distributed, and how noisy the backtranslation is."""
    known = [segment for segment in segments if segment["oracle"]]
    corpus = chrf([s["src"] for s in known], [refs[s["id"]] for s in known]) if known else None
    return {
        "segments": len(segments),
        "empty": rounded(sum(not segment["src"].strip() for segment in segments) / len(segments)),
        "features": {name: _spread([segment["scores"][name] for segment in segments]) for name in FEATURES},
        "oracle": {
            "segments": len(known),
            "corpus_chrf": rounded(corpus.value) if corpus else None,
            "chrf": _mean([segment["oracle"]["chrf"] for segment in known]),
            "similarity": _mean([segment["oracle"]["similarity"] for segment in known]),
            "signatures": [corpus.signature] if corpus else [],
        },
    }


def run(paths: Paths, params: Params) -> None:
    """Score the synthetic segments."""
    segments = read_synthetic(paths.synthetic)
    refs = {ref["id"]: ref["src"] for ref in read_segments(paths.mono_refs, ("src",), allow_empty=True)}
    settings = Settings(
        languages=params.languages,
        labels=tuple(labels(params.template, params.languages)),
        repetition_ngram=params.score.repetition_ngram,
        copy_ngram=params.score.copy_ngram,
    )
    encoder = Encoder(paths.encoder, params.score.prefix, params.score.precision)
    inputs = {"synthetic": paths.synthetic, "mono_refs": paths.mono_refs, "encoder": paths.encoder}
    with (
        progress(ingredients(params, inputs, __file__, LIBRARIES)) as done,
        together(paths.out, paths.metrics),
    ):
        similarity, oracle = compare(segments, refs, encoder, params.score.batch_size, done.part)
        scores = features(segments, settings, LanguageId(paths.lid), similarity)
        scored = [
            {**segment, "scores": found, "oracle": truth}
            for segment, found, truth in zip(segments, scores, oracle, strict=True)
        ]
        write_segments(paths.out, scored)
        write_json(paths.metrics, noise(scored, refs))


def _spread(values: Sequence[float]) -> dict[str, float]:
    p05, p50, p95 = np.quantile(values, (0.05, 0.5, 0.95))
    return {"mean": rounded(float(np.mean(values))), "p05": rounded(p05), "p50": rounded(p50), "p95": rounded(p95)}


def _mean(values: Sequence[float]) -> float | None:
    return rounded(float(np.mean(values))) if values else None


if __name__ == "__main__":
    main(run, Paths, Params)
