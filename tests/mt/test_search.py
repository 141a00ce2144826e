"""The search against transformers' `generate`, one prompt at a time, whatever ends and wherever."""

from typing import Any

import pytest
import torch

import tiny
from mt import search
from mt.search import Batch, beam, common, greedy, highest

VOCABULARY = 60
PROMPTS = [[5, 9, 11, 20], [5, 9, 30], [5, 9, 11, 21, 44, 45], [5, 9, 31, 7], [5, 9, 12]]
PAD = 0


@pytest.fixture(scope="module", params=[1.0, 3.0], ids=["flat", "sharp"])
def model(request: Any) -> Any:
    """Random weights; those of the output made larger, so that finished beams end a search early."""
    made = tiny.windowed(VOCABULARY, 64)
    with torch.no_grad():
        made.model.norm.weight.copy_((1 + made.model.norm.weight) * request.param * 4 - 1)
    return made


def plain(model: Any, prompt: list[int], limit: int, stops: list[int], beams: int) -> list[int]:
    """What `generate` writes."""
    ids = torch.tensor([prompt])
    written = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=limit,
        num_beams=beams,
        do_sample=False,
        eos_token_id=stops,
        pad_token_id=PAD,
    )[0, len(prompt) :].tolist()
    ends = [i for i, token in enumerate(written, start=1) if token in stops]
    return written[: ends[0]] if ends else written


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("every", [3, 8, 1000])
@pytest.mark.parametrize("limits", [[9, 3, 12, 6, 1], [12] * 5, [37, 18, 3, 35, 20]], ids=["unlike", "alike", "long"])
def test_tokens_are_those_of_generate(model: Any, limits: list[int], every: int, beams: int) -> None:
    stops = [i for i in range(1, VOCABULARY) if i % every == 1]
    batch = Batch(model, PROMPTS, limits, PAD, beams)
    with torch.inference_mode():
        found = greedy(batch, limits, stops, None) if beams == 1 else beam(batch, limits, stops, beams)
    expected = [plain(model, prompt, limit, stops, beams) for prompt, limit in zip(PROMPTS, limits, strict=True)]
    assert found == expected


def test_tokens_are_those_of_generate_where_blocks_are_looked_through(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BLOCK", 7)
    test_tokens_are_those_of_generate(model, [9, 3, 12, 6, 1], 8, 3)


@pytest.mark.parametrize("number", [1, 3, 10])
@pytest.mark.parametrize("vocabulary", [10, 30, 64, 71, 1000])
@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_highest_are_those_of_topk(
    monkeypatch: pytest.MonkeyPatch, block: int, vocabulary: int, number: int
) -> None:
    monkeypatch.setattr(search, "BLOCK", block)
    numbers = torch.Generator().manual_seed(block)
    logits = torch.stack([torch.randperm(vocabulary, generator=numbers) for _ in range(20)]).float()
    logits[:, ::3] = -torch.inf
    logits[:, -1] = vocabulary
    for rows in (logits, logits.sort(descending=True).values, torch.cat([logits, logits], 1)[:, :vocabulary]):
        expected = rows.topk(min(number, vocabulary // 2))
        found = highest(rows, min(number, vocabulary // 2))
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("kind", ["sdpa", "eager"])
@pytest.mark.parametrize("window", [4, 8, 64])
def test_tokens_are_those_of_generate_in_any_window(kind: str, window: int, beams: int) -> None:
    """A window of 4 is shorter than most prompts, one of 8 than what becomes of them."""
    model = tiny.windowed(VOCABULARY, window)
    model.set_attn_implementation(kind)
    limits = [9, 3, 12, 6, 1]
    batch = Batch(model, PROMPTS, limits, PAD, beams)
    with torch.inference_mode():
        found = greedy(batch, limits, [1], None) if beams == 1 else beam(batch, limits, [1], beams)
    assert found == [plain(model, prompt, limit, [1], beams) for prompt, limit in zip(PROMPTS, limits, strict=True)]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(("tokens", "rows"), [(1, [1] * 5), (11, [2, 2, 1]), (20, [5])])
def test_prompts_are_read_so_many_tokens_at_once(
    tokens: int, rows: list[int], beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the shared beginning each is padded to 4 tokens."""
    model = tiny.windowed(VOCABULARY, 64)
    monkeypatch.setattr(search, "TOKENS", tokens)
    sizes = []
    handle = model.register_forward_pre_hook(
        lambda _, __, given: sizes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    batch = Batch(model, PROMPTS, [9] * 5, PAD, beams)
    with torch.inference_mode():
        found = greedy(batch, [9] * 5, [1], None) if beams == 1 else beam(batch, [9] * 5, [1], beams)
    handle.remove()
    assert sizes[1 : 1 + len(rows)] == [(number, 4) for number in rows]
    assert found == [plain(model, prompt, 9, [1], beams) for prompt in PROMPTS]


def test_a_window_changes_what_is_written() -> None:
    narrow, wide = (plain(tiny.windowed(VOCABULARY, window), PROMPTS[2], 12, [1], 1) for window in (8, 64))
    assert narrow != wide


def test_what_is_done_costs_nothing_more(model: Any) -> None:
    rows = []
    handle = model.register_forward_pre_hook(
        lambda _, __, given: rows.append(len(given["input_ids"])), with_kwargs=True
    )
    with torch.inference_mode():
        greedy(Batch(model, PROMPTS, [4, 1, 2, 1, 3], PAD, 1), [4, 1, 2, 1, 3], [], None)
    handle.remove()
    assert rows == [1, 5, 3, 2, 1]


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        pytest.param([[1, 2, 3], [1, 2, 4]], 2, id="beginning"),
        pytest.param([[1, 2], [1, 2]], 1, id="a token is left"),
        pytest.param([[1, 2], [1, 2, 3]], 1, id="the shorter one"),
        pytest.param([[1], [2]], 0, id="none"),
    ],
)
def test_common(prompts: list[list[int]], expected: int) -> None:
    assert common(prompts) == expected
