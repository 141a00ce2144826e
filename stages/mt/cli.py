"""The command line of every stage: paths as flags, values from params.yaml, one line for what the user can mend."""

import argparse
import gc
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.params import load
from mt.processes import end_with_launcher

UNSAFE = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TRUST_REMOTE_CODE")
"""What would let torch and transformers run code that stands in a file."""


def main(run: Callable[..., None], paths: type, params: type) -> None:
    """Call `run(paths, params)` with what the command line and params.yaml say.

    Args:
        run: the stage.
        paths: a frozen dataclass of paths; each field is a flag (`raw_text` → `--raw-text`).
        params: a frozen dataclass for `mt.params.load`.

    Ends with exit code 1, and one line, on an InputError.
    """
    for name in UNSAFE:
        os.environ.pop(name, None)
    end_with_launcher()
    try:
        arguments = vars(_parser(run, paths).parse_args())
        at = dict(_pair(text) for text in arguments.pop("at"))
        file = arguments.pop("params")
        run(paths(**arguments), load(params, file, at))
        gc.freeze()  # a process that ends needs no look for garbage, which takes a second after transformers
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _parser(run: Callable[..., Any], paths: type) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=inspect.getdoc(inspect.getmodule(run)), allow_abbrev=False)
    parser.add_argument("--params", type=Path, required=True, help="the parameter file")
    parser.add_argument(
        "--at", action="append", default=[], metavar="FIELD=KEY", help="where in params.yaml a section stands"
    )
    for field in fields(paths):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=Path, required=True, metavar="PATH")
    return parser


def _pair(text: str) -> tuple[str, str]:
    field, separator, key = text.partition("=")
    if not (field and separator and key):
        raise InputError(f"--at {text}: write FIELD=KEY, such as lora=reverse.lora")
    return field, key
