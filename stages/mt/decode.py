"""The one engine that translates: for backtranslation, for development decoding and for the test sets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mt.batched import halving
from mt.lm import line_ends
from mt.memory import Memory, Translation
from mt.prompt import Prompter
from mt.recall import recalled
from mt.sampling import draws
from mt.segments import Segment


@dataclass(frozen=True)
class Decoding:
    """How translations are searched for.

    A translation is at most `max_new_tokens` long, and at most `length_margin` tokens and `max_length_ratio` times its
    source. `batch_tokens` bounds prompts, translations and beams of a batch together; it changes speed and memory.
    """

    strategy: Literal["greedy", "beam", "sampling"]
    beams: int
    temperature: float
    top_p: float
    seed: int
    max_new_tokens: int
    max_length_ratio: float
    length_margin: int
    batch_tokens: int

    def __post_init__(self) -> None:
        if self.strategy == "beam" and self.beams < 2:
            raise ValueError(f"beams must be at least 2 where strategy is beam, not {self.beams}; or write greedy")
        if self.strategy != "beam" and self.beams != 1:
            raise ValueError(f"beams must be 1 where strategy is {self.strategy}, not {self.beams}; or write beam")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}; for no randomness write greedy")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], not {self.top_p}")
        for name in ("max_new_tokens", "batch_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.max_length_ratio < 0 or self.length_margin < 0 or self.max_length_ratio + self.length_margin == 0:
            raise ValueError("max_length_ratio and length_margin must not be negative, and not both 0")

    def limit(self, source_tokens: int) -> int:
        """At most so many tokens for a source of `source_tokens` tokens."""
        return min(self.max_new_tokens, self.length_margin + math.ceil(self.max_length_ratio * source_tokens))

    def draws(self, asked: Sequence[str], tokens: int, start: int, device: Any) -> Any:
        """Where it is sampling, what `mt.sampling.draws` gives for the rows, and else None."""
        if self.strategy != "sampling":
            return None
        return draws(self.seed, asked, tokens, start, self.temperature, self.top_p, device)


def translate(
    model: Any,
    tokenizer: Any,
    prompter: Prompter,
    segments: Sequence[Segment],
    decoding: Decoding,
    memory: Memory | None,
) -> list[str]:
    """The texts of `translations`."""
    return [made.text for made in translations(model, tokenizer, prompter, segments, decoding, memory)]


def translations(
    model: Any,
    tokenizer: Any,
    prompter: Prompter,
    segments: Sequence[Segment],
    decoding: Decoding,
    memory: Memory | None,
) -> list[Translation]:
    """Translate every segment: as many texts as segments, in their order, one line each, perhaps empty.

    Under a launcher the processes share the batches, which are the same whatever the number of processes, and each
    gets all texts.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer, whose padding is not its end of sequence.
        prompter: turns a segment into the text before its translation.
        segments: what to translate.
        decoding: how.
        memory: see `mt.recall.recalled`.

    Raises:
        InputError: not even one segment fits into memory.
    """
    texts = [(prompter.prompt(segment), prompter.source(segment)) for segment in segments]
    prompts = [tokenizer(prompt).input_ids for prompt, _ in texts]
    limits = [decoding.limit(len(tokenizer(source, add_special_tokens=False).input_ids)) for _, source in texts]
    costs = [(len(p) + limit) * decoding.beams for p, limit in zip(prompts, limits, strict=True)]
    asked = ["\0".join(both) for both in texts]
    engine = _Engine(model, tokenizer, decoding)

    def write(rows: list[int]) -> list[Translation]:
        return engine.generate([prompts[i] for i in rows], [limits[i] for i in rows], [asked[i] for i in rows])

    return recalled(memory, asked, costs, decoding.batch_tokens, lambda rows: halving(write, rows))


class _Engine:
    def __init__(self, model: Any, tokenizer: Any, decoding: Decoding) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._decoding = decoding
        self._stops = line_ends(tokenizer)

    def generate(self, prompts: list[list[int]], limits: list[int], asked: list[str]) -> list[Translation]:
        """Translations of one batch."""
        import torch

        from mt.search import Batch, beam, greedy

        beams = self._decoding.beams
        batch = Batch(self._model, prompts, limits, self._tokenizer.pad_token_id, beams)
        with torch.inference_mode():
            if self._decoding.strategy == "beam":
                written = beam(batch, limits, self._stops, beams)
            else:
                written = greedy(batch, limits, self._stops, self._decoding.draws(asked, max(limits), 0, batch.device))
        return [self._made(ids) for ids in written]

    def _made(self, ids: list[int]) -> Translation:
        # A piece may hold the end of the text and its line break together, so the cut is made in the text.
        ends = [i for i, token in enumerate(ids, start=1) if token in self._stops]
        text = self._tokenizer.decode(ids[: ends[0]] if ends else ids, skip_special_tokens=True)
        return Translation(" ".join(text.partition("\n")[0].split()), cut=not ends)


def row_limits(limits: list[int], start: int) -> Any:
    """A stopping criterion: each row ends its own number of tokens after `start`, in all of its beams."""
    import torch
    from transformers import StoppingCriteria

    class RowLimits(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
            bounds = torch.tensor(limits, device=input_ids.device)
            return input_ids.shape[1] - start >= bounds.repeat_interleave(len(input_ids) // len(limits))

    return RowLimits()
