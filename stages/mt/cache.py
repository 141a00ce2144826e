"""Keys and values while a batch is decoded: memory for all tokens at once, and one prefix that all rows share.

transformers' DynamicCache copies everything at every token, to append it and, in beam search, to reorder it. Here a
token is written into its place, and only what follows the prefix is reordered.
"""

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class PreallocatedLayer(DynamicLayer):  # type: ignore[misc]
    """One layer of the cache.

    Args:
        prefix: keys and values of what all rows begin with, each [1, heads, prefix, head size]; may be empty.
        room: tokens that a row may hold, prefix included.
    """

    def __init__(self, prefix: tuple[torch.Tensor, torch.Tensor] | None, room: int) -> None:
        super().__init__()
        self._prefix = prefix
        self._room = room
        self._start = prefix[0].shape[-2] if prefix else 0
        self._length = self._start

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take the memory of all rows, and write the prefix into each."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = (
            states.new_empty(*states.shape[:2], self._room, states.shape[3]) for states in (key_states, value_states)
        )
        if self._prefix:
            self.keys[:, :, : self._start] = self._prefix[0]
            self.values[:, :, : self._start] = self._prefix[1]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new tokens, each [rows, heads, tokens, head size]; returns those of all tokens so far, as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._length + key_states.shape[-2]
        self.keys[:, :, self._length : end] = key_states
        self.values[:, :, self._length : end] = value_states
        self._length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Tokens in a row, prefix included."""
        return self._length

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Put row `beam_idx[i]` in the place of row i; what all rows share stays where it is."""
        for states in (self.keys, self.values) if self.is_initialized else ():
            own = states[:, :, self._start : self._length]
            own.copy_(own.index_select(0, beam_idx.to(own.device)))


def preallocated(prefix: Cache | None, layers: int, room: int) -> Cache:
    """A cache of `layers` layers for rows of up to `room` tokens, which begin with what `prefix`, of one row, holds."""
    held = [None] * layers if prefix is None else [(layer.keys, layer.values) for layer in prefix.layers]
    return Cache(layers=[PreallocatedLayer(one, room) for one in held])
