"""Fine-tuning through transformers' Trainer: a loss on target tokens only, the same on one process and on many."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from peft.helpers import disable_input_dtype_casting
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from mt.batched import batches
from mt.lm import head_reads
from mt.loading import as_data
from mt.processes import count, index
from mt.rows import IGNORED, Example, Order, blank, collate
from mt.schedule import Schedule, accumulation


class TargetTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that computes logits at target positions only; the loss is the mean over the batch's target tokens."""

    order: Order
    micro_batch_tokens: int

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train; autocast would cast what peft casts to float32, the adapter's type, straight back."""
        with disable_input_dtype_casting(self.model, active=self.args.bf16 or self.args.fp16):
            return super().train(*args, **kwargs)

    def training_step(
        self, model: Any, inputs: dict[str, torch.Tensor], num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The loss of a micro batch, and its gradients; part by part, of which the last exchanges those of all."""
        *first, last = parts(inputs, self.micro_batch_tokens)
        loss = torch.zeros((), device=self.args.device)
        for part in first:
            with self.accelerator.no_sync(model):
                loss += super().training_step(model, part, num_items_in_batch)
        loss += super().training_step(model, last, num_items_in_batch)
        return loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Cross-entropy, summed over target tokens, divided by their number in the whole effective batch.

        Gradients and logged losses are means over processes, so each process gives its sum that many times.
        """
        labels = torch.nn.functional.pad(inputs.pop("labels")[:, 1:], (0, 1), value=IGNORED)
        learnt = labels != IGNORED
        with head_reads(self.accelerator.unwrap_model(model), learnt):
            outputs = model(**inputs, use_cache=False)
        loss = torch.nn.functional.cross_entropy(outputs.logits.float(), labels[learnt], reduction="sum")
        if num_items_in_batch is None:
            loss = loss / learnt.sum()
        else:
            loss = loss / num_items_in_batch * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with as_data(Path(resume_from_checkpoint).parent):
            TrainerState.load_from_json(str(Path(resume_from_checkpoint) / TRAINER_STATE_NAME))
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with as_data(Path(checkpoint).parent) if checkpoint else nullcontext():
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with as_data(Path(checkpoint).parent) if checkpoint else nullcontext():
            super()._load_rng_state(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        if self.accelerator.scaler is not None:  # or else a file of its name is none of this training's
            super()._load_scaler(checkpoint)

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        return self.order


def parts(batch: Mapping[str, torch.Tensor], tokens: int) -> list[dict[str, torch.Tensor]]:
    """Parts of a batch, of rows of like length, each of at most so many tokens, padding included, or of a single row.

    Args:
        batch: tensors of [rows, length], padded on the left; `attention_mask` shows what is padding.
        tokens: how many.
    """
    lengths = batch["attention_mask"].sum(-1).tolist()
    split = batches(lengths, tokens)
    return [{name: values[rows, -lengths[rows[0]] :] for name, values in batch.items()} for rows in split]


def adamw(precision: str) -> str:
    """Which AdamW; the fused one hides from accelerate the steps that loss scaling skips, and the schedule goes on."""
    return "adamw_torch" if precision == "float16" else "adamw_torch_fused"


class OneDevice(TrainingArguments):  # type: ignore[misc]
    """Arguments under which a process trains on one GPU, even where it sees several: no DataParallel."""

    @property
    def n_gpu(self) -> int:
        """At most one."""
        visible: int = super().n_gpu
        return min(visible, 1)

    @property
    def device(self) -> torch.device:
        """Without a number where it is the CPU: under a launcher it has one, and then no checkpoint can be loaded."""
        own: torch.device = super().device
        return torch.device("cpu") if own.type == "cpu" else own


class Epochs(TrainerCallback):  # type: ignore[misc]
    """After every epoch, judges it and stops where the judge says so; keeps a checkpoint every `save_steps` steps.

    One that falls due at the end of an epoch is kept once the epoch is judged, so that none has to be judged again.

    Args:
        judge: called with the epoch, from 1, and its mean training loss; says whether to go on.
        keep: called with the number of steps so far when the Trainer has written a checkpoint, in every process.
        steps: optimizer steps an epoch.
        save_steps: optimizer steps between checkpoints.
    """

    def __init__(
        self, judge: Callable[[int, float], bool], keep: Callable[[int], None], steps: int, save_steps: int
    ) -> None:
        self._judge, self._keep, self._steps, self._save_steps = judge, keep, steps, save_steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint inside an epoch."""
        control.should_save = state.global_step % self._steps != 0 and state.global_step % self._save_steps == 0

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        """Judge the epoch with the model in evaluation mode; ask for a checkpoint at its end."""
        rows = [row for row in state.log_history if "loss" in row and row["step"] > state.global_step - self._steps]
        model.eval()
        go_on = self._judge(round(state.epoch), sum(row["loss"] for row in rows) / len(rows))
        model.train()
        control.should_training_stop |= not go_on
        control.should_save = not control.should_training_stop and state.global_step % self._save_steps == 0

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Pass on that a checkpoint is written."""
        self._keep(state.global_step)


def trainer(
    model: Any,
    data: list[Example],
    pad: int,
    schedule: Schedule,
    folder: Path,
    judge: Callable[[int, float], bool],
    keep: Callable[[int], None],
) -> TargetTrainer:
    """Set up the Trainer.

    Args:
        model: the model with its adapter.
        data: the training examples.
        pad: the padding id.
        schedule: how to train.
        folder: where the Trainer may write; a checkpoint goes to checkpoint-<step> in it.
        judge: called after every epoch, see Epochs.
        keep: called after every checkpoint, see Epochs.

    Raises:
        InputError: as `accumulation`.
    """
    gathered = accumulation(schedule)
    arguments = OneDevice(
        output_dir=str(folder),
        num_train_epochs=schedule.epochs,
        per_device_train_batch_size=schedule.micro_batch_size,
        gradient_accumulation_steps=gathered,
        learning_rate=schedule.learning_rate,
        lr_scheduler_type=schedule.schedule,
        warmup_steps=schedule.warmup_steps,
        weight_decay=schedule.weight_decay,
        max_grad_norm=schedule.max_grad_norm,
        bf16=schedule.precision == "bfloat16",
        fp16=schedule.precision == "float16",
        gradient_checkpointing=schedule.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        seed=schedule.seed,
        optim=adamw(schedule.precision),
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
    )
    lengths = [len(row["input_ids"]) for row in data]
    filled = gathered * schedule.micro_batch_size * count()
    order = Order(lengths, schedule.batch_size, filled, schedule.seed, schedule.group_by_length)
    made = TargetTrainer(
        model=model,
        args=arguments,
        train_dataset=[*data, blank(pad)],
        data_collator=lambda batch: collate(batch, pad),
        callbacks=[Epochs(judge, keep, order.steps, schedule.save_steps)],
    )
    made.order = order
    made.micro_batch_tokens = schedule.micro_batch_tokens
    made.model_accepts_loss_kwargs = True
    if index():  # the Trainer gives every process the same random numbers, and so the same dropout
        torch.manual_seed(schedule.seed + index())
    return made
