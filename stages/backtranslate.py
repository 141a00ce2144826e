"""Translate monolingual target-language text with the reverse model, into synthetic sources.

In:  --mono, segments with `tgt`; and the reverse model, which `reverse.model` chooses:
     `lora`: --base, a model folder, with --adapter;
     `prompted`: --base, with the first `reverse.shots` segments (`src` and `tgt`) of --train as examples;
     `seq2seq`: --model, the folder of a sequence-to-sequence model.
Out: --out, the same segments in the same order with `src` (synthetic, empty where the model wrote nothing), `logprob`
     (mean natural log-probability per token that the model gives it, the end included) and `model` (its revision).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mt.cli import main
from mt.decode import Decoding
from mt.lm import Precision
from mt.params import Key
from mt.processes import is_main, one_voice
from mt.prompt import REVERSE, Languages, Prompter, check_template, examples
from mt.segments import Segment, read_segments, write_segments
from mt.seq2seq import Seq2Seq
from mt.translators import Causal, Translator


@dataclass(frozen=True)
class Paths:
    mono: Path
    train: Path
    base: Path
    adapter: Path
    model: Path
    out: Path


@dataclass(frozen=True)
class Backtranslate:
    precision: Precision
    decode: Decoding


@dataclass(frozen=True)
class Params:
    languages: Languages
    template: Annotated[str, Key("prompt.template")]
    model: Annotated[Literal["lora", "prompted", "seq2seq"], Key("reverse.model")]
    shots: Annotated[int, Key("reverse.shots")]
    backtranslate: Backtranslate

    def __post_init__(self) -> None:
        check_template(self.template)
        if self.shots < 0:
            raise ValueError(f"reverse.shots must not be negative, not {self.shots}")


def reverse_model(paths: Paths, params: Params) -> Translator:
    """Load the reverse model of the kind that is asked for.

    Raises:
        InputError: what that kind needs is not there.
    """
    settings = params.backtranslate
    if params.model == "seq2seq":
        return Seq2Seq(paths.model, settings.precision, settings.decode)
    adapter = paths.adapter if params.model == "lora" else None
    shots = [] if adapter else examples(read_segments(paths.train, ("src", "tgt")), params.shots, "reverse.shots")
    prompter = Prompter(params.template, params.languages, REVERSE, shots)
    return Causal(paths.base, adapter, prompter, settings.precision, settings.decode)


def synthetic(mono: list[Segment], sources: list[str], logprobs: list[float], model: str) -> list[Segment]:
    """Put each synthetic source beside the text that it came from."""
    return [
        {"id": segment["id"], "src": src, "tgt": segment["tgt"], "logprob": round(logprob, 6), "model": model}
        for segment, src, logprob in zip(mono, sources, logprobs, strict=True)
    ]


@one_voice()
def run(paths: Paths, params: Params) -> None:
    mono = read_segments(paths.mono, ("tgt",))
    model = reverse_model(paths, params)
    sources = model.translate(mono)
    logprobs = model.logprobs(mono, sources)
    if is_main():
        write_segments(paths.out, synthetic(mono, sources, logprobs, model.revision))


if __name__ == "__main__":
    main(run, Paths, Params)
