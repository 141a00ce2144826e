"""Greedy and beam search over a batch that shrinks: what is done leaves it, and costs nothing more.

The rules, and so the tokens, are those of transformers' `generate` (4.57, generation/utils.py) with its defaults: a
finished beam counts by its mean log-probability a token, and a source is done when its best running beam is worse than
as many finished ones as there are beams.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from transformers import DynamicCache

from mt.attention import parted, possible
from mt.cache import preallocated
from mt.lm import pad_left, positions

NEVER = -1.0e9
"""The score of a beam that is none."""

TOKENS = 2048
"""So many tokens of prompts are read at once, padding included, or those of one row: what a layer computes stays small,
and a CPU need not take fresh memory for it every time."""


BLOCK = 128
"""So many logits are looked through for their highest before they are compared with others."""


class Batch:
    """Prompts that a model continues together, `copies` rows each, a token of each row at a time.

    Args:
        model: a causal language model in evaluation mode.
        prompts: ids, at least one each.
        limits: the most tokens that each continuation may have.
        pad: the padding id.
        copies: rows a prompt.
    """

    def __init__(self, model: Any, prompts: Sequence[list[int]], limits: Sequence[int], pad: int, copies: int) -> None:
        self._model, self._prompts, self._pad, self._copies = model, prompts, pad, copies
        self._room = max(limits)
        self._parted = possible(model)
        # As a number it would be a slice, with which the output layer reads its weights once for every row.
        self._last = torch.tensor([-1], device=self.device)

    @property
    def device(self) -> torch.device:
        """The model's."""
        device: torch.device = self._model.device
        return device

    def begin(self) -> torch.Tensor:
        """Read the prompts; the logits of what follows each, [prompts, vocabulary]."""
        shared = common(self._prompts) if self._fits_window() else 0
        rests = [prompt[shared:] for prompt in self._prompts]
        ids = pad_left(rests, self._pad).to(self.device)
        known = pad_left([[1] * len(rest) for rest in rests], 0)
        mask = torch.cat([torch.ones(len(rests), shared, dtype=torch.long), known], 1).to(self.device)
        prefix = self._read_prefix(self._prompts[0][:shared]) if shared else None
        layers = self._model.config.num_hidden_layers
        self._cache = preallocated(prefix, layers, len(rests), self._room, self._copies, self._parted)
        parts = (torch.split(one, max(1, TOKENS // ids.shape[1])) for one in (ids, mask, positions(mask)[:, shared:]))
        logits = torch.cat([self._read(*part) for part in zip(*parts, strict=True)])
        mask = torch.nn.functional.pad(mask, (0, self._room), value=1).repeat_interleave(self._copies, 0)
        self._next = mask.sum(-1, keepdim=True) - self._room
        self._mask = mask
        if self._parted:
            hidden = torch.zeros(mask.shape, dtype=self._model.dtype, device=self.device)
            self._mask = hidden.masked_fill(mask == 0, -torch.inf)[:, None, None]
        return logits

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one more token of each row, [rows]; the logits of what follows, [rows, vocabulary]."""
        length = self._cache.get_seq_length() + 1
        with parted(self._model) if self._parted else nullcontext():
            logits = self._read(tokens[:, None], self._mask[..., :length], self._next)
        self._next = self._next + 1
        return logits

    def keep(self, left: torch.Tensor) -> torch.Tensor:
        """Let the prompts go that are not among `left`, [prompts]; returns the old places of those that stay.

        The last ones take the places of those that go, so that few rows are copied.
        """
        number = int(left.sum())
        order = torch.arange(number, device=left.device)
        order[~left[:number]] = left[number:].nonzero()[:, 0] + number
        holes = (order != torch.arange(number, device=left.device)).nonzero()[:, 0]
        for layer in self._cache.layers:
            layer.keep(number, holes, order[holes])
        rows = (order[:, None] * self._copies + torch.arange(self._copies, device=left.device)).flatten()
        self._mask, self._next = self._mask[rows], self._next[rows]
        return order

    def reorder(self, copy: torch.Tensor) -> None:
        """Let row `copy[i, j]` of prompt i take the place of its row j; [prompts, copies]."""
        first = torch.arange(len(copy), device=copy.device)[:, None] * self._copies
        self._cache.reorder_cache((first + copy).flatten())

    def _read(self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        found = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=self._last,
        )
        logits: torch.Tensor = found.logits[:, -1].float()
        return logits

    def _read_prefix(self, prefix: list[int]) -> DynamicCache:
        read = DynamicCache(config=self._model.config)
        ids = torch.tensor([prefix], device=self.device)
        self._model(input_ids=ids, past_key_values=read, use_cache=True, logits_to_keep=self._last)
        return read

    def _fits_window(self) -> bool:
        """Whether all of the text fits into every layer's window.

        Where it does not, padding between the shared prefix and the rest would count in the window.
        """
        window = getattr(self._model.config, "sliding_window", None)
        return not window or max(map(len, self._prompts)) + self._room <= window


def common(prompts: Sequence[list[int]]) -> int:
    """How many tokens in front of every prompt, such as examples, are read once for all; a token of each is left."""
    most = min(map(len, prompts)) - 1
    return next((i for i in range(most) if len({prompt[i] for prompt in prompts}) > 1), most)


def greedy(batch: Batch, limits: Sequence[int], stops: Sequence[int], draws: Any) -> list[list[int]]:
    """The most likely token, again and again; ids of each continuation, with the stop that ends it.

    Args:
        batch: made with the same limits, and one row a prompt.
        limits: the most tokens of each.
        stops: ids that end a continuation.
        draws: what `mt.sampling.draws` gives for the rows, to choose instead; or None.
    """
    device = batch.device
    found: list[list[int]] = [[] for _ in limits]
    asked = torch.arange(len(limits), device=device)
    bounds, ends = torch.tensor(limits, device=device), torch.tensor(stops, device=device)
    written = torch.zeros(len(limits), max(limits), dtype=torch.long, device=device)
    logits, length = batch.begin(), 0
    while True:
        length += 1
        tokens = (draws(written[:, : length - 1], logits) if draws else logits).argmax(-1)
        written[:, length - 1] = tokens
        done = torch.isin(tokens, ends) | (bounds <= length)
        if done.any():
            for i, ids in zip(asked[done].tolist(), written[done, :length].tolist(), strict=True):
                found[i] = ids
            if done.all():
                return found
            order = batch.keep(~done)
            asked, bounds, written, tokens = (one[order] for one in (asked, bounds, written, tokens))
            if draws:
                draws.keep(order)
        logits = batch.read(tokens)


def beam(batch: Batch, limits: Sequence[int], stops: Sequence[int], beams: int) -> list[list[int]]:
    """Beam search; ids of the best continuation of each prompt, with the stop that ends it.

    Args:
        batch: made with the same limits, and `beams` rows a prompt.
        limits: the most tokens of each.
        stops: ids that end a continuation.
        beams: how many are followed.
    """
    state = _Beams(limits, stops, beams, batch.device)
    logits = batch.begin()
    while True:
        copy, tokens, done = state.step(logits)
        if done.any():
            if done.all():
                return state.found
            order = batch.keep(~done)
            state.keep(order)
            copy, tokens = copy[order], tokens[order]
        batch.reorder(copy)
        logits = batch.read(tokens.flatten())


def highest(logits: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The highest logits of each row, [rows, vocabulary], and their ids, [rows, number] each: what `topk` gives.

    They are in as many blocks as have the highest maxima, or in the rest that fills no block; on a CPU that is found
    several times as fast.
    """
    rows, vocabulary = logits.shape
    blocks = vocabulary // BLOCK
    if blocks <= number:
        values, ids = logits.topk(number)
        return values, ids
    chosen = logits[:, : blocks * BLOCK].view(rows, blocks, BLOCK).amax(-1).topk(number).indices
    columns = torch.arange(vocabulary, device=logits.device)
    inside = columns[:BLOCK] + BLOCK * chosen[..., None]
    candidates = torch.cat([inside.flatten(1), columns[blocks * BLOCK :].expand(rows, -1)], 1)
    values, places = logits.gather(1, candidates).topk(number)
    return values, candidates.gather(1, places)


class _Beams:
    """Running and finished beams of every prompt that is not done; only the first beam of a prompt runs at first."""

    def __init__(self, limits: Sequence[int], stops: Sequence[int], beams: int, device: torch.device) -> None:
        self.found: list[list[int]] = [[] for _ in limits]
        self._beams, self._length = beams, 0
        self._stops = torch.tensor(stops, device=device)
        self._asked = torch.arange(len(limits), device=device)
        self._bounds = torch.tensor(limits, device=device)
        self._running = torch.zeros(len(limits), 1, device=device)
        self._written = torch.zeros(len(limits), 1, max(limits), dtype=torch.long, device=device)
        self._finished = torch.full((len(limits), beams), NEVER, device=device)

    def step(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Write a token; returns the beams it continues and the tokens, [prompts, beams], and who is done, [prompts].

        Args:
            logits: [prompts x running beams, vocabulary]; those of stops are overwritten.
        """
        self._length += 1
        norm = logits.logsumexp(-1, keepdim=True)
        ending = self._summed(logits[:, self._stops] - norm)
        logits[:, self._stops] = -torch.inf
        most, ids = highest(logits, self._beams)
        going, ids = self._summed(most - norm), ids.reshape(len(self._asked), -1)
        self._finish(going, ids, ending)
        self._running, at = going.topk(self._beams)
        copy, tokens = at // self._beams, ids.gather(1, at)
        self._written = self._written.gather(1, copy[..., None].expand(-1, -1, self._written.shape[2]))
        self._written[:, :, self._length - 1] = tokens
        hopeless = self._running[:, 0] / self._length <= self._finished.min(-1).values
        return copy, tokens, hopeless | (self._bounds <= self._length)

    def keep(self, order: torch.Tensor) -> None:
        """As `Batch.keep` has ordered the prompts."""
        self._asked, self._bounds, self._running, self._written, self._finished = (
            one[order] for one in (self._asked, self._bounds, self._running, self._written, self._finished)
        )

    def _summed(self, steps: torch.Tensor) -> torch.Tensor:
        """The beams' log-probabilities, [prompts, running beams x candidates], from those of their last tokens."""
        return (steps.view(*self._running.shape, -1) + self._running[..., None]).flatten(1)

    def _finish(self, going: torch.Tensor, ids: torch.Tensor, ending: torch.Tensor) -> None:
        """Take those of the best candidates that end; at its limit every one does."""
        best, places = torch.cat([going, ending], 1).topk(self._beams)
        ends = (places >= going.shape[1]) | (self._bounds <= self._length)[:, None]
        means = (best / self._length).masked_fill(~ends, NEVER)
        mean, which = means.max(-1)
        better = (mean > self._finished.max(-1).values).nonzero()[:, 0]
        self._finished = torch.cat([self._finished, means], 1).topk(self._beams).values
        width = self._running.shape[1]
        tokens = torch.cat([ids, self._stops.repeat(len(ids), width)], 1)
        beams = torch.arange(width, device=ids.device)
        beams = torch.cat([beams.repeat_interleave(self._beams), beams.repeat_interleave(len(self._stops))])
        chosen = places[better, which[better]]
        heads = self._written[better, beams[chosen], : self._length - 1]
        whole = torch.cat([heads, tokens[better, chosen][:, None]], 1)
        for i, row in zip(self._asked[better].tolist(), whole.tolist(), strict=True):
            self.found[i] = row
