"""Fine-tuning with this project, with transformers' Trainer and with TRL's SFTTrainer, on the same batches.

The two others train as their documentation shows it: padded batches, peft's own layers, logits of the full vocabulary
at every position, and a loss on the completion alone; the one through labels of -100, the other by
`completion_only_loss`. All have the same rank, learning rate and batches, in the same order. Trainer computes in
float32 and SFTTrainer in bfloat16, as they do by themselves; SFTTrainer also has an end of sequence in its targets,
which are counted without it. The first of ours has the memory that params.yaml gives to the stages (`environment`); the
other stands beside Trainer with the same memory. All have every core.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from peft import LoraConfig, get_peft_model
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

from finetune import Params
from mt.bf32 import hastened
from mt.errors import InputError
from mt.lm import load_base
from mt.lora import adapt, load_frozen
from mt.params import load, read_tree
from mt.prompt import FORWARD, Prompter
from mt.rows import IGNORED, Order, examples
from mt.segments import Segment, read_segments
from mt.tally import Tally
from mt.training import trainer
from record import on_gpu
from training_rate import go_on, nothing

OURS, WHOLE, TRAINER, TRL = NAMES = ("ours", "ours, full vocabulary, float32", "Trainer", "SFTTrainer")
THREADS = "OMP_NUM_THREADS"


class Contender:
    """A process of its own that trains whenever it is asked to: Trainers of one process share their precision.

    Args:
        name: one of `NAMES`.
        root: a clone in which `make repro` has run.
        rows: how many genuine pairs are trained on, once.

    Attributes:
        target_tokens: of all rows, as this project counts them.
        losses: of each step of the first training; each later one goes on from where the last one ended.
    """

    def __init__(self, name: str, root: Path, rows: int) -> None:
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(name, root, rows, theirs), daemon=True)
        with patch.dict(os.environ, variables(name, root)):
            self._process.start()
        theirs.close()
        self.target_tokens: int = self._told()
        self.losses: list[float] = []

    def __call__(self) -> None:
        """Train once."""
        self._ours.send(None)
        losses = self._told()
        self.losses = self.losses or losses

    def _told(self) -> Any:
        try:
            return self._ours.recv()
        except EOFError as error:
            raise InputError("a contender's training has failed; its own message stands above") from error


def variables(name: str, root: Path) -> dict[str, str]:
    """What a contender's environment has besides: ours as the preset has it, what params.yaml gives to the stages.

    But for the number of threads, since no other stage runs beside it.
    """
    text = read_tree(root / "params.yaml")["environment"] if name == OURS else ""
    return {key: value for key, value in (word.split("=", 1) for word in shlex.split(text)) if key != THREADS}


def serve(name: str, root: Path, rows: int, pipe: Connection) -> None:
    """What a contender's process does: say how many target tokens there are, then train at each word."""
    with TemporaryDirectory() as folder, suppress(EOFError):
        study = Study(root, rows, Path(folder))
        made = study.trainer(name)
        pipe.send(study.target_tokens)
        while True:
            pipe.recv()
            made.train()
            pipe.send([row["loss"] for row in made.state.log_history if "loss" in row])


def contenders(root: Path, rows: int) -> dict[str, Contender]:
    """All by their names; TRL's only where it is installed."""
    names = [name for name in NAMES if name != TRL or find_spec("trl")]
    return {name: Contender(name, root, rows) for name in names}


class Study:
    """What each contender is made from."""

    def __init__(self, root: Path, rows: int, folder: Path) -> None:
        self.params = load(Params, root / "params.yaml", {})
        self._base, self._source, self._folder = root / "models/base", root / "models/source", folder
        self._segments = read_segments(root / "data/prepared/train.jsonl", ("src", "tgt"))[:rows]
        self._prompter = Prompter(self.params.template, self.params.languages, FORWARD, [])
        self.target_tokens = 0

    def trainer(self, name: str) -> Any:
        """The Trainer of a contender."""
        settings = self.params.finetune
        made = {
            OURS: lambda: self._ours(self._base, settings),
            WHOLE: lambda: self._ours(self._source, replace(settings, weights="float32", precision="float32")),
            TRAINER: self._trainer,
            TRL: self._trl,
        }
        return made[name]()

    def _ours(self, base: Path, settings: Any) -> Any:
        model, tokenizer = load_frozen(base, settings.weights, settings.precision)
        data = self._rows(tokenizer)
        schedule = replace(settings, epochs=1)
        adapted = hastened(adapt(model, self.params.lora), settings.precision)
        return trainer(adapted, data, tokenizer.pad_token_id, schedule, self._folder, go_on, nothing)

    def _rows(self, tokenizer: Any) -> list[dict[str, Any]]:
        tally = Tally(0)
        data = examples(tokenizer, self._prompter, self._segments, self.params.finetune.max_tokens, tally)
        if tally.dropped:
            raise InputError("finetune.max_tokens: too low for what is compared; raise it")
        self.target_tokens = sum(row["target_tokens"] for row in data)
        return data

    def _trainer(self) -> Any:
        model, tokenizer = load_base(self._source, "float32")
        rows = self._rows(tokenizer)
        data = [
            {
                "input_ids": row["input_ids"],
                "labels": [IGNORED] * (len(row["input_ids"]) - row["target_tokens"])
                + row["input_ids"][-row["target_tokens"] :],
            }
            for row in rows
        ]
        return in_order(Trainer, self._order(rows))(
            model=get_peft_model(model, self._lora()),
            args=TrainingArguments(**self._arguments()),
            train_dataset=data,
            data_collator=DataCollatorForSeq2Seq(tokenizer),
        )

    def _trl(self) -> Any:
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        model, tokenizer = load_base(self._source, "float32")
        # Gemma 3 has another prefix in transformers 4.57, with which TRL 1.16 ends in an error.
        model.base_model_prefix = "model"
        rows = [self._completion(segment) for segment in self._segments]
        return in_order(SFTTrainer, self._order(self._rows(tokenizer)))(
            model=model,
            args=SFTConfig(completion_only_loss=True, gradient_checkpointing=False, **self._arguments()),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=self._lora(),
        )

    def _lora(self) -> LoraConfig:
        lora = self.params.lora
        return LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.target_modules),
            task_type="CAUSAL_LM",
        )

    def _completion(self, segment: Segment) -> Mapping[str, str]:
        return {"prompt": self._prompter.prompt(segment), "completion": self._prompter.continuation(segment)}

    def _order(self, rows: Sequence[Mapping[str, Any]]) -> Order:
        settings = self.params.finetune
        size, lengths = settings.batch_size, [len(row["input_ids"]) for row in rows]
        return Order(lengths, size, size, settings.seed, settings.group_by_length)

    def _arguments(self) -> dict[str, Any]:
        settings = self.params.finetune
        return {
            "output_dir": str(self._folder),
            "num_train_epochs": 1,
            "per_device_train_batch_size": settings.batch_size,
            "learning_rate": settings.learning_rate,
            "lr_scheduler_type": settings.schedule,
            "warmup_steps": settings.warmup_steps,
            "weight_decay": settings.weight_decay,
            "max_grad_norm": settings.max_grad_norm,
            "seed": settings.seed,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": [],
            "use_cpu": not on_gpu(),
        }


def in_order(kind: type, order: Order) -> type:
    """A Trainer that takes its batches in a given order: the last one of an epoch is full, so that none is filled up.

    Raises:
        InputError: it is not.
    """
    if len(order._lengths) % order._batch_size:
        raise InputError("--rows: must be divisible by finetune.batch_size")

    class InOrder(kind):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Order:
            return order

    return InOrder
