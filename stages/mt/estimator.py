"""A small COMET checkpoint: unbabel-comet's RegressionMetric on a frozen encoder, its estimator learnt from examples.

With the encoder frozen and no layer normalisation in the layer mix, a sentence embedding is the mix of the layers' mean
vectors: these are computed once a text, and training needs no encoder.
"""

import copy
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mt.bf32 import hastened
from mt.comet import CHECKPOINT, HPARAMS, quiet
from mt.encoder import HEADS, Reading
from mt.loading import PROVENANCE, as_data, check_weights, pretrained

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Example:
    """A hypothesis `mt` with the score that it deserves, from 0 to 1."""

    src: str
    mt: str
    ref: str
    score: float


@dataclass(frozen=True)
class Training:
    """How the estimator is trained: AdamW on the squared error."""

    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    hidden_sizes: tuple[int, ...]


@dataclass(frozen=True)
class Embeddings:
    """`vectors`, [texts, layers, units], are the mean vectors of each encoder layer; `rows` is text → row."""

    vectors: torch.Tensor
    rows: dict[str, int]

    def joined(self, other: "Embeddings") -> "Embeddings":
        """These and other texts, none of them among these."""
        more = {text: len(self.rows) + row for text, row in other.rows.items()}
        return Embeddings(torch.cat([self.vectors, other.vectors]), self.rows | more)

    def nearest(self, texts: Sequence[str]) -> list[int]:
        """For each text the place of the other most like it: by cosine of the last layers less their mean."""
        rows = torch.tensor([self.rows[text] for text in texts])
        vectors = self.vectors[rows, -1]
        centred = torch.nn.functional.normalize(vectors - vectors.mean(dim=0), dim=1)
        similarity = (centred @ centred.T).masked_fill(rows[:, None] == rows, -torch.inf)
        nearest: list[int] = similarity.argmax(dim=1).tolist()
        return nearest

    def inputs(self, examples: Sequence[Example]) -> torch.Tensor:
        """The rows of source, hypothesis and reference, [examples, 3]."""
        return torch.tensor([[self.rows[text] for text in (one.src, one.mt, one.ref)] for one in examples])


def new_metric(encoder: Path, training: Training) -> Any:
    """A RegressionMetric over the encoder in a folder, everything else random by the seed.

    Raises:
        InputError: as `mt.loading.check_weights`, `as_data` and `pretrained`.
    """
    check_weights(encoder)
    with quiet(), as_data(encoder):
        from comet.models import RegressionMetric
        from transformers import XLMRobertaModel

        pretrained(XLMRobertaModel, encoder, HEADS, add_pooling_layer=False)  # unbabel-comet does not look
        torch.manual_seed(training.seed)
        metric = RegressionMetric(
            nr_frozen_epochs=1.0,
            encoder_model="XLM-RoBERTa",
            pretrained_model=str(encoder),
            learning_rate=training.learning_rate,
            batch_size=training.batch_size,
            hidden_sizes=list(training.hidden_sizes),
            layer_norm=False,
            local_files_only=True,
        )
    return metric.eval()


def reader(metric: Any, precision: Reading) -> Any:
    """The checkpoint's encoder; or one with the same weights that computes in another precision."""
    if precision == "float32":
        return metric.encoder
    encoder = copy.deepcopy(metric.encoder, {id(weights): weights for weights in metric.encoder.parameters()})
    hastened(encoder.model.requires_grad_(False), precision)
    return encoder


def embed(encoder: Any, texts: Iterable[str], batch_size: int) -> Embeddings:
    """Encode each distinct text by unbabel-comet's encoder, in batches of like length, under a progress bar."""
    from comet.models.pooling_utils import average_pooling

    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    tokenizer = encoder.tokenizer
    found = []
    with torch.no_grad(), tqdm(total=len(ordered), desc="embedding", unit="text") as bar:
        for start in range(0, len(ordered), batch_size):
            batch = ordered[start : start + batch_size]
            inputs = encoder.prepare_sample(batch)
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            layers = [
                average_pooling(ids, layer, mask, tokenizer.pad_token_id, tokenizer.sep_token_id)
                for layer in encoder(ids, mask)["all_layers"]
            ]
            found.append(torch.stack(layers, dim=1))
            bar.update(len(batch))
    return Embeddings(torch.cat(found), {text: row for row, text in enumerate(ordered)})


def train(metric: Any, examples: Sequence[Example], embeddings: Embeddings, training: Training) -> None:
    """Fit the estimator and the layer mix; the encoder stays as it is."""
    torch.manual_seed(training.seed)
    parameters = [*metric.estimator.parameters(), *metric.layerwise_attention.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=training.learning_rate, fused=True)
    inputs = embeddings.inputs(examples)
    targets = torch.tensor([example.score for example in examples])
    steps = training.epochs * -(-len(examples) // training.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    metric.train()
    with tqdm(total=steps, desc="training the estimator", unit="step") as bar:
        for _ in range(training.epochs):
            for rows in torch.split(torch.randperm(len(examples)), training.batch_size):
                scores = _estimate(metric, embeddings.vectors[inputs[rows]])
                loss = torch.nn.functional.mse_loss(scores, targets[rows])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                bar.update()
                bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    metric.eval()


def estimates(metric: Any, examples: Sequence[Example], embeddings: Embeddings, batch_size: int) -> list[float]:
    """The scores that the checkpoint gives, by way of the embeddings, which may be rounded where its own are not."""
    with torch.no_grad():
        inputs = torch.split(embeddings.inputs(examples), batch_size)
        return [score for rows in inputs for score in _estimate(metric, embeddings.vectors[rows]).tolist()]


def save(metric: Any, encoder: Path, folder: Path, final: Path) -> None:
    """Write the checkpoint in the layout of the hub's COMET models.

    Args:
        metric: a trained RegressionMetric.
        encoder: the folder of its encoder; all of it but the weights, which are in the checkpoint, is copied.
        folder: where to write.
        final: where the folder will stand; the checkpoint names the encoder's configuration by it.
    """
    import pytorch_lightning
    from ruamel.yaml import YAML

    hparams = dict(metric.hparams) | {
        "pretrained_model": str(final / "encoder"),
        "class_identifier": "regression_metric",
    }
    left_out = shutil.ignore_patterns(*WEIGHTS, PROVENANCE)
    shutil.copytree(encoder, folder / "encoder", ignore=left_out, copy_function=shutil.copyfile)
    YAML(typ="safe", pure=True).dump(hparams, folder / HPARAMS)
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    content = {
        "state_dict": metric.state_dict(),
        "hyper_parameters": hparams,
        "pytorch-lightning_version": pytorch_lightning.__version__,
    }
    torch.save(content, folder / CHECKPOINT)


def _estimate(metric: Any, vectors: torch.Tensor) -> torch.Tensor:
    """Scores, [examples], for `vectors` of the shape [examples, 3, layers, units]."""
    src, mt, ref = metric.layerwise_attention(vectors.unbind(dim=2)).unbind(dim=1)
    scores: torch.Tensor = metric.estimate(src, mt, ref).score
    return scores
