"""Keys and values while a batch is decoded: what rows share is held once, and read once for all of them.

transformers' DynamicCache copies everything at every token, to append it and, in beam search, to reorder it. Here a
token is written into its place, only what follows the prompts is reordered, and a row that is done makes way for
another. For attention that does not take parts everything is copied at every token all the same.
"""

from typing import Any, NamedTuple

import torch
from transformers.cache_utils import Cache, DynamicLayer

TOKENS = 16
"""For so many more at a time is memory taken on a CPU: by then some rows are done, and need none."""


class Parts(NamedTuple):
    """Keys or values of a layer, each [rows, heads, tokens, head size], in the order of the text.

    Args:
        prefix: of what all rows begin with; one row, perhaps no tokens.
        prompts: of what follows it in each prompt.
        own: of what follows the prompts; as many rows a prompt as continue it.
    """

    prefix: torch.Tensor
    prompts: torch.Tensor
    own: torch.Tensor

    def whole(self) -> torch.Tensor:
        """One tensor, [rows, heads, tokens, head size]."""
        rows = len(self.own)
        return torch.cat([part.repeat_interleave(rows // len(part), 0) for part in self], -2)


class PreallocatedLayer(DynamicLayer):  # type: ignore[misc]
    """One layer of the cache. The prompts are read first, a row each; from then on each has `copies` rows.

    Args:
        prefix: keys and values of what all rows begin with, each [1, heads, prefix, head size]; or None.
        prompts: how many; they may be read some rows at a time, all padded to one length.
        room: tokens that may follow a prompt.
        copies: rows that continue one prompt, such as beams.
        parted: whether attention takes `Parts`, see mt/attention.py, or whole tensors.
    """

    def __init__(
        self, prefix: tuple[torch.Tensor, torch.Tensor] | None, prompts: int, room: int, copies: int, parted: bool
    ) -> None:
        super().__init__()
        self._prefix: tuple[torch.Tensor, ...] = prefix or ()
        self._unread, self._room, self._copies, self._parted = prompts, room, copies, parted
        self._length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take the memory for the prompts."""
        self.dtype, self.device = key_states.dtype, key_states.device
        states = key_states, value_states
        self._prefix = self._prefix or tuple(one[:1, :, :0] for one in states)
        self._prompts = tuple(one.new_empty(self._unread, *one.shape[1:]) for one in states)
        self._own = tuple(one.new_empty(self._unread * self._copies, one.shape[1], 0, one.shape[3]) for one in states)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Any, Any]:
        """Write new tokens, each [rows, heads, tokens, head size]; returns those of all tokens so far.

        The prompts come first, and are given back as whole tensors; then comes one token a row at a time.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self._unread:
            return self._begin((key_states, value_states))
        if self._length == self._own[0].shape[-2]:
            self._own = tuple(self._grown(own) for own in self._own)
        for held, states in zip(self._own, (key_states, value_states), strict=True):
            held.narrow(-2, self._length, 1).copy_(states)
        self._length += 1
        triples = zip(self._prefix, self._prompts, self._own, strict=True)
        keys, values = (Parts(prefix, prompts, own[:, :, : self._length]) for prefix, prompts, own in triples)
        return (keys, values) if self._parted else (keys.whole(), values.whole())

    def get_seq_length(self) -> int:
        """Tokens in a row, prefix included; of the prefix alone until all prompts are read."""
        before = self._prefix[0].shape[-2] if self._prefix else 0
        return before if self._unread else before + self._prompts[0].shape[-2] + self._length

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Put row `beam_idx[i]` in the place of row i; both continue one prompt, which stays where it is."""
        moved = (beam_idx != torch.arange(len(beam_idx), device=beam_idx.device)).nonzero()[:, 0]
        for states in self._own if len(moved) else ():
            own = states[:, :, : self._length]
            own[moved] = own[beam_idx[moved]]

    def keep(self, number: int, holes: torch.Tensor, movers: torch.Tensor) -> None:
        """Keep the first `number` prompts and their rows, once prompts `movers` have taken the places of `holes`."""
        for states in self._prompts if len(holes) else ():
            states[holes] = states[movers]
        for states in self._own if len(holes) else ():
            own = states.view(len(states) // self._copies, self._copies, *states.shape[1:])[..., : self._length, :]
            own[holes] = own[movers]
        self._prompts = tuple(states[:number] for states in self._prompts)
        self._own = tuple(states[: number * self._copies] for states in self._own)

    def _begin(self, states: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = len(states[0])
        at = len(self._prompts[0]) - self._unread
        for held, one in zip(self._prompts, states, strict=True):
            held[at : at + rows] = one
        self._unread -= rows
        pairs = zip(self._prefix, states, strict=True)
        keys, values = (torch.cat([prefix.expand(rows, -1, -1, -1), one], -2) for prefix, one in pairs)
        return keys, values

    def _grown(self, own: torch.Tensor) -> torch.Tensor:
        rows, heads, _, size = own.shape
        # A GPU's allocator would keep every smaller one.
        tokens = min(self._length + TOKENS, self._room) if own.device.type == "cpu" else self._room
        larger = own.new_empty(rows, heads, tokens, size)
        larger[:, :, : self._length] = own
        return larger


def preallocated(prefix: Cache | None, layers: int, prompts: int, room: int, copies: int, parted: bool) -> Cache:
    """A cache of `layers` layers; `prefix` is one that holds a single row, with which all others begin, or None.

    Args:
        prefix: see `PreallocatedLayer`, as all that follows.
        layers: how many.
        prompts: how many.
        room: tokens that may follow a prompt.
        copies: rows a prompt.
        parted: whether attention takes `Parts`.
    """
    held = [None] * layers if prefix is None else [(layer.keys, layer.values) for layer in prefix.layers]
    return Cache(layers=[PreallocatedLayer(one, prompts, room, copies, parted) for one in held])
