"""mt.estimator: embeddings by text, an estimator that learns from them, a checkpoint that says the same."""

import pytest
import torch

import mt.bf32
import tiny_comet
from mt.estimator import Embeddings, Example, embed, estimates, new_metric, reader, train

TEXTS = [pair["tgt"] for pair in tiny_comet.PAIRS[:12]]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_comet.save_encoder(tmp_path_factory.mktemp("encoder"))


def examples():
    """Each reference against itself and against another one."""
    pairs = tiny_comet.PAIRS[:12]
    found = []
    for pair, other in zip(pairs, TEXTS[5:] + TEXTS[:5], strict=True):
        found += [Example(pair["src"], pair["tgt"], pair["tgt"], 1.0), Example(pair["src"], other, pair["tgt"], 0.0)]
    return found


def embedded(encoder):
    metric = new_metric(encoder, tiny_comet.TRAINING)
    return metric, embed(metric.encoder, [text for one in examples() for text in (one.src, one.mt, one.ref)], 4)


def test_the_batch_changes_no_embedding(encoder):
    metric = new_metric(encoder, tiny_comet.TRAINING)
    small, large = embed(metric.encoder, TEXTS, 2), embed(metric.encoder, [*TEXTS, *TEXTS], 64)
    assert small.rows == large.rows
    assert set(small.rows) == set(TEXTS)
    torch.testing.assert_close(small.vectors, large.vectors, rtol=1e-4, atol=1e-5)


def test_a_reader_in_bf32_leaves_the_checkpoint_as_it_was(encoder, monkeypatch):
    monkeypatch.setattr(mt.bf32, "available", lambda: True)
    metric = new_metric(encoder, tiny_comet.TRAINING)
    before = {name: weights.clone() for name, weights in metric.state_dict().items()}
    readers = [reader(metric, precision) for precision in ("float32", "bf32")]
    assert len({one.model.get_input_embeddings().weight.data_ptr() for one in readers}) == 1
    exact, found = (embed(one, TEXTS, 2).vectors for one in readers)
    assert not torch.equal(exact, found)
    assert torch.cosine_similarity(exact.flatten(1), found.flatten(1)).min() > 0.999
    assert all(torch.equal(weights, before[name]) for name, weights in metric.state_dict().items())
    torch.testing.assert_close(embed(metric.encoder, TEXTS, 2).vectors, exact, rtol=0, atol=0)


def test_joined_embeddings_keep_each_text_at_its_vector():
    one = Embeddings(torch.tensor([[[1.0]], [[2.0]]]), {"a": 0, "b": 1})
    two = Embeddings(torch.tensor([[[3.0]]]), {"c": 0})
    joined = one.joined(two)
    assert {text: float(joined.vectors[row, 0, 0]) for text, row in joined.rows.items()} == {"a": 1, "b": 2, "c": 3}


def test_nearest_is_another_text_that_is_most_alike():
    vectors = torch.tensor([[[1.0, 0.0]], [[0.9, 0.1]], [[-1.0, 0.2]], [[-0.9, 0.3]]])
    found = Embeddings(vectors, {"a": 0, "b": 1, "c": 2, "d": 3}).nearest(["a", "b", "c", "d", "a"])
    assert found == [1, 0, 3, 2, 1]


def test_training_lowers_the_error_and_leaves_the_encoder_alone(encoder):
    metric, embeddings = embedded(encoder)
    before = {name: value.clone() for name, value in metric.encoder.state_dict().items()}

    def error():
        scores = estimates(metric, examples(), embeddings, 5)
        return sum((score - one.score) ** 2 for score, one in zip(scores, examples(), strict=True))

    untrained = error()
    train(metric, examples(), embeddings, tiny_comet.TRAINING)
    assert error() < untrained
    assert all(torch.equal(before[name], value) for name, value in metric.encoder.state_dict().items())


def test_training_follows_its_seed(encoder):
    scores = []
    for _ in range(2):
        metric, embeddings = embedded(encoder)
        train(metric, examples(), embeddings, tiny_comet.TRAINING)
        scores.append(estimates(metric, examples(), embeddings, 7))
    assert scores[0] == scores[1]
