"""Puts a preset in the place of params.yaml (`use NAME`), or checks that before the first stage runs (`check`)."""

import json
import re
import runpy
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import write_text
from mt.params import check_keys, load, read_tree

PARAMS = Path("params.yaml")
PRESETS = Path("presets")
VARIABLE = re.compile(r"[A-Za-z_]\w*=")


def hold_to_tree(tree: dict[str, Any], known: dict[str, Any], prefix: str = "") -> None:
    """Hold every key of `tree`, at any depth, to those of `known`; lists are values.

    Raises:
        InputError: a key is unknown or missing, or a list or mapping is something else.
    """
    check_keys(tree, tuple(known), PARAMS, prefix)
    for key, inner in known.items():
        if isinstance(inner, dict):
            if not isinstance(tree[key], dict):
                raise InputError(f"{PARAMS}: {prefix}{key}: must be a mapping with the keys {', '.join(inner)}")
            hold_to_tree(tree[key], inner, f"{prefix}{key}.")
        elif isinstance(inner, list) and not isinstance(tree[key], list):
            raise InputError(f"{PARAMS}: {prefix}{key}: must be a list, such as {json.dumps(inner)[:60]}")


def check_environment(text: Any) -> None:
    """Hold `environment` to variables, written as for env(1).

    Raises:
        InputError: it is something else.
    """
    try:
        words = shlex.split(text) if isinstance(text, str) else [""]
    except ValueError:
        words = [""]
    if not all(VARIABLE.match(word) for word in words):
        raise InputError(f"{PARAMS}: environment: must be text such as A=1 B=2, or '', not {text!r}")


def hold_to_stages() -> None:
    """Read the parameters of every stage of dvc.yaml as the stage does: a mistake in the last one shows at once.

    Raises:
        InputError: a value is not what its stage takes, or dvc.yaml cannot use it.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(Path.cwd()), uninitialized=True) as repo:
            commands = [stage.cmd for stage in repo.index.stages]
    except (DvcException, ValueError) as error:  # ValueError: a number of more digits than Python writes
        raise InputError(f"{PARAMS}: dvc.yaml cannot be filled in from it ({' '.join(str(error).split())})") from error
    params: dict[str, Any] = {}
    for command in commands:
        script, *words = call(command)
        if script not in params:
            params[script] = runpy.run_path(script)["Params"]
        at = dict(value.split("=", 1) for flag, value in pairwise(words) if flag == "--at")
        load(params[script], PARAMS, at)


def call(command: str) -> list[str]:
    """The words of a stage's command from its script on; before that stand the environment and what launches it.

    Raises:
        InputError: the shell would see no script there.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"{PARAMS}: launch: is no command ({error}); write one such as python") from error
    scripts = [number for number, word in enumerate(words) if word.startswith("stages/")]
    if not scripts:
        raise InputError(f"{PARAMS}: launch: is no command to put a script after; write one such as python")
    return words[scripts[-1] :]


def use(name: str) -> None:
    """Copy presets/<name>.yaml to params.yaml.

    Raises:
        InputError: there is no such preset.
    """
    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if name not in names:
        raise InputError(f"no preset is called {name!r}; write make preset NAME=<one of {', '.join(names)}>")
    write_text(PARAMS, (PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    print(f"params.yaml is now {PRESETS}/{name}.yaml; dvc repro rebuilds what it changes")


def main(arguments: list[str]) -> None:
    match arguments:
        case ["use", name]:
            use(name)
        case ["check"]:
            tree = read_tree(PARAMS)
            hold_to_tree(tree, read_tree(PRESETS / "embedded.yaml"))
            check_environment(tree["environment"])
            hold_to_stages()
        case _:
            raise InputError("usage: preset.py use NAME | preset.py check")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
