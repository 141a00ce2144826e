"""Translate a test set with one system.

In:  --test and --train, segments with `src` and `tgt`; --base, a model folder; --adapter, the system's adapter. A
     system that is trained on nothing has none: it is prompted with the first `prompt.shots` segments of --train.
Out: --out, the test segments in their order with `hyp` (the translation, perhaps empty) and `model` (its revision).
"""

from dataclasses import dataclass
from pathlib import Path

from mt.cli import main
from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.lm import Precision, load_adapted, load_base, revision
from mt.prompt import FORWARD, Languages, Prompter, check_template
from mt.segments import Segment, read_segments, write_segments
from mt.systems import System


@dataclass(frozen=True)
class Paths:
    test: Path
    train: Path
    base: Path
    adapter: Path
    out: Path


@dataclass(frozen=True)
class Prompt:
    template: str
    shots: int

    def __post_init__(self) -> None:
        check_template(self.template)
        if self.shots < 0:
            raise ValueError(f"shots must not be negative, not {self.shots}")


@dataclass(frozen=True)
class Translate:
    precision: Precision
    decode: Decoding


@dataclass(frozen=True)
class Params:
    languages: Languages
    prompt: Prompt
    system: System
    translate: Translate


def examples(train: list[Segment], shots: int) -> list[Segment]:
    """The first `shots` training segments, whose order is already random.

    Raises:
        InputError: there are fewer.
    """
    if shots > len(train):
        raise InputError(f"params.yaml: prompt.shots: {shots} is more than the {len(train)} training segments")
    return train[:shots]


def run(paths: Paths, params: Params) -> None:
    test = read_segments(paths.test, ("src", "tgt"))
    adapter = paths.adapter if params.system.trained else None
    shots = [] if adapter else examples(read_segments(paths.train, ("src", "tgt")), params.prompt.shots)
    prompter = Prompter(params.prompt.template, params.languages, FORWARD, shots)
    precision = params.translate.precision
    model, tokenizer = load_adapted(paths.base, adapter, precision) if adapter else load_base(paths.base, precision)
    hyps = translate(model, tokenizer, prompter, test, params.translate.decode)
    named = revision(paths.base, adapter)
    rows = [{**segment, "hyp": hyp, "model": named} for segment, hyp in zip(test, hyps, strict=True)]
    write_segments(paths.out, rows)


if __name__ == "__main__":
    main(run, Paths, Params)
