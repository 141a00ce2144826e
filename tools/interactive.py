"""English in, the chosen system's Japanese out: a prompt on a terminal, line by line from standard input otherwise."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.lm import Precision, load_adapted, load_base
from mt.params import Key, load, read_tree
from mt.prompt import FORWARD, Languages, Prompter
from mt.segments import read_segments
from mt.systems import System
from mt.text import normalise
from translate import examples

PARAMS = Path("params.yaml")
BASE, ADAPTERS, TRAIN = Path("models/base"), Path("models/adapters"), Path("data/prepared/train.jsonl")


@dataclass(frozen=True)
class Params:
    languages: Languages
    template: Annotated[str, Key("prompt.template")]
    shots: Annotated[int, Key("prompt.shots")]
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
    systems = read_tree(PARAMS)["systems"]
    if name not in systems:
        raise InputError(f"no system is called {name!r}; write make translate SYSTEM=<one of {', '.join(systems)}>")
    if not (BASE / "model.safetensors").is_file():
        raise InputError(f"{BASE}: not made yet; run make repro first")
    if load(Chosen, PARAMS, {"system": f"systems.{name}"}).system.trained:
        model, tokenizer = load_adapted(BASE, ADAPTERS / name, params.precision)
        return model, tokenizer, Prompter(params.template, params.languages, FORWARD, [])
    model, tokenizer = load_base(BASE, params.precision)
    shots = examples(read_segments(TRAIN, ("src", "tgt")), params.shots)
    return model, tokenizer, Prompter(params.template, params.languages, FORWARD, shots)


def lines(language: str) -> Iterator[str]:
    """Yield what is typed, in its normal form, until end of file.

    Raises:
        InputError: a line is not UTF-8.
    """
    while True:
        if sys.stdin.isatty():
            print(f"{language}> ", end="", flush=True)
        line = sys.stdin.buffer.readline()
        if not line:
            return
        try:
            yield normalise(line.decode("utf-8"), language)
        except UnicodeDecodeError as error:
            raise InputError(f"standard input: byte {error.start + 1} of a line is not UTF-8; convert it") from error


def main(name: str) -> None:
    params = load(Params, PARAMS, {})
    model, tokenizer, prompter = system(name, params)
    for text in lines(params.languages.src):
        segment = {"id": "typed", "src": text}
        print(*translate(model, tokenizer, prompter, [segment], params.decode) if text else [""], flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print()
