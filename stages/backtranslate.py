"""Translate monolingual target-language text with the reverse model, into synthetic sources.

In:  --mono, segments with `tgt`; --base and --adapter, the reverse model.
Out: --out, the same segments in the same order with `src` (synthetic, empty where the model wrote nothing), `logprob`
     (mean natural log-probability per token that the model gives it) and `model` (its revision).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mt.cli import main
from mt.decode import Decoding, translate
from mt.lm import Precision, load_adapted, mean_logprobs, revision
from mt.params import Key
from mt.prompt import REVERSE, Languages, Prompter, check_template
from mt.segments import Segment, read_segments, write_segments


@dataclass(frozen=True)
class Paths:
    mono: Path
    base: Path
    adapter: Path
    out: Path


@dataclass(frozen=True)
class Backtranslate:
    precision: Precision
    decode: Decoding


@dataclass(frozen=True)
class Params:
    languages: Languages
    template: Annotated[str, Key("prompt.template")]
    backtranslate: Backtranslate

    def __post_init__(self) -> None:
        check_template(self.template)


def synthetic(mono: list[Segment], sources: list[str], logprobs: list[float], model: str) -> list[Segment]:
    """Put each synthetic source beside the text that it came from."""
    return [
        {"id": segment["id"], "src": src, "tgt": segment["tgt"], "logprob": round(logprob, 6), "model": model}
        for segment, src, logprob in zip(mono, sources, logprobs, strict=True)
    ]


def run(paths: Paths, params: Params) -> None:
    mono = read_segments(paths.mono, ("tgt",))
    settings = params.backtranslate
    prompter = Prompter(params.template, params.languages, REVERSE, [])
    model, tokenizer = load_adapted(paths.base, paths.adapter, settings.precision)
    sources = translate(model, tokenizer, prompter, mono, settings.decode)
    pairs = [
        (prompter.prompt(segment), prompter.continuation({**segment, "src": src}))
        for segment, src in zip(mono, sources, strict=True)
    ]
    logprobs = mean_logprobs(model, tokenizer, pairs, settings.decode.batch_tokens)
    write_segments(paths.out, synthetic(mono, sources, logprobs, revision(paths.base, paths.adapter)))


if __name__ == "__main__":
    main(run, Paths, Params)
