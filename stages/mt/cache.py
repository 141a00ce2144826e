"""Keys and values while a batch is decoded: what rows share is held once, and read once for all of them.

transformers' DynamicCache copies everything at every token, to append it and, in beam search, to reorder it. Here a
token is written into its place, only what follows the prompts is reordered, and a row that is done makes way for
another. For attention that does not take parts everything is copied at every token all the same.
"""

from typing import Any, NamedTuple

import torch
from transformers.cache_utils import Cache, DynamicLayer


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
        room: tokens that may follow a prompt.
        copies: rows that continue one prompt, such as beams.
        parted: whether attention takes `Parts`, see mt/attention.py, or whole tensors.
    """

    def __init__(self, prefix: tuple[torch.Tensor, torch.Tensor] | None, room: int, copies: int, parted: bool) -> None:
        super().__init__()
        self._prefix: tuple[torch.Tensor, ...] = prefix or ()
        self._room, self._copies, self._parted = room, copies, parted
        self._before = prefix[0].shape[-2] if prefix else 0
        self._length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take what the prompts hold, and the memory for what follows them."""
        self.dtype, self.device = key_states.dtype, key_states.device
        states = key_states, value_states
        self._prefix = self._prefix or tuple(one[:1, :, :0] for one in states)
        self._prompts = tuple(one.contiguous() for one in states)
        self._own = tuple(
            one.new_empty(one.shape[0] * self._copies, one.shape[1], self._room, one.shape[3]) for one in states
        )
        self._before += key_states.shape[-2]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Any, Any]:
        """Write new tokens, each [rows, heads, tokens, head size]; returns those of all tokens so far.

        The prompts come first, and are given back as whole tensors.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            pairs = zip(self._prefix, self._prompts, strict=True)
            whole = [torch.cat([one.expand(len(two), -1, -1, -1), two], -2) for one, two in pairs]
            return whole[0], whole[1]
        tokens = key_states.shape[-2]
        for held, states in zip(self._own, (key_states, value_states), strict=True):
            held.narrow(-2, self._length, tokens).copy_(states)
        self._length += tokens
        triples = zip(self._prefix, self._prompts, self._own, strict=True)
        keys, values = (Parts(prefix, prompts, own[:, :, : self._length]) for prefix, prompts, own in triples)
        return (keys, values) if self._parted else (keys.whole(), values.whole())

    def get_seq_length(self) -> int:
        """Tokens in a row, prefix included."""
        return self._before + self._length

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
            own = states.view(-1, self._copies, *states.shape[1:])[..., : self._length, :]
            own[holes] = own[movers]
        self._prompts = tuple(states[:number] for states in self._prompts)
        self._own = tuple(states[: number * self._copies] for states in self._own)


def preallocated(prefix: Cache | None, layers: int, room: int, copies: int, parted: bool) -> Cache:
    """A cache of `layers` layers; `prefix` is one that holds a single row, with which all others begin, or None.

    Args:
        prefix: see `PreallocatedLayer`, as all that follows.
        layers: how many.
        room: tokens that may follow a prompt.
        copies: rows a prompt.
        parted: whether attention takes `Parts`.
    """
    held = [None] * layers if prefix is None else [(layer.keys, layer.values) for layer in prefix.layers]
    return Cache(layers=[PreallocatedLayer(one, room, copies, parted) for one in held])
