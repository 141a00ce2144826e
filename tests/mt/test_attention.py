"""Attention to parts against scaled_dot_product_attention to the whole."""

import math
from typing import Any

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from mt.attention import attend, parted, possible
from mt.cache import Parts
from tiny import gemma

PROMPTS, COPIES, SIZE = 2, 3, 8
ROWS = PROMPTS * COPIES


def drawn(heads: int, tokens: tuple[int, int, int], draws: torch.Generator) -> Parts:
    return Parts(
        *(
            torch.randn(rows, heads, each, SIZE, generator=draws)
            for rows, each in zip((1, PROMPTS, ROWS), tokens, strict=True)
        )
    )


@pytest.mark.parametrize("window", [None, 4, 100])
@pytest.mark.parametrize("tokens", [(3, 5, 2), (0, 5, 2), (3, 1, 1)], ids=str)
@pytest.mark.parametrize(("heads", "groups"), [(1, 1), (1, 4), (2, 3), (4, 1)])
def test_parts_are_as_the_whole(heads: int, groups: int, tokens: tuple[int, int, int], window: int | None) -> None:
    draws = torch.Generator().manual_seed(1)
    keys, values = drawn(heads, tokens, draws), drawn(heads, tokens, draws)
    query = torch.randn(ROWS, heads * groups, 1, SIZE, generator=draws)
    hidden = torch.rand(ROWS, 1, 1, sum(tokens), generator=draws) < 0.3
    hidden[..., -1] = False
    mask = torch.zeros(hidden.shape).masked_fill(hidden, -torch.inf)
    module: Any = torch.nn.Module()
    module.num_key_value_groups = groups
    found, _ = attend(module, query, keys, values, mask, scaling=0.3, sliding_window=window)
    if window:
        hidden[..., : max(0, sum(tokens) - window)] = True
    expected, _ = sdpa_attention_forward(module, query, keys.whole(), values.whole(), ~hidden, scaling=0.3)
    assert torch.allclose(found, expected, atol=1e-6)


def test_without_a_scale_it_is_that_of_the_head_size() -> None:
    draws = torch.Generator().manual_seed(1)
    keys, values = drawn(1, (0, 4, 1), draws), drawn(1, (0, 4, 1), draws)
    query, mask, module = torch.randn(ROWS, 2, 1, SIZE, generator=draws), torch.zeros(ROWS, 1, 1, 5), torch.nn.Module()
    found, _ = attend(module, query, keys, values, mask)
    assert torch.equal(found, attend(module, query, keys, values, mask, scaling=1 / math.sqrt(SIZE))[0])


def test_a_whole_is_each_row_s_text() -> None:
    whole = drawn(1, (3, 5, 2), torch.Generator().manual_seed(1)).whole()
    assert whole.shape == (ROWS, 1, 10, SIZE)
    assert torch.equal(whole[0, :, :8], whole[COPIES - 1, :, :8])
    assert torch.equal(whole[0, :, :3], whole[COPIES, :, :3])
    assert not torch.equal(whole[0, :, 3:8], whole[COPIES, :, 3:8])


def test_only_where_the_model_would_use_torch_s_own() -> None:
    model = gemma(60)
    assert possible(model)
    with parted(model):
        assert not possible(model)
    assert possible(model)
    model.config._attn_implementation = "eager"
    assert not possible(model)
