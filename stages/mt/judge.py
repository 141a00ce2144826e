"""Development decoding and scores after every epoch: which adapter is kept, and whether to go on."""

import gc
import math
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.files import digests, read_json, write_json
from mt.loading import PROVENANCE, read_provenance
from mt.lora import diverged, save, state
from mt.processes import agreed, device, is_main
from mt.prompt import Prompter
from mt.quality import chrf
from mt.recall import open_memory
from mt.segments import Segment, write_segments
from mt.values import check

if TYPE_CHECKING:
    from mt.comet import Comet

STATE = "judge.json"
BEST = "best"


@dataclass(frozen=True)
class Judging:
    """How an epoch is judged; training stops after `patience` epochs without a gain."""

    direction: Literal["forward", "reverse"]
    patience: int
    select_by: Literal["comet", "chrf"]
    comet_batch_size: int
    decode: Decoding

    def __post_init__(self) -> None:
        for name in ("patience", "comet_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


class Judge:
    """Scores the development set after an epoch, keeps the best adapter, and says whether to go on.

    Every process takes part in the translating and learns the verdict; the main process alone scores and writes.

    Args:
        model: the model with its adapter.
        tokenizer: its tokenizer.
        prompter: makes the prompts.
        dev: the development segments.
        judging: how to judge.
        comet: the checkpoint that scores, in the main process, or None.
        origin: what its translations follow from besides the adapter's weights, for the translation memory.
        best: where the best adapter goes.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        prompter: Prompter,
        dev: list[Segment],
        judging: Judging,
        comet: "Comet | None",
        origin: Mapping[str, Any],
        best: Path,
    ) -> None:
        self._model, self._tokenizer, self._prompter = model, tokenizer, prompter
        self._dev, self._judging, self._comet = dev, judging, comet
        self._origin, self._best = origin, best
        self.epochs: list[dict[str, Any]] = []
        self.hyps: list[str] = []

    def __call__(self, epoch: int, loss: float) -> bool:
        """Judge one epoch; False after `patience` epochs without a gain.

        Raises:
            InputError: the loss or the adapter is no finite number.
        """
        if not math.isfinite(loss) or diverged(self._model):
            place = "finetune" if self._judging.direction == "forward" else "reverse.finetune"
            raise InputError(
                f"params.yaml: {place}.learning_rate: the training diverged in epoch {epoch}, its loss or adapter is "
                "no finite number; lower it"
            )
        release_memory()
        with same_random_numbers():
            hyps = self._translations()
            row = agreed({"epoch": epoch, "loss": loss} | (self._scores(hyps) if is_main() else {}))
        release_memory()
        best = max(map(self._value, self.epochs), default=-math.inf)
        self.epochs.append(row)
        if is_main():
            print(" ".join(f"{key}={value:.4g}" for key, value in row.items()), flush=True)
        if self._value(row) > best:
            self.hyps = hyps
            if is_main():
                save(self._model, self._best)
        return epoch - self.best_epoch < self._judging.patience

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest score."""
        epoch: int = max(self.epochs, key=lambda row: (self._value(row), -row["epoch"]))["epoch"]
        return epoch

    def log(self, folder: Path) -> None:
        """Write epochs.json, a row an epoch, and dev.jsonl, the best epoch's translations."""
        write_json(folder / "epochs.json", [{**row, "best": row["epoch"] == self.best_epoch} for row in self.epochs])
        rows = [{**segment, "hyp": hyp} for segment, hyp in zip(self._dev, self.hyps, strict=True)]
        write_segments(folder / "dev.jsonl", rows)

    def write(self, folder: Path) -> None:
        """Put what is known so far into a checkpoint, and the digests of all that is in it."""
        write_json(folder / STATE, {"epochs": self.epochs, "hyps": self.hyps})
        if self.epochs:
            shutil.copytree(self._best, folder / BEST)
        write_json(folder / PROVENANCE, {"files": digests(folder)})

    def read(self, folder: Path) -> None:
        """Go on from what `write` put there.

        Raises:
            InputError: a file of the checkpoint is missing or another than it was, or says something else.
        """
        read_provenance(folder, (), [STATE])
        known = read_json(folder / STATE)
        try:
            self._check(known)
        except ValueError as error:
            raise InputError(f"{folder / STATE}: {error}; remove {folder} and run `dvc repro`") from error
        if known["epochs"]:
            read_provenance(folder, (), [f"{BEST}/adapter_config.json"])
        self.epochs, self.hyps = known["epochs"], known["hyps"]
        if self.epochs and is_main():
            shutil.copytree(folder / BEST, self._best)

    def _check(self, known: Any) -> None:
        """Hold what a checkpoint knows to what `write` puts there."""
        scores = ["chrf", *([f"comet_{self._comet.name}"] if self._comet else [])]
        row: dict[Any, Any] = {"epoch": int, "loss": float, **dict.fromkeys(scores, float), str: float}
        check(known, {"epochs": [row], "hyps": [str]}, "")
        if len(known["hyps"]) != (len(self._dev) if known["epochs"] else 0):
            raise ValueError("hyps: must be one of each development segment")

    def _translations(self) -> list[str]:
        decoding = self._judging.decode
        with open_memory({**self._origin, "adapter": state(self._model)}, decoding) as memory:
            return translate(self._model, self._tokenizer, self._prompter, self._dev, decoding, memory)

    def _value(self, row: dict[str, Any]) -> float:
        value: float = next(row[key] for key in row if key.partition("_")[0] == self._judging.select_by)
        return value

    def _scores(self, hyps: list[str]) -> dict[str, float]:
        refs = [segment["tgt" if self._judging.direction == "forward" else "src"] for segment in self._dev]
        scores = {"chrf": chrf(hyps, refs).value}
        if self._comet:
            srcs = [self._prompter.source(segment) for segment in self._dev]
            found = self._comet.score(srcs, hyps, refs, self._judging.comet_batch_size)
            scores[f"comet_{self._comet.name}"] = sum(found) / len(found)
        return scores


def load_comet(folder: Path | None, judging: Judging) -> "Comet | None":
    """The checkpoint that judges epochs, in the main process; None in the others, and where chrF judges alone.

    Raises:
        InputError: epochs are to be judged by COMET and there is no checkpoint.
    """
    if folder is None and judging.select_by == "comet":
        raise InputError("params.yaml: select_by: comet needs a checkpoint, and this system has none; write chrf")
    if folder is None or not is_main():
        return None
    from mt.comet import Comet

    return Comet(folder)


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Leave the random numbers as they were: a training that goes on after an epoch was judged must draw the same."""
    import numpy as np
    import torch

    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()
    place = device()
    with torch.random.fork_rng([place] if place.type == "cuda" else []):
        yield
    random.setstate(drawn)
    np.random.set_state(drawn_by_numpy)


def release_memory() -> None:
    """Give back a GPU's memory that nobody holds: training leaves it in pieces too small for decoding."""
    import torch

    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
