"""mt.batched: every row once, in its place, whoever does it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mt.batched import batches, halving, in_batches
from mt.errors import InputError

LENGTHS = st.lists(st.integers(1, 50), max_size=60)


@given(LENGTHS, st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths, budget):
    found = batches(lengths, budget)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    longest_first = [lengths[i] for batch in found for i in batch]
    assert longest_first == sorted(longest_first, reverse=True)


@given(LENGTHS, st.integers(1, 200), st.sets(st.integers(0, 59)))
def test_what_is_known_is_not_done_and_moves_no_other(lengths, budget, known):
    known = {i: -i for i in known if i < len(lengths)}
    whole, done = batches(lengths, budget), []

    def do(rows):
        done.append(rows)
        return [10 * i for i in rows]

    found = in_batches(lengths, budget, do, "test", known)
    assert found == [known.get(i, 10 * i) for i in range(len(lengths))]
    assert done == [rest for batch in whole if (rest := [i for i in batch if i not in known])]


def test_as_many_results_as_rows():
    with pytest.raises(ValueError, match="zip"):
        in_batches([1, 1], 10, lambda _: [0], "test", {})


def test_halves_until_it_fits():
    sizes = []

    def do(rows):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        return [10 * i for i in rows]

    assert halving(do, list(range(7))) == [10 * i for i in range(7)]
    assert sizes == [7, 3, 1, 2, 4, 2, 2]


def test_another_error_is_not_one_of_memory():
    def do(_):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        halving(do, [0, 1])


def test_not_even_one_row_fits():
    def do(_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(InputError, match=r"at a single segment; lower prompt\.shots"):
        halving(do, [0, 1])
