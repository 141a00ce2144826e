"""mt.setup: what a run is made with, in words that follow from its parameters."""

from dataclasses import replace
from typing import Any

import pytest

from mt.setup import base_model, comparisons, described, translator, unused
from mt.systems import System
from report_inputs import EMBEDDED

GENUINE, SYNTHETIC, BOTH = System(True, False), System(False, True), System(True, True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "gemma-3-270m, its vocabulary trimmed"),
        ({"vocabulary": "full"}, "gemma-3-270m"),
        ({"repo": "org/gemma_3", "vocabulary": "full", "model": "a|b"}, r"a\|b from `org/gemma_3`"),
    ],
)
def test_base_model(change: dict[str, Any], expected: str) -> None:
    assert base_model(replace(EMBEDDED, **change)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "The reverse model"),
        ({"reverse": "prompted"}, "The base model, prompted with examples from the training set,"),
        ({"reverse": "prompted", "shots": 0}, "The base model, prompted with examples from the training set,"),
        ({"reverse": "prompted", "reverse_shots": 0}, "The base model, prompted without examples,"),
        ({"reverse": "seq2seq", "reverse_model": "opus-mt-ja-en"}, "The model `opus-mt-ja-en`"),
    ],
)
def test_translator(change: dict[str, Any], expected: str) -> None:
    setup = replace(EMBEDDED, **change)
    assert translator(setup) == expected
    assert bool(unused(setup)) == (setup.reverse != "lora")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (BOTH, GENUINE, "Adding backtranslated pairs to the genuine ones"),
        (SYNTHETIC, GENUINE, "Training on backtranslated pairs in place of genuine pairs"),
        (BOTH, SYNTHETIC, "Training on genuine and backtranslated pairs in place of backtranslated pairs"),
    ],
)
def test_a_comparison_is_named_by_what_is_trained_on(a: System, b: System, expected: str) -> None:
    found = comparisons(replace(EMBEDDED.systems, ft_bt=a, ft=b))
    assert (found[-1].does, found[-1].a, found[-1].b) == (expected, "ft_bt", "ft")


def test_every_system_is_described_in_order() -> None:
    assert list(described(EMBEDDED)) == ["baseline", "bt", "ft", "ft_bt"]
    assert described(replace(EMBEDDED, shots=0))["baseline"] == "the base model, prompted without examples"
