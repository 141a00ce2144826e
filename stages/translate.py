"""Translate a test set with one system.

In:  --test and --train, segments with `src` and `tgt`; --base, a model folder; --adapter, the system's adapter. A
     system that is trained on nothing has none: it is prompted with the first `prompt.shots` segments of --train.
Out: --out, the test segments in their order with `hyp` (the translation, perhaps empty), `cut` (whether the limit on
     tokens ended it) and `model` (its revision).
"""

from dataclasses import dataclass
from pathlib import Path

from mt.cli import main
from mt.decode import Decoding, translations
from mt.lm import Precision, identity, load_adapted, load_base
from mt.processes import is_main, one_voice
from mt.prompt import FORWARD, Languages, Prompt, Prompter, examples
from mt.recall import open_memory
from mt.segments import read_segments, write_segments
from mt.systems import System


@dataclass(frozen=True)
class Paths:
    test: Path
    train: Path
    base: Path
    adapter: Path
    out: Path


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


@one_voice()
def run(paths: Paths, params: Params) -> None:
    test = read_segments(paths.test, ("src", "tgt"))
    adapter = paths.adapter if params.system.trained else None
    shots = [] if adapter else examples(read_segments(paths.train, ("src", "tgt")), params.prompt.shots, "prompt.shots")
    prompter = Prompter(params.prompt.template, params.languages, FORWARD, shots)
    precision = params.translate.precision
    model, tokenizer = load_adapted(paths.base, adapter, precision) if adapter else load_base(paths.base, precision)
    named = identity(paths.base, adapter, precision)
    with open_memory(named, params.translate.decode) as memory:
        made = translations(model, tokenizer, prompter, test, params.translate.decode, memory)
    if is_main():
        told = {"model": named["revision"]}
        rows = [{**segment, "hyp": hyp, "cut": cut, **told} for segment, (hyp, cut) in zip(test, made, strict=True)]
        write_segments(paths.out, rows)


if __name__ == "__main__":
    main(run, Paths, Params)
