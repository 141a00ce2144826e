"""Other values for keys of a preset, as `--set KEY=VALUE` gives them."""

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mt.errors import InputError
from mt.files import write_text


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """Key → value, read as YAML 1.2.

    Raises:
        InputError: one is not KEY=VALUE, or its value is not YAML, or its key is there already.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InputError(f"--set {word}: write KEY=VALUE, such as prepare.mono=4099")
        if key in found:
            raise InputError(f"--set {word}: {key} is set twice")
        try:
            found[key] = YAML(typ="safe", pure=True).load(value)
        except (YAMLError, ValueError, LookupError, RecursionError) as error:
            raise InputError(f"--set {word}: the value is not YAML; put it in quotes") from error
    return found


def apply(tree: Any, overrides: Mapping[str, Any], file: Path) -> None:
    """Change the values of `tree`, read from `file`, in place.

    Raises:
        InputError: a key is not in it, or is a section.
    """
    for key, value in overrides.items():
        *path, last = key.split(".")
        inner = tree
        for part in path:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise InputError(f"--set {key}: not a key of {file}")
        if isinstance(inner[last], dict):
            raise InputError(f"--set {key}: a section; set one of its keys: {', '.join(inner[last])}")
        inner[last] = value


def rewrite(file: Path, overrides: Mapping[str, Any]) -> None:
    """Change the values in a parameter file; comments stay.

    Raises:
        InputError: a key is not in it, or is a section.
    """
    yaml = YAML()
    yaml.width = 1000
    tree = yaml.load(file)
    apply(tree, overrides, file)
    text = StringIO()
    yaml.dump(tree, text)
    write_text(file, text.getvalue())


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys whose values differ."""
    for key in {**one, **other}:
        if key not in one or key not in other:
            yield f"{prefix}{key}"
        elif isinstance(one[key], dict) and isinstance(other[key], dict):
            yield from differences(one[key], other[key], f"{prefix}{key}.")
        elif one[key] != other[key]:
            yield f"{prefix}{key}"
