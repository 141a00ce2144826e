"""The cache against transformers' own, which copies everything at every token."""

from typing import Any

import pytest
import torch
from transformers import DynamicCache

from mt.cache import preallocated
from tiny import windowed

PROMPTS, COPIES = 2, 3
IDS = (torch.arange(PROMPTS * COPIES * 12) % 50 + 5).reshape(PROMPTS * COPIES, 12)
PREFIX = torch.tensor([[7, 9, 11]])


@pytest.fixture(scope="module")
def model() -> Any:
    return windowed(60, 64)


def logits(model: Any, cache: Any, beams: list[int]) -> torch.Tensor:
    """[rows, 6, vocabulary]: a prompt of five tokens, then one after the other, and after each a reordering.

    transformers' cache is spread over the copies of a prompt by copying.
    """
    start = cache.get_seq_length()
    order = (torch.arange(PROMPTS)[:, None] * COPIES + torch.tensor(beams)).flatten()
    found = []
    with torch.inference_mode():
        model(input_ids=IDS[::COPIES, :5], past_key_values=cache, use_cache=True)
        if isinstance(cache, DynamicCache):
            cache.batch_repeat_interleave(COPIES)
        for i in range(5, 11):
            found.append(model(input_ids=IDS[:, i : i + 1], past_key_values=cache, use_cache=True).logits)
            cache.reorder_cache(order)
    assert cache.get_seq_length() == start + 11
    return torch.cat(found, dim=1)


def read(model: Any) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(input_ids=PREFIX, past_key_values=cache, use_cache=True)
    return cache


@pytest.mark.parametrize("prefixed", [False, True])
def test_prompts_may_be_read_some_at_a_time(model: Any, prefixed: bool) -> None:
    layers, prompts = model.config.num_hidden_layers, IDS[:, :5]
    whole, pieces = (preallocated(read(model) if prefixed else None, layers, len(IDS), 2, 1, True) for _ in range(2))
    with torch.inference_mode():
        model(input_ids=prompts, past_key_values=whole, use_cache=True)
        for part in torch.split(prompts, 4):
            model(input_ids=part, past_key_values=pieces, use_cache=True)
        for one, other in zip(whole.layers, pieces.layers, strict=True):
            new = [torch.zeros(len(IDS), 1, 1, 256) for _ in range(2)]
            for held, again in zip(one.update(*new), other.update(*new), strict=True):
                assert torch.allclose(held.whole(), again.whole(), atol=1e-5)


@pytest.mark.parametrize("beams", [[0, 1, 2], [2, 0, 0], [1, 1, 1]], ids=str)
@pytest.mark.parametrize("prefixed", [False, True])
def test_logits_are_those_of_a_cache_that_copies(model: Any, prefixed: bool, beams: list[int]) -> None:
    plain = read(model) if prefixed else DynamicCache(config=model.config)
    if prefixed:
        plain.batch_repeat_interleave(PROMPTS)
    cache = preallocated(
        read(model) if prefixed else None, model.config.num_hidden_layers, PROMPTS, 6, COPIES, parted=False
    )
    assert torch.equal(logits(model, cache, beams), logits(model, plain, beams))


def test_reordering_matters(model: Any) -> None:
    caches = (preallocated(None, model.config.num_hidden_layers, PROMPTS, 6, COPIES, parted=False) for _ in range(2))
    assert not torch.equal(logits(model, next(caches), [0, 1, 2]), logits(model, next(caches), [2, 0, 0]))


def test_a_token_too_many_is_refused(model: Any) -> None:
    cache = preallocated(None, model.config.num_hidden_layers, len(IDS), 1, 1, parted=False)
    with torch.inference_mode():
        for _ in range(2):
            model(input_ids=IDS[:, :1], past_key_values=cache, use_cache=True)
        with pytest.raises(RuntimeError):
            model(input_ids=IDS[:, :1], past_key_values=cache, use_cache=True)


def test_what_is_kept_goes_on_as_before(model: Any) -> None:
    """Prompt 0 goes, and the last one takes its place."""
    whole, kept = (
        preallocated(None, model.config.num_hidden_layers, PROMPTS, 3, COPIES, parted=False) for _ in range(2)
    )
    with torch.inference_mode():
        for cache in (whole, kept):
            model(input_ids=IDS[::COPIES, :5], past_key_values=cache, use_cache=True)
            model(input_ids=IDS[:, 5:6], past_key_values=cache, use_cache=True)
        expected = model(input_ids=IDS[:, 6:7], past_key_values=whole, use_cache=True).logits[COPIES:]
        for layer in kept.layers:
            layer.keep(1, torch.tensor([0]), torch.tensor([1]))
        assert torch.equal(model(input_ids=IDS[COPIES:, 6:7], past_key_values=kept, use_cache=True).logits, expected)


def test_what_rows_share_is_held_once(model: Any) -> None:
    """As bytes: a prefix for all, a prompt a prompt, and room for the next 16 tokens that are written a row."""
    cache = preallocated(read(model), model.config.num_hidden_layers, PROMPTS, 40, COPIES, parted=True)
    with torch.inference_mode():
        model(input_ids=IDS[::COPIES, :5], past_key_values=cache, use_cache=True)
        (keys, _) = cache.layers[0].update(*(torch.zeros(PROMPTS * COPIES, 1, 1, 256) for _ in range(2)))
    places = [part.untyped_storage().nbytes() // part.element_size() // part[0, :, 0].numel() for part in keys]
    assert places == [3, PROMPTS * 5, PROMPTS * COPIES * 16]
