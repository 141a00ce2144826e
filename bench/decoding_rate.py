"""Tokens per second of the engine that translates, and the share of the copy bandwidth that reading weights takes."""

from dataclasses import dataclass
from typing import Any, Literal

from mt.decode import Decoding, translate
from mt.prompt import FORWARD, Languages, Prompter
from random_model import text
from timing import forget, peak, seconds

STRATEGIES: dict[str, tuple[Literal["beam", "sampling"], int]] = {"beam 3": ("beam", 3), "sampling": ("sampling", 1)}
WHAT = (
    "tokens of finished translations (one a source, whatever the beams) per second of mt.decode.translate on one "
    "batch, reading prompts and making texts included; median of {repeats} repeats, warm; weights bfloat16; "
    "{prompt} tokens of prompt, {written} of translation; sampling at temperature 1 from all words. weights_share: "
    "bytes of all weights but the input embedding, times forward passes, per second, as a share of the copy bandwidth"
)


@dataclass(frozen=True)
class Size:
    """Tokens of prompts and of translations, sources a batch, and how often each is done."""

    prompt: int
    written: int
    rows: tuple[int, ...]
    warm: int
    repeats: int


def measure(model: Any, tokenizer: Any, size: Size, gb_per_second: float) -> dict[str, Any]:
    """Figures for each strategy and number of rows.

    Args:
        model: in evaluation mode.
        tokenizer: one token a word, and one in front.
        size: what to measure.
        gb_per_second: the copy bandwidth.
    """
    figures = [
        rate(model, tokenizer, size, strategy, rows, gb_per_second) for strategy in STRATEGIES for rows in size.rows
    ]
    return {"what": WHAT.format(repeats=size.repeats, prompt=size.prompt, written=size.written), "figures": figures}


def rate(model: Any, tokenizer: Any, size: Size, strategy: str, rows: int, gb_per_second: float) -> dict[str, Any]:
    """Tokens per second of one batch of `rows` sources."""
    kind, beams = STRATEGIES[strategy]
    decoding = Decoding(
        strategy=kind,
        beams=beams,
        temperature=1.0,
        top_p=1.0,
        seed=1,
        max_new_tokens=size.written,
        max_length_ratio=0.0,
        length_margin=size.written,
        batch_tokens=rows * beams * (size.prompt + size.written),
    )
    prompter = Prompter("{src}\n{tgt}\n", Languages("en", "ja"), FORWARD, [])
    segments = [{"id": str(i), "src": text(size.prompt - 1, len(tokenizer), i)} for i in range(rows)]
    passes = Passes(model)
    hyps: list[str] = []

    def run() -> None:
        passes.number = 0
        hyps[:] = translate(model, tokenizer, prompter, segments, decoding, None)

    forget()
    took = seconds(run, size.warm, size.repeats, inner=1)
    passes.stop()
    tokens = sum(len(hyp.split()) for hyp in hyps)
    read = weight_bytes(model) * passes.number
    return {
        "strategy": strategy,
        "rows": rows,
        "seconds": took,
        "tokens": tokens,
        "tokens_per_second": tokens / took,
        "forward_passes": passes.number,
        "weights_share": read / took / (gb_per_second * 1e9),
        "peak": peak(),
    }


class Passes:
    """Counts forward passes of a model until `stop`."""

    def __init__(self, model: Any) -> None:
        self.number = 0
        self._handle = model.register_forward_pre_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.number += 1

    def stop(self) -> None:
        self._handle.remove()


def weight_bytes(model: Any) -> int:
    """Bytes that one forward pass reads of the weights; of the input embedding it reads a few rows."""
    embedding = model.get_input_embeddings().weight
    tied = model.get_output_embeddings().weight is embedding
    return sum(p.numel() * p.element_size() for p in model.parameters() if tied or p is not embedding)
