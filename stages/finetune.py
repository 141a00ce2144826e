"""Fine-tune the base model with LoRA; after every epoch, translate the development set and keep the best adapter.

In:  --base, a model folder; --train and --dev, segments with `src` and `tgt`; --comet, a checkpoint folder, or
     data/none where the epoch is chosen by chrF.
Out: --out, the best epoch's adapter, which `PeftModel.from_pretrained` opens; --log, a folder with epochs.json (a row
     an epoch: loss, chrf, comet_<name>, best), log.json (steps, segments dropped by reason, notes) and dev.jsonl (the
     best epoch's translations).
"""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from mt.cli import main
from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.files import given, read_json, replacing, write_json
from mt.lm import load_base
from mt.params import Key
from mt.prompt import FORWARD, REVERSE, Languages, Prompter, check_template
from mt.quality import chrf
from mt.segments import Segment, read_segments, write_segments
from mt.tally import Tally
from mt.training import Schedule, examples, trainer


@dataclass(frozen=True)
class Paths:
    base: Path
    train: Path
    dev: Path
    comet: Path
    out: Path
    log: Path


@dataclass(frozen=True)
class Lora:
    """The names are those of peft's LoraConfig, `rank` its r (https://huggingface.co/docs/peft/package_reference/lora)."""

    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    rslora: bool
    dora: bool

    def __post_init__(self) -> None:
        for name in ("rank", "alpha"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
        if not self.target_modules:
            raise ValueError("target_modules is empty; name the linear layers to adapt, such as q_proj")


@dataclass(frozen=True)
class Finetune(Schedule):
    direction: Literal["forward", "reverse"]
    patience: int
    select_by: Literal["comet", "chrf"]
    max_tokens: int
    rejected_sample: int
    comet_batch_size: int
    decode: Decoding

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "micro_batch_size", "patience", "max_tokens", "comet_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("warmup_steps", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} must be divisible by micro_batch_size {self.micro_batch_size}; "
                f"write {self.batch_size - self.batch_size % self.micro_batch_size or self.micro_batch_size}"
            )


@dataclass(frozen=True)
class Params:
    languages: Languages
    template: Annotated[str, Key("prompt.template")]
    lora: Lora
    finetune: Finetune

    def __post_init__(self) -> None:
        check_template(self.template)


class Judge:
    """Scores the development set after an epoch, keeps the best adapter, and says whether to go on."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        prompter: Prompter,
        dev: list[Segment],
        params: Finetune,
        comet: Any,
        best: Path,
    ) -> None:
        self._model, self._tokenizer, self._prompter = model, tokenizer, prompter
        self._dev, self._params, self._comet, self._best = dev, params, comet, best
        self._key = f"comet_{comet.name}" if params.select_by == "comet" else "chrf"
        self.epochs: list[dict[str, Any]] = []
        self.hyps: list[str] = []

    def __call__(self, epoch: int, loss: float) -> bool:
        """Judge one epoch; False after `patience` epochs without a gain."""
        hyps = translate(self._model, self._tokenizer, self._prompter, self._dev, self._params.decode)
        row = {"epoch": epoch, "loss": loss, **self._scores(hyps)}
        best = max((old[self._key] for old in self.epochs), default=-math.inf)
        self.epochs.append(row)
        print(" ".join(f"{key}={value:.4g}" for key, value in row.items()), flush=True)
        if row[self._key] > best:
            save(self._model, self._best)
            self.hyps = hyps
        return epoch - self.best_epoch < self._params.patience

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest score."""
        epoch: int = max(self.epochs, key=lambda row: (row[self._key], -row["epoch"]))["epoch"]
        return epoch

    def _scores(self, hyps: list[str]) -> dict[str, float]:
        refs = [segment["tgt" if self._params.direction == "forward" else "src"] for segment in self._dev]
        scores = {"chrf": chrf(hyps, refs).value}
        if self._comet:
            srcs = [self._prompter.source(segment) for segment in self._dev]
            found = self._comet.score(srcs, hyps, refs, self._params.comet_batch_size)
            scores[f"comet_{self._comet.name}"] = sum(found) / len(found)
        return scores


def adapt(model: Any, lora: Lora) -> Any:
    """Put a fresh LoRA adapter on the model.

    Raises:
        InputError: a target module is not in the model.
    """
    from peft import LoraConfig, get_peft_model

    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if unknown := sorted(set(lora.target_modules) - names):
        raise InputError(f"params.yaml: lora.target_modules: this model has no {unknown[0]}; it has {sorted(names)}")
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def save(model: Any, folder: Path) -> None:
    """Write the adapter; peft lists the modules in the order of a set, which differs from run to run, so sort them."""
    model.save_pretrained(folder)
    config = read_json(folder / "adapter_config.json")
    write_json(folder / "adapter_config.json", config | {"target_modules": sorted(config["target_modules"])})


def notes(params: Finetune, steps: int) -> list[str]:
    """What a reader of the training log should know about the schedule."""
    if params.warmup_steps < steps:
        return []
    return [f"the warm-up of {params.warmup_steps} steps never ends: the training has {steps} steps"]


def load_comet(folder: Path | None, params: Finetune) -> Any:
    """The checkpoint that judges epochs, or None where chrF does.

    Raises:
        InputError: epochs are to be judged by COMET and there is no checkpoint.
    """
    if folder is None:
        if params.select_by == "comet":
            raise InputError("params.yaml: select_by: comet needs a checkpoint, and this system has none; write chrf")
        return None
    from mt.comet import Comet

    return Comet(folder)


def run(paths: Paths, params: Params) -> None:
    from transformers import set_seed

    settings = params.finetune
    prompter = Prompter(params.template, params.languages, FORWARD if settings.direction == "forward" else REVERSE, [])
    tally = Tally(settings.rejected_sample)
    train, dev = read_segments(paths.train, ("src", "tgt")), read_segments(paths.dev, ("src", "tgt"))
    comet = load_comet(given(paths.comet), settings)
    set_seed(settings.seed)
    base, tokenizer = load_base(paths.base, "float32")
    data = examples(tokenizer, prompter, train, settings.max_tokens, tally)
    if not data:
        raise InputError(f"{paths.train}: no pair fits into max_tokens {settings.max_tokens}; raise it")
    model = adapt(base, params.lora)
    with replacing(paths.out) as out, replacing(paths.log) as log, tempfile.TemporaryDirectory() as scratch:
        judge = Judge(model, tokenizer, prompter, dev, settings, comet, out)
        result = trainer(model, data, tokenizer.pad_token_id, settings, Path(scratch), judge)
        result.train()
        log.mkdir()
        rows = [{**row, "best": row["epoch"] == judge.best_epoch} for row in judge.epochs]
        write_json(log / "epochs.json", rows)
        planned = math.ceil(len(data) / settings.batch_size) * settings.epochs
        facts = {"steps": result.state.global_step, "planned_steps": planned, "notes": notes(settings, planned)}
        write_json(log / "log.json", {**facts, "segments": tally.report()})
        hyps = [{**segment, "hyp": hyp} for segment, hyp in zip(dev, judge.hyps, strict=True)]
        write_segments(log / "dev.jsonl", hyps)


if __name__ == "__main__":
    main(run, Paths, Params)
