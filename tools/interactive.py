"""The source language in, the chosen system's translation out: a prompt on a terminal, else standard input by line."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.lm import Precision, load_adapted, load_base
from mt.params import SHARED, Key, load
from mt.prompt import FORWARD, NAMES, Languages, Prompt, Prompter, examples
from mt.segments import decoded, read_segments
from mt.systems import System
from mt.text import normalise

PARAMS = Path("params.yaml")
BASE, ADAPTERS, TRAIN = Path("models/base"), Path("models/adapters"), Path("data/prepared/train.jsonl")


@dataclass(frozen=True)
class Params:
    languages: Languages
    prompt: Prompt
    decode: Annotated[Decoding, Key("translate.decode")]
    precision: Annotated[Precision, Key("translate.precision")]


@dataclass(frozen=True)
class Chosen:
    system: System


def system(name: str, params: Params) -> tuple[Any, Any, Prompter]:
    """Load a system: its model, tokenizer and prompter.

    Raises:
        InputError: no system has this name, or it is not made yet.
    """
    systems = SHARED["systems"]
    if name not in systems:
        raise InputError(f"no system is called {name!r}; write make translate SYSTEM=<one of {', '.join(systems)}>")
    if not (BASE / "config.json").is_file():
        raise InputError(f"{BASE}: not made yet; run make repro first")
    if load(Chosen, PARAMS, {"system": f"systems.{name}"}).system.trained:
        model, tokenizer = load_adapted(BASE, ADAPTERS / name, params.precision)
        return model, tokenizer, Prompter(params.prompt.template, params.languages, FORWARD, [])
    model, tokenizer = load_base(BASE, params.precision)
    shots = examples(read_segments(TRAIN, ("src", "tgt")), params.prompt.shots, "prompt.shots")
    return model, tokenizer, Prompter(params.prompt.template, params.languages, FORWARD, shots)


def lines(language: str) -> Iterator[str]:
    """Yield what is typed, in its normal form, until end of file.

    Raises:
        InputError: a line is not UTF-8 or too long.
    """
    typed = decoded(sys.stdin.buffer, "standard input")
    while True:
        if sys.stdin.isatty():
            print(f"{NAMES[language]}> ", end="", flush=True)
        line = next(typed, None)
        if line is None:
            return
        yield normalise(line[1], language)


def main(name: str) -> None:
    params = load(Params, PARAMS, {})
    model, tokenizer, prompter = system(name, params)
    for text in lines(params.languages.src):
        segment = {"id": "typed", "src": text}
        print(*translate(model, tokenizer, prompter, [segment], params.decode, None) if text else [""], flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print()
    except BrokenPipeError:  # whoever reads has read enough, such as head; what is left has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
