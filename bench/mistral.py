"""Training and decoding speed of a model of Mistral 7B v0.3's shape with random weights, against the device's ceiling.

The model is made on the device and written to a folder; from there on everything is the project's own code, the same
that the stages run: loading, adapters, Trainer, decoding.
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import decoding_rate
import training_rate
from mt.errors import InputError
from mt.lm import Precision, load_base
from mt.lora import Weights, load_frozen
from random_model import TINY, V03, Shape, save
from record import Record
from timing import forget

PRECISION: Precision = "bfloat16"
MODEL = "model-"
WEIGHTS: tuple[Weights, ...] = ("bfloat16", "nf4")


@dataclass(frozen=True)
class Size:
    """What is measured."""

    shape: Shape
    decoding: decoding_rate.Size
    training: training_rate.Size


SIZES = {
    "full": Size(
        V03,
        decoding_rate.Size(prompt=128, written=128, rows=(1, 64), warm=1, repeats=3),
        training_rate.Size(tokens=256, targets=128, rows=(4, 16, 64), warm=2, least=3, most=10, enough=10.0),
    ),
    "toy": Size(
        TINY,
        decoding_rate.Size(prompt=8, written=4, rows=(1, 2), warm=1, repeats=3),
        training_rate.Size(tokens=32, targets=16, rows=(4, 8), warm=1, least=2, most=2, enough=0.0),
    ),
}


def measure(size: Size, work: Path, record: Record) -> None:
    """Decode with bfloat16 weights, then train on them, then on weights in nf4; each figure is recorded as it comes."""
    ceiling = record.figures("ceiling")
    tflops, gb_per_second = ceiling["matrix"]["tflops"], ceiling["copy"]["gb_per_second"]
    record.add("mistral", {"model": {"what": "sizes, with random weights", **asdict(size.shape)}})
    work.mkdir(parents=True, exist_ok=True)
    for left in work.glob(f"{MODEL}*"):  # by a run that was killed
        shutil.rmtree(left)
    with TemporaryDirectory(dir=work, prefix=MODEL) as folder:
        save(size.shape, Path(folder))
        record.add("mistral", {"decoding": decode(Path(folder), size, gb_per_second)})
        for weights in WEIGHTS:
            forget()
            train(Path(folder), weights, size, tflops, record)


def decode(base: Path, size: Size, gb_per_second: float) -> dict[str, Any]:
    """Figures of decoding."""
    model, tokenizer = load_base(base, PRECISION)
    return decoding_rate.measure(model, tokenizer, size.decoding, gb_per_second)


def train(base: Path, weights: Weights, size: Size, tflops: float, record: Record) -> None:
    """Record the figures of LoRA on weights of one type, or why they cannot be had."""
    name = f"training_{weights}"
    try:
        model, tokenizer = load_frozen(base, weights, PRECISION)
    except InputError as error:
        record.add("mistral", {name: {"skipped": str(error)}})
        return
    for figures in training_rate.measure(model, tokenizer, weights, size.shape, size.training, tflops):
        record.add("mistral", {name: figures})
