"""params.yaml into frozen dataclasses: every key known, present and of its type, or one line that says the mend."""

import difflib
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from mt.errors import InputError

T = TypeVar("T")

SECTIONS = (
    "preset",
    "launch",
    "languages",
    "testsets",
    "systems",
    "corpora",
    "models",
    "comet",
    "prepare",
    "base",
    "prompt",
    "reverse",
    "backtranslate",
    "score",
    "filter",
    "merge",
    "lora",
    "finetune",
    "translate",
    "evaluate",
    "report",
)
SHARED = {
    "systems": ("baseline", "bt", "ft", "ft_bt"),
    "models": ("source", "encoder", "lid", "reverse"),
    "prompt": ("template", "shots"),
    "reverse": ("model", "shots", "lora", "finetune"),
}
"""Sections of which a stage reads a part, so that no stage's dataclass knows all their keys."""


@dataclass(frozen=True)
class Key:
    """Names the place of a field in params.yaml where it is not the field's own name: `Annotated[str, Key("a.b")]`."""

    path: str


def keys(cls: type, at: Mapping[str, str]) -> dict[str, str]:
    """Map each field of a stage's parameter class to its key in params.yaml (`lora` → `reverse.lora`)."""
    hints = typing.get_type_hints(cls, include_extras=True)
    own = {}
    for field in fields(cls):
        named = [extra.path for extra in getattr(hints[field.name], "__metadata__", ()) if isinstance(extra, Key)]
        own[field.name] = named[0] if named else field.name
    if unknown := set(at) - set(own):
        raise InputError(f"--at {min(unknown)}: not a parameter of this stage; it reads {', '.join(own)}")
    return {**own, **at}


def load(cls: type[T], file: Path, at: Mapping[str, str]) -> T:
    """Read what a stage needs from params.yaml.

    Args:
        cls: a frozen dataclass; a field is a section, or a key inside one where `Key` or `at` says so.
        file: params.yaml, YAML 1.2, so that 5e-05 is a number.
        at: field → key in params.yaml, for a stage that stands in dvc.yaml more than once.

    Raises:
        InputError: a key is unknown, missing or of the wrong type, or a value is refused by the dataclass.
    """
    tree = read_tree(file)
    check_keys(tree, SECTIONS, file, "")
    for section, known in SHARED.items():
        if isinstance(tree[section], dict):
            _refuse_unknown(tree[section], known, file, f"{section}.")
    values = {}
    hints = typing.get_type_hints(cls, include_extras=False)
    for name, key in keys(cls, at).items():
        values[name] = _convert(_find(tree, key, file), hints[name], file, key)
    return _build(cls, values, file, "")


def read_tree(file: Path) -> dict[str, Any]:
    """Read a parameter file as nested dicts.

    Raises:
        InputError: it is missing, is not YAML, or holds no mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        tree = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{file}: not found; `make preset NAME=embedded` writes one") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except (YAMLError, ValueError, LookupError, RecursionError) as error:  # what ruamel.yaml raises on odd scalars too
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else f"{file}"
        raise InputError(f"{place}: not YAML ({getattr(error, 'problem', None) or 'cannot be read'})") from error
    if not isinstance(tree, dict):
        raise InputError(f"{file}: holds no keys; `make preset NAME=embedded` writes a whole one")
    return tree


def check_keys(tree: Mapping[str, Any], known: tuple[str, ...], file: Path, prefix: str) -> None:
    """Hold the keys of one mapping to those known.

    Raises:
        InputError: one is unknown (with the nearest known one) or missing.
    """
    _refuse_unknown(tree, known, file, prefix)
    for key in known:
        if key not in tree:
            raise InputError(f"{file}: missing key {prefix}{key}; copy it from the preset that you began with")


def _refuse_unknown(tree: Mapping[str, Any], known: tuple[str, ...], file: Path, prefix: str) -> None:
    for key in tree:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            mend = f"did you mean {prefix}{near[0]}?" if near else f"known here: {', '.join(known)}"
            raise InputError(f"{file}: unknown key {prefix}{key}; {mend}")


def _find(tree: Any, key: str, file: Path) -> Any:
    place = ""
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            known = ", ".join(map(str, tree)) if isinstance(tree, dict) else "nothing"
            raise InputError(f"{file}: missing key {place}{part}; known here: {known}")
        tree = tree[part]
        place += f"{part}."
    return tree


def _build(cls: type[T], values: dict[str, Any], file: Path, key: str) -> T:
    try:
        return cls(**values)
    except ValueError as error:
        raise InputError(f"{file}: {key + ': ' if key else ''}{error}") from error


def _convert(value: Any, hint: Any, file: Path, key: str) -> Any:
    origin = get_origin(hint)
    if origin is Annotated:
        return _convert(value, get_args(hint)[0], file, key)
    if origin in (Union, types.UnionType):
        (inner,) = [option for option in get_args(hint) if option is not type(None)]
        return None if value is None else _convert(value, inner, file, key)
    if origin is Literal:
        if value not in get_args(hint) or isinstance(value, bool):
            raise InputError(f"{file}: {key}: {value!r} is not one of {', '.join(map(str, get_args(hint)))}")
        return value
    if origin is tuple:
        _require(isinstance(value, list), value, "a list", file, key)
        return tuple(_convert(item, get_args(hint)[0], file, f"{key}[{i}]") for i, item in enumerate(value))
    if is_dataclass(hint):
        _require(isinstance(value, dict), value, "a mapping", file, key)
        inner_hints = typing.get_type_hints(hint)
        check_keys(value, tuple(inner_hints), file, f"{key}.")
        inner_values = {name: _convert(value[name], inner_hints[name], file, f"{key}.{name}") for name in inner_hints}
        return _build(typing.cast("type[Any]", hint), inner_values, file, key)
    return _scalar(value, hint, file, key)


def _scalar(value: Any, hint: Any, file: Path, key: str) -> Any:
    if hint is bool:
        _require(isinstance(value, bool), value, "true or false", file, key)
    elif hint is int:
        _require(isinstance(value, int) and not isinstance(value, bool), value, "a whole number", file, key)
    elif hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
        _require(number, value, "a number, such as 0.00005", file, key)
        return float(value)
    elif hint is str:
        _require(isinstance(value, str), value, "text", file, key)
    else:
        raise TypeError(f"{key}: parameters cannot have the type {hint}")
    return value


def _require(holds: bool, value: Any, wanted: str, file: Path, key: str) -> None:
    if not holds:
        shown = f"the text {value!r}" if isinstance(value, str) else repr(value)
        raise InputError(f"{file}: {key}: must be {wanted}, not {shown}")
