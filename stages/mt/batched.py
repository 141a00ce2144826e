"""Rows done in batches of like length, shared over the processes: who is in a batch follows from the rows alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from tqdm import tqdm

from mt.errors import InputError
from mt.processes import count, index, is_main, share

R = TypeVar("R")


def batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Group row numbers by length, the longest first, so that rows × longest row stays within `batch_tokens`.

    A row that is longer than the budget stands alone. Each row number comes exactly once.
    """
    grouped: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if grouped and (len(grouped[-1]) + 1) * lengths[grouped[-1][0]] <= batch_tokens:
            grouped[-1].append(i)
        else:
            grouped.append([i])
    return grouped


def in_batches(
    costs: Sequence[int], batch_tokens: int, do: Callable[[list[int]], list[R]], title: str, known: Mapping[int, R]
) -> list[R]:
    """The result of every row, in the order of the rows; each process gets all.

    Batches are put together of all rows, and then those leave whose result is known: so work that was cut off goes on
    with the batches that it would have had.

    Args:
        costs: of each row, in tokens.
        batch_tokens: at most so many in a batch.
        do: takes the numbers of a batch's rows, and gives their results.
        title: of the progress bar.
        known: row number → result, the same in every process.

    Raises:
        InputError: not even one row fits into memory.
    """
    left = ([i for i in batch if i not in known] for batch in batches(costs, batch_tokens))
    todo = [batch for batch in left if batch]
    mine = sum(map(len, todo[index() :: count()]))
    with tqdm(total=mine, unit="segment", desc=title, delay=2, disable=not is_main()) as bar:

        def one(batch: list[int]) -> list[R]:
            results = do(batch)
            bar.update(len(batch))
            return results

        done = share(todo, one)
    found = dict(known)
    for batch, results in zip(todo, done, strict=True):
        found.update(zip(batch, results, strict=True))
    return [found[i] for i in range(len(costs))]


def halving(do: Callable[[list[int]], list[R]], rows: list[int]) -> list[R]:
    """The results of `do(rows)`; out of memory, of its halves one after the other.

    Raises:
        InputError: not even one row fits into memory.
    """
    import torch

    try:
        return do(rows)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        if len(rows) == 1:
            raise InputError(
                "out of memory at a single segment; lower prompt.shots, decode.beams or decode.max_new_tokens"
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(rows) // 2
    return halving(do, rows[:middle]) + halving(do, rows[middle:])


def out_of_memory(error: BaseException) -> bool:
    """Whether torch, or the system under it, has no memory left."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
