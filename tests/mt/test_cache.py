"""The cache against transformers' own, which copies everything at every token."""

from typing import Any

import pytest
import torch
from transformers import DynamicCache

from mt.cache import preallocated
from tiny import gemma

ROWS = 3
IDS = torch.arange(5, 5 + ROWS * 12).reshape(ROWS, 12)
PREFIX = torch.tensor([[7, 9, 11]])


@pytest.fixture(scope="module")
def model() -> Any:
    made = gemma(60)
    made.config.sliding_window = 64
    for layer in made.model.layers:
        layer.self_attn.sliding_window = 64 if layer.self_attn.is_sliding else None
    return made


def logits(model: Any, cache: Any, beams: list[int]) -> torch.Tensor:
    """[rows, 6, vocabulary]: five tokens at once, then one after the other, rows reordered before each of the last."""
    start = cache.get_seq_length()
    found = []
    with torch.inference_mode():
        model(input_ids=IDS[:, :5], past_key_values=cache, use_cache=True)
        for i in range(5, 11):
            cache.reorder_cache(torch.tensor(beams))
            found.append(model(input_ids=IDS[:, i : i + 1], past_key_values=cache, use_cache=True).logits)
    assert cache.get_seq_length() == start + 11
    return torch.cat(found, dim=1)


def read(model: Any) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(input_ids=PREFIX, past_key_values=cache, use_cache=True)
    return cache


@pytest.mark.parametrize("beams", [[0, 1, 2], [2, 0, 0], [1, 1, 1]], ids=str)
@pytest.mark.parametrize("prefixed", [False, True])
def test_logits_are_those_of_a_cache_that_copies(model: Any, prefixed: bool, beams: list[int]) -> None:
    plain = read(model) if prefixed else DynamicCache(config=model.config)
    if prefixed:
        plain.batch_repeat_interleave(ROWS)
    cache = preallocated(read(model) if prefixed else None, model.config.num_hidden_layers, 14 if prefixed else 11)
    assert torch.equal(logits(model, cache, beams), logits(model, plain, beams))


def test_reordering_matters(model: Any) -> None:
    caches = (preallocated(None, model.config.num_hidden_layers, 11) for _ in range(2))
    assert not torch.equal(logits(model, next(caches), [0, 1, 2]), logits(model, next(caches), [2, 0, 0]))


def test_a_token_too_many_is_refused(model: Any) -> None:
    cache = preallocated(None, model.config.num_hidden_layers, 4)
    with pytest.raises(RuntimeError), torch.inference_mode():
        model(input_ids=IDS[:, :5], past_key_values=cache, use_cache=True)
