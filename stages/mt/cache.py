"""Keys and values while a batch is decoded: memory for all tokens at once, and one prefix that all rows share.

transformers' DynamicCache copies everything at every token, to append it and, in beam search, to reorder it. Here a
token is written into its place, only what follows the prompts is reordered, and a row that is done makes way for
another.
"""

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class PreallocatedLayer(DynamicLayer):  # type: ignore[misc]
    """One layer of the cache. The prompts are read first, a row each; from `spread` on each has `copies` rows.

    Args:
        prefix: keys and values of what all rows begin with, each [1, heads, prefix, head size]; may be empty.
        room: tokens that a row may hold, prefix included.
        copies: rows that continue one prompt, such as beams.
    """

    def __init__(self, prefix: tuple[torch.Tensor, torch.Tensor] | None, room: int, copies: int) -> None:
        super().__init__()
        self._prefix = prefix
        self._room, self._copies = room, copies
        self._length = prefix[0].shape[-2] if prefix else 0
        self._prompt = self._length
        self._spread = False

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take the memory of all rows, and write the prefix into each."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = (
            states.new_empty(states.shape[0] * self._copies, states.shape[1], self._room, states.shape[3])
            for states in (key_states, value_states)
        )
        if self._prefix:
            self.keys[:, :, : self._length] = self._prefix[0]
            self.values[:, :, : self._length] = self._prefix[1]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new tokens, each [rows, heads, tokens, head size]; returns those of all tokens so far, as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self._length = self._length, self._length + key_states.shape[-2]
        return self._written(self.keys, key_states, start), self._written(self.values, value_states, start)

    def _written(self, held: torch.Tensor, states: torch.Tensor, start: int) -> torch.Tensor:
        if self._spread:
            held[:, :, start : self._length] = states
            return held[:, :, : self._length]
        prompts = held.view(-1, self._copies, *held.shape[1:])
        prompts[:, :, :, start : self._length] = states.unsqueeze(1)
        return prompts[:, 0, :, : self._length]

    def get_seq_length(self) -> int:
        """Tokens in a row, prefix included."""
        return self._length

    def spread(self) -> None:
        """The prompts have been read: from here on every row is written on."""
        self._spread, self._prompt = True, self._length

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Put row `beam_idx[i]` in the place of row i; both continue one prompt, which stays where it is."""
        moved = (beam_idx != torch.arange(len(beam_idx), device=beam_idx.device)).nonzero()[:, 0]
        for states in (self.keys, self.values) if len(moved) else ():
            own = states[:, :, self._prompt : self._length]
            own[moved] = own[beam_idx[moved]]

    def keep(self, rows: int, holes: torch.Tensor, movers: torch.Tensor) -> None:
        """Keep the first `rows` rows once rows `movers` have been put in the places of `holes`."""
        for states in (self.keys, self.values) if len(holes) else ():
            states[holes, :, : self._length] = states[movers, :, : self._length]
        self.keys, self.values = self.keys[:rows], self.values[:rows]


def preallocated(prefix: Cache | None, layers: int, room: int, copies: int) -> Cache:
    """A cache of `layers` layers; `prefix` is one that holds a single row, with which all others begin, or None.

    Args:
        prefix: see `PreallocatedLayer`, as all that follows.
        layers: how many.
        room: tokens a row.
        copies: rows a prompt.
    """
    held = [None] * layers if prefix is None else [(layer.keys, layer.values) for layer in prefix.layers]
    return Cache(layers=[PreallocatedLayer(one, room, copies) for one in held])
