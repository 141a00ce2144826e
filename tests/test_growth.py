"""bench/growth.py: what it makes and measures, and its table; and how stages grow at sizes that take a moment."""

import random
import string
import sys
from dataclasses import replace

import pytest

import growth
from growth import LEAST, Cost, compared, cost, noisy
from mt.errors import InputError

CORPUS = [
    {"id": "1", "src": "The cat sat.", "tgt": "猫が座っています。"},
    {"id": "2", "src": "It rains.", "tgt": "雨が降っています。"},
]


def test_segments_are_made_anew_and_the_same_each_time():
    made = list(noisy(CORPUS, 50, seed=1))
    assert made == list(noisy(CORPUS, 50, seed=1))
    assert len({one["id"] for one in made}) == 50
    assert len({(one["src"], one["tgt"]) for one in made}) > 20
    assert all(one["src"].strip() and one["tgt"].strip() for one in made)


def test_memory_is_that_of_the_command_and_not_of_who_starts_it():
    held = b"x" * (256 << 20)
    found = cost([sys.executable, "-c", "pass"])
    assert found.peak_mib < 100, len(held)
    assert cost([sys.executable, "-c", "x = b'x' * (256 << 20)"]).peak_mib > 256


def test_a_command_that_fails_is_told():
    with pytest.raises(InputError, match="ended with 3"):
        cost([sys.executable, "-c", "raise SystemExit(3)"])


def test_what_a_segment_costs_is_beyond_the_least_size():
    small = Cost(seconds=2.0, cpu_seconds=1.0, peak_mib=100.0)
    large = replace(small, cpu_seconds=3.0, peak_mib=200.0)
    rows = compared({LEAST: {"prepare": small}, LEAST + 1_000: {"prepare": large}})
    assert rows[0] == {"stage": "prepare", "segments": LEAST, **vars(small)}
    assert (rows[1]["us_a_segment"], rows[1]["kib_a_segment"]) == (2_000.0, 102.4)


@pytest.mark.slow
def test_a_further_segment_costs_no_more_than_thrice_what_an_earlier_one_did():
    """As a ratio of the processors' seconds, the least of up to three turns: a busy machine only ever adds some."""
    chance = random.Random(1)
    corpus = [
        {
            "id": str(i),
            "src": " ".join("".join(chance.choices(string.ascii_lowercase, k=5)) for _ in range(6)),
            "tgt": "".join(chr(chance.randrange(0x4E00, 0x9FA0)) for _ in range(16)),
        }
        for i in range(20_000)
    ]
    least: dict[str, list[float]] = {}
    for _ in range(3):
        found = [growth.measured(corpus, size) for size in (LEAST, 2 * LEAST, 4 * LEAST)]
        for name in found[0]:
            turn = [one[name].cpu_seconds for one in found]
            least[name] = [min(pair) for pair in zip(least.get(name, turn), turn, strict=True)]
        steep = {name: costs for name, costs in least.items() if not flat(*costs)}
        if not steep:
            break
    assert steep == {}


def flat(first: float, second: float, third: float) -> bool:
    """Whether seconds grow by no more than thrice as much an input from the second size to the third as before."""
    return (third - second) / 2 <= 3 * max(second - first, 0.1)


@pytest.mark.parametrize(("costs", "expected"), [((1, 2, 4), True), ((1, 2, 8), True), ((1, 2, 8.1), False)])
def test_what_is_flat(costs, expected):
    assert flat(*costs) is expected
