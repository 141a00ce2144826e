"""Asking a model by way of the translation memory: what that knows is not done again, and what is new goes into it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mt.batched import in_batches
from mt.errors import InputError
from mt.files import kept, sha256
from mt.memory import FILE, Memory, Translation, told
from mt.processes import agreed, beside_main, count, is_main, place

CODE = (
    "attention",
    "batched",
    "bf32",
    "cache",
    "decode",
    "layers",
    "lm",
    "loading",
    "lora",
    "lora_linear",
    "prompt",
    "rms_norm",
    "rotary",
    "sampling",
    "search",
    "seq2seq",
)
"""The modules whose change may change a translation."""
LIBRARIES = ("accelerate", "bitsandbytes", "peft", "sentencepiece", "tokenizers", "torch", "transformers")


@contextmanager
def open_memory(model: Mapping[str, Any], decoding: Any) -> Iterator[Memory | None]:
    """The translations that a model has made with one way of decoding; None on a host that has no memory.

    Args:
        model: names the exact weights, their type, and the tokenizer.
        decoding: a `mt.decode.Decoding`. Its `batch_tokens` are left out: who shares a batch changes a translation by
            no more than rounding, and where that tips the scale, the memory keeps what came first.
    """
    if not beside_main():
        yield None
        return
    with closing(Memory(kept() / FILE, facts(model, decoding))) as memory:
        yield memory


def facts(model: Mapping[str, Any], decoding: Any) -> dict[str, Any]:
    """Everything that translations follow from besides what is asked, ready for JSON."""
    return {
        "model": dict(model),
        "decoding": {key: value for key, value in asdict(decoding).items() if key != "batch_tokens"},
        "code": {name: sha256(Path(__file__).with_name(f"{name}.py")) for name in CODE},
        "libraries": {name: _version(name) for name in LIBRARIES},
        "device": place(),
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"


def recalled(
    memory: Memory | None,
    asked: Sequence[str],
    costs: Sequence[int],
    batch_tokens: int,
    write: Callable[[list[int]], list[Translation]],
) -> list[Translation]:
    """A translation for each of `asked`, in their order; every process gets all.

    Args:
        memory: where translations are looked up, by the main process, and kept, each batch as it is finished; what
            was made on a host without one is kept at the end. None where there is no memory.
        asked: all that a translation follows from besides the memory's facts.
        costs: as for `in_batches`.
        batch_tokens: as for `in_batches`.
        write: translates the rows of a batch, by their numbers.
    """
    return _recalled(memory, asked, costs, batch_tokens, write, ("translate", "translations"))


def recalled_numbers(
    memory: Memory | None,
    asked: Sequence[str],
    costs: Sequence[int],
    batch_tokens: int,
    score: Callable[[list[int]], list[float]],
) -> list[float]:
    """As `recalled`, of log-probabilities, which the memory holds as text; no translation is asked for like them.

    Raises:
        InputError: one is no finite number; it is not kept.
    """

    def write(rows: list[int]) -> list[Translation]:
        values = score(rows)
        if odd := [value for value in values if not math.isfinite(value)]:
            mend = "name another model in params.yaml, or a precision of more bits"
            raise InputError(f"the model gives a text the log-probability {odd[0]}, which is no finite number; {mend}")
        return [Translation(repr(value), cut=False) for value in values]

    marked = [f"log-probability\0{one}" for one in asked]
    done = _recalled(memory, marked, costs, batch_tokens, write, ("score", "log-probabilities"))
    with told(kept() / FILE):
        return [_finite(one.text) for one in done]


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    return value


def _recalled(
    memory: Memory | None,
    asked: Sequence[str],
    costs: Sequence[int],
    batch_tokens: int,
    write: Callable[[list[int]], list[Translation]],
    names: tuple[str, str],
) -> list[Translation]:
    title, what = names
    found = agreed(memory.find(asked) if memory and is_main() else [None] * len(asked))
    known = {i: one for i, one in enumerate(found) if one is not None}
    if asked and memory and is_main():
        print(f"{len(asked)} {what}: {len(known)} from the memory, {len(asked) - len(known)} new", flush=True)

    def new(rows: list[int]) -> list[Translation]:
        made = write(rows)
        if memory:
            memory.keep([asked[i] for i in rows], made)
        return made

    done = in_batches(costs, batch_tokens, new, title, known)
    if memory and is_main() and count() > 1:
        memory.keep(asked, done)
    return done
