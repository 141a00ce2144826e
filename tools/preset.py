"""Puts a preset in the place of params.yaml (`use NAME`), or holds params.yaml to the presets' key tree (`check`)."""

import sys
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import write_text
from mt.params import check_keys, read_tree

PARAMS = Path("params.yaml")
PRESETS = Path("presets")


def hold_to_tree(tree: dict[str, Any], known: dict[str, Any], prefix: str = "") -> None:
    """Hold every key of `tree`, at any depth, to those of `known`; lists are values.

    Raises:
        InputError: a key is unknown or missing.
    """
    check_keys(tree, tuple(known), PARAMS, prefix)
    for key, inner in known.items():
        if isinstance(inner, dict):
            if not isinstance(tree[key], dict):
                raise InputError(f"{PARAMS}: {prefix}{key}: must be a mapping with the keys {', '.join(inner)}")
            hold_to_tree(tree[key], inner, f"{prefix}{key}.")


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
            hold_to_tree(read_tree(PARAMS), read_tree(PRESETS / "embedded.yaml"))
        case _:
            raise InputError("usage: preset.py use NAME | preset.py check")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
