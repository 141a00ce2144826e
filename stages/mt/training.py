"""Fine-tuning through transformers' Trainer: examples, batches, and a loss on target tokens only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from mt.lm import Precision, pad_left, positions
from mt.prompt import Prompter
from mt.segments import Segment
from mt.tally import Tally

IGNORED = -100


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and in which precision a model is fine-tuned; the names are TrainingArguments' own."""

    seed: int
    epochs: int
    learning_rate: float
    schedule: Literal["cosine", "linear", "constant_with_warmup"]
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    batch_size: int
    micro_batch_size: int
    precision: Precision
    gradient_checkpointing: bool
    group_by_length: bool


Example = dict[str, Any]
"""One training text: `input_ids`, of which the last `target_tokens` are learnt."""


def examples(
    tokenizer: Any, prompter: Prompter, segments: Sequence[Segment], max_tokens: int, tally: Tally
) -> list[Example]:
    """Tokenize segments; those of more than `max_tokens` tokens are dropped and counted."""
    kept = []
    for segment in segments:
        prompt = tokenizer(prompter.prompt(segment)).input_ids
        target = tokenizer(prompter.continuation(segment), add_special_tokens=False).input_ids
        if len(prompt) + len(target) > max_tokens:
            tally.drop("more than max_tokens tokens", segment)
        else:
            tally.keep()
            kept.append({"input_ids": prompt + target, "target_tokens": len(target)})
    return kept


def collate(batch: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Stack examples so that all targets end together, [rows, longest]: then only the last columns need logits."""
    rows = [example["input_ids"] for example in batch]
    ids = pad_left(rows, pad)
    mask = pad_left([[1] * len(row) for row in rows], 0)
    labels = pad_left([row[-example["target_tokens"] :] for row, example in zip(rows, batch, strict=True)], IGNORED)
    labels = torch.nn.functional.pad(labels, (ids.shape[1] - labels.shape[1], 0), value=IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask), "labels": labels}


class TargetTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that computes logits at target positions only; the loss is the mean over the batch's target tokens.

    The vocabulary is most of a small multilingual model, so logits at prompt positions would be most of the time.
    """

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Cross-entropy, summed over target tokens, divided by their number in the whole effective batch."""
        labels = inputs.pop("labels")
        width = int((labels != IGNORED).sum(-1).max())
        outputs = model(**inputs, logits_to_keep=width + 1, use_cache=False)
        logits = outputs.logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, -width:].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        loss = loss / (num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum())
        return (loss, outputs) if return_outputs else loss


class EpochEnd(TrainerCallback):  # type: ignore[misc]
    """Calls `judge(epoch, mean training loss)` after every epoch and stops when it returns False."""

    def __init__(self, judge: Callable[[int, float], bool]) -> None:
        self._judge = judge
        self._losses: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Gather the loss of each optimizer step."""
        if "loss" in logs:
            self._losses.append(logs["loss"])

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        """Judge the epoch with the model in evaluation mode."""
        model.eval()
        control.should_training_stop |= not self._judge(round(state.epoch), sum(self._losses) / len(self._losses))
        self._losses.clear()
        model.train()


def trainer(
    model: Any, data: list[Example], pad: int, schedule: Schedule, folder: Path, judge: Callable[[int, float], bool]
) -> TargetTrainer:
    """Set up the Trainer.

    Args:
        model: the model with its adapter.
        data: the training examples.
        pad: the padding id.
        schedule: how to train.
        folder: where the Trainer may write.
        judge: called after every epoch, see EpochEnd.
    """
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=schedule.epochs,
        per_device_train_batch_size=schedule.micro_batch_size,
        gradient_accumulation_steps=schedule.batch_size // schedule.micro_batch_size,
        learning_rate=schedule.learning_rate,
        lr_scheduler_type=schedule.schedule,
        warmup_steps=schedule.warmup_steps,
        weight_decay=schedule.weight_decay,
        max_grad_norm=schedule.max_grad_norm,
        bf16=schedule.precision == "bfloat16",
        fp16=schedule.precision == "float16",
        gradient_checkpointing=schedule.gradient_checkpointing,
        group_by_length=schedule.group_by_length,
        seed=schedule.seed,
        data_seed=schedule.seed,
        optim="adamw_torch",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    made = TargetTrainer(
        model=model,
        args=arguments,
        train_dataset=data,
        data_collator=lambda batch: collate(batch, pad),
        callbacks=[EpochEnd(judge)],
    )
    made.model_accepts_loss_kwargs = True
    return made
