"""JSON values: what is a number, and what holds a shape."""

from typing import Any

import pytest

from mt.values import MAX_NUMBER, Maybe, check, is_number, parsed

SHAPE = {"a": int, "b": [float], "c": Maybe({"x": (float, None)}), "d": {"one": str, str: bool}}
GOOD: dict[str, Any] = {"a": 1, "b": [1, -2.5], "c": {"x": None}, "d": {"one": "x", "more": True}, "e": [None]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0, True), (-1.5, True), (MAX_NUMBER, True), (-MAX_NUMBER, True)),
        *((MAX_NUMBER * 2, False), (-1.7e308, False), (10**400, False), (float("nan"), False), (float("inf"), False)),
        *((True, False), (None, False), ("1", False), ([1], False)),
    ],
)
def test_is_number(value: Any, expected: bool) -> None:
    assert is_number(value) is expected


@pytest.mark.parametrize(
    "change", [{}, {"c": {"x": 0.5}}, {"b": []}, {"d": {"one": ""}}, {"d": {"one": "", "two": False, "three": True}}]
)
def test_what_holds_a_shape(change: dict[str, Any]) -> None:
    check(GOOD | change, SHAPE, "")
    check({key: value for key, value in (GOOD | change).items() if key != "c"}, SHAPE, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": -1}, "a: must be a count"),
        ({"a": True}, "a: must be a count"),
        ({"a": 1.0}, "a: must be a count"),
        ({"a": 10**13}, "a: must be a count"),
        ({"b": {}}, "b: must be a list"),
        ({"b": [0, "1"]}, r"b\[1\]: must be a number"),
        ({"c": None}, "c: must be an object"),
        ({"c": {}}, r"c\.x: missing"),
        ({"c": {"x": "1"}}, r"c\.x: must be a number or null"),
        ({"d": {"more": True}}, r"d\.one: missing"),
        ({"d": {"one": "x", "more": 1}}, r"d\.more: must be true or false"),
        ({"d": {"one": "x", "a\nb": 1}}, r"d\.'a\\nb': must be true or false"),
        ({"d": {"one": "x", "y" * 500: 1}}, r"d\.y{100}: must be true or false"),
    ],
)
def test_what_does_not_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}$"):
        check(GOOD | change, SHAPE, "")


@pytest.mark.parametrize("value", [None, 5, "x", [], [{}]])
def test_a_whole_that_is_none_is_named_too(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^must hold an object$"):
        check(value, SHAPE, "")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match=r"^a: missing$"):
        check({}, SHAPE, "")


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "1e999", '{"a": 1, "a": 1}', "[" * 40 + "]" * 40, "[1]]", ""])
def test_what_can_be_read_in_several_ways_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(text)
