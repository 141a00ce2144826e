"""mt.sampling: samples of the distribution that is asked for, each row's its own."""

from collections import Counter

import pytest
import torch

from mt.sampling import draws

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -30.0])


def drawn(texts, seed=1, temperature=1.0, top_p=1.0, step=0, logits=LOGITS):
    """The token that greedy search takes in each row."""
    processor = draws(seed, texts, step + 1, 3, temperature, top_p, torch.device("cpu"))
    ids = torch.zeros(len(texts), 3 + step, dtype=torch.long)
    return processor(ids, logits.expand(len(texts), -1)).argmax(-1).tolist()


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_tokens_come_as_often_as_their_probability_says(temperature):
    texts = [str(i) for i in range(20_000)]
    counts = Counter(drawn(texts, temperature=temperature))
    for token, expected in enumerate((LOGITS / temperature).softmax(-1).tolist()):
        assert counts[token] / len(texts) == pytest.approx(expected, abs=0.012)


def test_nothing_outside_the_nucleus_is_drawn():
    assert set(drawn([str(i) for i in range(2000)], top_p=0.8)) == {0, 1}
    assert set(drawn([str(i) for i in range(2000)], top_p=1e-6)) == {0}


def test_a_row_draws_alike_whatever_stands_beside_it():
    texts = [str(i) for i in range(50)]
    whole = drawn(texts)
    assert [drawn([text])[0] for text in texts] == whole
    assert drawn(texts[::-1]) == whole[::-1]


def test_seed_text_and_step_change_what_is_drawn():
    texts = [str(i) for i in range(50)]
    assert len({tuple(drawn(texts, seed=seed, step=step)) for seed in (1, 2) for step in (0, 1)}) == 4
    assert drawn(["a"] * 9) == drawn(["a"]) * 9
    assert len(set(drawn(texts))) > 1


def test_a_token_of_no_probability_is_never_drawn():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf])
    assert set(drawn([str(i) for i in range(2000)], logits=logits)) == {1, 3}
