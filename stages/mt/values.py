"""JSON values: read in one way only, and held to what is expected of them."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 32
"""How deep lists and objects may stand in one another; what could be read but not written again is deeper."""
MAX_NUMBER = 1e12
"""Nothing that is measured here is larger, and the sum of as many as fit a file is finite."""
MAX_SHOWN = 100
"""Characters of a key in a message."""
KINDS = {str: "text", bool: "true or false", int: "a count", float: "a number", None: "null", object: "anything"}


def parsed(line: str) -> Any:
    """One JSON value, as RFC 8259 has it.

    Raises:
        ValueError: it is none; or it is one that would be read in more than one way: with a key twice, NaN, an
            infinity or a number beyond float64's, or lists in lists without end. Half of a surrogate pair, which is no
            UTF-8, is left to the caller.
    """
    try:
        value = _DECODER.decode(line)
    except RecursionError as error:
        raise ValueError("lists or objects stand too deep in one another") from error
    if line.count("[") + line.count("{") > MAX_DEPTH and _is_deep(value):
        raise ValueError(f"lists or objects stand more than {MAX_DEPTH} deep in one another")
    return value


def is_number(value: Any) -> bool:
    """Whether a value is a number, and of a size with which means can be taken."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


@dataclass(frozen=True)
class Maybe:
    """The shape of a key that may be missing."""

    shape: Any


def check(value: Any, shape: Any, place: str) -> None:
    """Hold a JSON value to a shape.

    A shape is `str`, `bool`, `int` (a count), `float` (a number), None or `object` (anything); a tuple of these, one of
    which must do; a list of one shape, that of all items; or a dict of the shapes of its keys, under the type `str`
    that of all keys that it does not name.

    Raises:
        ValueError: it is of another; names the place inside, such as `systems.ft.low`.
    """
    if isinstance(shape, dict):
        _expect(isinstance(value, dict), place, "an object")
        others = {key: shape[str] for key in value if key not in shape} if str in shape else {}
        for key, inner in ({key: inner for key, inner in shape.items() if key is not str} | others).items():
            at = f"{place}.{key if key.isprintable() else ascii(key):.{MAX_SHOWN}}".removeprefix(".")
            if key not in value and not isinstance(inner, Maybe):
                raise ValueError(f"{at}: missing")
            if key in value:
                check(value[key], inner.shape if isinstance(inner, Maybe) else inner, at)
    elif isinstance(shape, list):
        _expect(isinstance(value, list), place, "a list")
        for number, item in enumerate(value):
            check(item, shape[0], f"{place}[{number}]")
    else:
        kinds = shape if isinstance(shape, tuple) else (shape,)
        _expect(any(_is(value, kind) for kind in kinds), place, " or ".join(KINDS[kind] for kind in kinds))


def _expect(right: bool, place: str, wanted: str) -> None:
    if not right:
        raise ValueError(f"{place}: must be {wanted}" if place else f"must hold {wanted}")


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return is_number(value)
    if kind is int:
        return isinstance(value, int) and is_number(value) and value >= 0
    return value is None if kind is None else isinstance(value, kind)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no number that a float64 holds")
    return value


def _int(text: str) -> int:
    _float(text)
    return int(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_float)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for outer in level for item in _items(outer)]
    return any(isinstance(item, dict | list) for item in level)


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
