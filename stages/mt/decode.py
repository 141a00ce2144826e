"""The one engine that translates: for backtranslation, for development decoding and for the test sets."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from tqdm import tqdm

from mt.errors import InputError
from mt.lm import batches, line_ends, pad_left
from mt.processes import count, index, is_main, share
from mt.prompt import Prompter
from mt.segments import Segment

R = TypeVar("R")


@dataclass(frozen=True)
class Decoding:
    """How translations are searched for.

    A translation is at most `max_new_tokens` long, and at most `length_margin` tokens and `max_length_ratio` times its
    source. `batch_tokens` bounds prompts, translations and beams of a batch together; it changes speed and memory, and
    what is drawn where strategy is sampling.
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


def translate(
    model: Any, tokenizer: Any, prompter: Prompter, segments: Sequence[Segment], decoding: Decoding
) -> list[str]:
    """Translate every segment: as many texts as segments, in their order, one line each, perhaps empty.

    Under a launcher the processes share the batches, which are the same whatever the number of processes, and each
    gets all texts.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer, whose padding is not its end of sequence.
        prompter: turns a segment into the text before its translation.
        segments: what to translate.
        decoding: how.

    Raises:
        InputError: not even one segment fits into memory.
    """
    prompts = [tokenizer(prompter.prompt(segment)).input_ids for segment in segments]
    sources = [tokenizer(prompter.source(segment), add_special_tokens=False).input_ids for segment in segments]
    limits = [decoding.limit(len(source)) for source in sources]
    costs = [(len(p) + limit) * decoding.beams for p, limit in zip(prompts, limits, strict=True)]
    engine = _Engine(model, tokenizer, decoding)
    grouped = batches(costs, decoding.batch_tokens)
    mine = sum(map(len, grouped[index() :: count()]))
    with tqdm(total=mine, unit="segment", desc="translate", delay=2, disable=not is_main()) as bar:

        def write(batch: list[int]) -> list[str]:
            texts = engine.generate([prompts[i] for i in batch], [limits[i] for i in batch], batch[0])
            bar.update(len(batch))
            return texts

        written = share(grouped, write)
    hyps = [""] * len(prompts)
    for batch, texts in zip(grouped, written, strict=True):
        for i, text in zip(batch, texts, strict=True):
            hyps[i] = text
    return hyps


def halving(do: Callable[[list[int]], list[R]], rows: list[int]) -> list[R]:
    """The results of `do(rows)`; out of memory, of its halves one after the other.

    Raises:
        InputError: not even one row fits into memory.
    """
    import torch

    try:
        return do(rows)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        if len(rows) == 1:
            raise InputError(
                "out of memory at a single segment; lower prompt.shots, decode.beams or decode.max_new_tokens"
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(rows) // 2
    return halving(do, rows[:middle]) + halving(do, rows[middle:])


class _Engine:
    def __init__(self, model: Any, tokenizer: Any, decoding: Decoding) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._decoding = decoding
        self._stops = line_ends(tokenizer)

    def generate(self, prompts: list[list[int]], limits: list[int], salt: int) -> list[str]:
        """Translations of one batch; out of memory, of its halves one after the other."""

        def write(rows: list[int]) -> list[str]:
            return self._generate([prompts[i] for i in rows], [limits[i] for i in rows], salt + rows[0])

        return halving(write, list(range(len(prompts))))

    def _generate(self, prompts: list[list[int]], limits: list[int], salt: int) -> list[str]:
        import torch
        from transformers import GenerationConfig, StoppingCriteriaList

        decoding = self._decoding
        device = self._model.device
        preallocate = self._fits_window(max(map(len, prompts)) + max(limits))
        shared = common(prompts) if preallocate else 0
        rests = [prompt[shared:] for prompt in prompts]
        head = torch.tensor(prompts[0][:shared], dtype=torch.long).expand(len(prompts), -1)
        ids = torch.cat([head, pad_left(rests, self._tokenizer.pad_token_id)], 1).to(device)
        mask = torch.cat([torch.ones_like(head), pad_left([[1] * len(rest) for rest in rests], 0)], 1).to(device)
        sampling = {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
        config = GenerationConfig(
            **(sampling if decoding.strategy == "sampling" else {"do_sample": False}),
            max_new_tokens=max(limits),
            num_beams=decoding.beams,
            eos_token_id=self._stops,
            pad_token_id=self._tokenizer.pad_token_id,
            bos_token_id=self._tokenizer.bos_token_id,
        )
        # Decoding between epochs must not move, or set back, the random numbers that training draws.
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.inference_mode():
            torch.manual_seed(decoding.seed + salt)
            written = self._model.generate(
                ids,
                attention_mask=mask,
                past_key_values=self._cache(prompts[0][:shared], ids.shape[1] + max(limits)) if preallocate else None,
                generation_config=config,
                use_model_defaults=False,
                stopping_criteria=StoppingCriteriaList([row_limits(limits, ids.shape[1])]),
            )
        return [self._text(row[:limit]) for row, limit in zip(written[:, ids.shape[1] :].tolist(), limits, strict=True)]

    def _fits_window(self, tokens: int) -> bool:
        """Whether rows of so many tokens fit into every layer's window.

        Where they do not, padding between the shared prefix and the rest would count in the window.
        """
        window = getattr(self._model.config, "sliding_window", None)
        return not window or tokens <= window

    def _cache(self, prefix: list[int], room: int) -> Any:
        """Room for the keys and values of every row, which all begin with `prefix`."""
        import torch
        from transformers import DynamicCache

        from mt.cache import preallocated

        read = None
        if prefix:
            read = DynamicCache(config=self._model.config)
            ids = torch.tensor([prefix], device=self._model.device)
            self._model(input_ids=ids, past_key_values=read, use_cache=True, logits_to_keep=1)
        return preallocated(read, self._model.config.num_hidden_layers, room)

    def _text(self, ids: list[int]) -> str:
        # A piece may hold the end of the text and its line break together, so the cut is made in the text.
        ends = [i for i, token in enumerate(ids, start=1) if token in self._stops]
        text = self._tokenizer.decode(ids[: ends[0]] if ends else ids, skip_special_tokens=True)
        return " ".join(text.partition("\n")[0].split())


def common(prompts: list[list[int]]) -> int:
    """How many tokens in front of every prompt, such as examples, are read once for all; a token of each is left."""
    most = min(map(len, prompts)) - 1
    return next((i for i in range(most) if len({prompt[i] for prompt in prompts}) > 1), most)


def row_limits(limits: list[int], start: int) -> Any:
    """A stopping criterion: each row ends its own number of tokens after `start`, in all of its beams."""
    import torch
    from transformers import StoppingCriteria

    class RowLimits(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
            bounds = torch.tensor(limits, device=input_ids.device)
            return input_ids.shape[1] - start >= bounds.repeat_interleave(len(input_ids) // len(limits))

    return RowLimits()


def _out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
