"""params.yaml into frozen dataclasses: every key known, present and of its type, or one line that says the mend."""

import difflib
import re
import reprlib
import sys
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import YAMLError

from mt.errors import InputError

T = TypeVar("T")

MAX_BYTES = 1 << 18
"""Of a parameter file; the presets have a twentieth of that."""
MAX_INTEGER = 2**63 - 1
MAX_SHOWN = 1000
FAULTS = (ValueError, LookupError, AssertionError, RecursionError)
"""What ruamel.yaml raises besides its own errors: on odd scalars, versions of YAML, and brackets without end."""
_NO_TEXT = re.compile("[\0\ud800-\udfff]")

SECTIONS = (
    "preset",
    "jobs",
    "launch",
    "environment",
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
    "leakage",
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
    return convert(cls, read_tree(file), file, at)


def convert(cls: type[T], tree: dict[str, Any], file: Path, at: Mapping[str, str]) -> T:
    """What a stage needs of a parameter file that was read; see `load`."""
    check_keys(tree, SECTIONS, file, "")
    for section, known in SHARED.items():
        if isinstance(tree[section], dict):
            _refuse_unknown(tree[section], known, file, f"{section}.")
    values = {}
    hints = typing.get_type_hints(cls, include_extras=False)
    for name, key in keys(cls, at).items():
        values[name] = _convert(_find(tree, key, file), hints[name], file, key)
    return _build(cls, values, file, "")


def check_testsets(testsets: Collection[str]) -> None:
    """Hold a stage's test sets to being some: held to none, everything passes.

    Raises:
        ValueError: there is none.
    """
    if not testsets:
        raise ValueError("testsets: names none; write at least one, such as [tatoeba]")


def read_tree(file: Path) -> dict[str, Any]:
    """Read a parameter file as nested dicts.

    Raises:
        InputError: it is missing, is not YAML, holds no mapping or what is no parameter, such as a date, or is no file
            of a sensible size.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _Composer
    try:
        with file.open("rb") as source:
            content = source.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{file}: has more than {MAX_BYTES} bytes; `make preset NAME=embedded` writes a whole one")
        tree = yaml.load(content.decode("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{file}: not found; `make preset NAME=embedded` writes one") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); name the parameter file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except (YAMLError, *FAULTS) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else f"{file}"
        said = _line(getattr(error, "problem", None) or "cannot be read")
        raise InputError(f"{place}: not YAML ({said})") from error
    if not isinstance(tree, dict):
        raise InputError(f"{file}: holds no keys; `make preset NAME=embedded` writes a whole one")
    for key, value in tree.items():
        _refuse_odd(value, file, _line(key))
    return tree


def _refuse_odd(value: Any, file: Path, key: str) -> None:
    """Refuse what YAML has names for and dvc.yaml no place: dates, sets, bytes."""
    if isinstance(value, dict):
        for inner, item in value.items():
            _refuse_odd(item, file, f"{key}.{_line(inner)}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_odd(item, file, f"{key}[{number}]")
    else:
        plain = value is None or isinstance(value, str | int | float)
        _require(plain, value, "text, a number, true, false or null; put text in quotes", file, key)


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
            near = difflib.get_close_matches(_line(key), known, n=1)
            mend = f"did you mean {prefix}{near[0]}?" if near else f"known here: {', '.join(known)}"
            raise InputError(f"{file}: unknown key {prefix}{_line(key)}; {mend}")


def _find(tree: Any, key: str, file: Path) -> Any:
    place = ""
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            known = ", ".join(map(_line, tree)) if isinstance(tree, dict) else "nothing"
            raise InputError(f"{file}: missing key {place}{part}; known here: {known}")
        tree = tree[part]
        place += f"{part}."
    return tree


def _build(cls: type[T], values: dict[str, Any], file: Path, key: str) -> T:
    try:
        return cls(**values)
    except ValueError as error:
        raise InputError(f"{file}: {key + ': ' if key else ''}{_line(error)}") from error


def _convert(value: Any, hint: Any, file: Path, key: str) -> Any:
    origin = get_origin(hint)
    if origin is Annotated:
        return _convert(value, get_args(hint)[0], file, key)
    if origin in (Union, types.UnionType):
        (inner,) = [option for option in get_args(hint) if option is not type(None)]
        return None if value is None else _convert(value, inner, file, key)
    if origin is Literal:
        if value not in get_args(hint) or isinstance(value, bool):
            raise InputError(f"{file}: {key}: {_SHORT.repr(value)} is not one of {', '.join(map(str, get_args(hint)))}")
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
        _require(abs(value) <= MAX_INTEGER, value, f"at most {MAX_INTEGER}", file, key)
    elif hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
        _require(number, value, "a number, such as 0.00005", file, key)
        return float(value)
    elif hint is str:
        _require(isinstance(value, str), value, "text", file, key)
        _require(not _NO_TEXT.search(value), value, "text without NUL or half a surrogate pair", file, key)
    else:
        raise TypeError(f"{key}: parameters cannot have the type {hint}")
    return value


def _require(holds: bool, value: Any, wanted: str, file: Path, key: str) -> None:
    if not holds:
        shown = f"the text {_SHORT.repr(value)}" if isinstance(value, str) else _SHORT.repr(value)
        raise InputError(f"{file}: {key}: must be {wanted}, not {shown}")


class _Composer(Composer):
    """Takes no anchors and aliases, of which a file of a kilobyte makes as much as fills any memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if event.anchor is not None:
            problem = "names for values, &name and *name, are not taken; write the value out"
            raise ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


class _Short(reprlib.Repr):
    """Shows any value in one short line; Python writes no whole numbers of more than 4300 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxdict = 3, 10, 10
        self.maxstring = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if abs(x) <= MAX_INTEGER else f"a number of {x.bit_length()} bits"


_SHORT = _Short()


def _line(value: Any) -> str:
    """A key or a message as it stands, if that is one short line; else as much as fits on one."""
    text = value if isinstance(value, str) else str(value) if isinstance(value, Exception) else _SHORT.repr(value)
    return text if text.isprintable() and len(text) <= MAX_SHOWN else _SHORT.repr(text)
