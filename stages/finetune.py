"""Fine-tune the base model with LoRA; after every epoch, translate the development set and keep the best adapter.

In:  --base, a model folder; --train and --dev, segments with `src` and `tgt`; --comet, a checkpoint folder, or
     data/none where the epoch is chosen by chrF.
Out: --out, the best epoch's adapter, which `PeftModel.from_pretrained` opens; --history, a folder with epochs.json (a
     row an epoch: loss, chrf, comet_<name>, best), log.json (steps, segments dropped by reason, notes) and dev.jsonl
     (the best epoch's translations). Where a reverse model has 0 epochs: a README.md that says so, no epoch, no
     dev.jsonl.

A run that is cut off goes on from its last checkpoint, see mt/checkpoints.py.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from mt.checkpoints import Checkpoints, checkpoints
from mt.claims import ingredients
from mt.cli import main
from mt.errors import InputError
from mt.files import given, replacing, write_json, write_text
from mt.judge import Judge, Judging, load_comet
from mt.lm import identity
from mt.lora import Lora, Weights, adapt, load_frozen
from mt.params import Key
from mt.processes import is_main, one_voice
from mt.prompt import FORWARD, REVERSE, Languages, Prompter, check_template
from mt.rows import examples
from mt.schedule import Schedule, accumulation
from mt.segments import read_segments
from mt.tally import Tally

LIBRARIES = ("accelerate", "peft", "sacrebleu", "tokenizers", "torch", "transformers", "unbabel-comet")
UNTRAINED = "# No adapter\n\n`reverse.finetune.epochs` is 0: the reverse model is not fine-tuned.\n"


@dataclass(frozen=True)
class Paths:
    base: Path
    train: Path
    dev: Path
    comet: Path
    out: Path
    history: Path


@dataclass(frozen=True)
class Finetune(Schedule, Judging):
    max_tokens: int
    rejected_sample: int
    weights: Weights

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        Judging.__post_init__(self)
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if self.precision == "bf32" and self.weights != "float32":
            raise ValueError(f"precision bf32 needs weights float32, not {self.weights}")
        if not self.epochs and self.direction == "forward":
            raise ValueError("epochs must be at least 1, not 0; the reverse model alone may go without")


@dataclass(frozen=True)
class Params:
    languages: Languages
    template: Annotated[str, Key("prompt.template")]
    lora: Lora
    finetune: Finetune

    def __post_init__(self) -> None:
        check_template(self.template)


def notes(params: Finetune, steps: int) -> list[str]:
    """What a reader of the training log should know about the schedule."""
    if params.warmup_steps < steps:
        return []
    return [f"the warm-up of {params.warmup_steps} steps never ends: the training has {steps} steps"]


def followed(paths: Paths, params: Params) -> dict[str, Any]:
    """Everything that a training follows from."""
    inputs = {"base": paths.base, "train": paths.train, "dev": paths.dev, "comet": given(paths.comet)}
    libraries = (*LIBRARIES, *(["bitsandbytes"] if params.finetune.weights == "nf4" else []))
    return ingredients(params, inputs, __file__, libraries)


@contextmanager
def outputs(*paths: Path) -> Iterator[list[Path]]:
    """Where to write: in the main process, siblings that take the places of `paths` when the block ends well."""
    with ExitStack() as stack:
        yield [stack.enter_context(replacing(path)) if is_main() else path for path in paths]


def last_checkpoint(kept: Checkpoints, judge: Judge, planned: int) -> str | None:
    """The checkpoint to go on from, as the Trainer takes it, if there is one; the judge goes on from it too."""
    newest = kept.newest()
    if newest is None:
        return None
    step, folder = newest
    judge.read(folder)
    if is_main():
        print(f"going on from the checkpoint after step {step} of {planned}", flush=True)
    return str(folder / f"checkpoint-{step}")


def leave_untrained(paths: Paths, params: Finetune) -> None:
    """Write what stands for a training of 0 epochs."""
    if not is_main():
        return
    with outputs(paths.out, paths.history) as (out, log):
        out.mkdir()
        write_text(out / "README.md", UNTRAINED)
        log.mkdir()
        write_json(log / "epochs.json", [])
        facts = {"steps": 0, "planned_steps": 0, "notes": ["nothing is trained: epochs is 0"]}
        write_json(log / "log.json", {**facts, "segments": Tally(params.rejected_sample).report()})


@one_voice()
def run(paths: Paths, params: Params) -> None:
    from transformers import set_seed

    from mt.bf32 import hastened
    from mt.training import trainer

    settings = params.finetune
    if not settings.epochs:
        leave_untrained(paths, settings)
        return
    accumulation(settings)
    prompter = Prompter(params.template, params.languages, FORWARD if settings.direction == "forward" else REVERSE, [])
    tally = Tally(settings.rejected_sample)
    train, dev = read_segments(paths.train, ("src", "tgt")), read_segments(paths.dev, ("src", "tgt"))
    comet = load_comet(given(paths.comet), settings)
    set_seed(settings.seed)
    base, tokenizer = load_frozen(paths.base, settings.weights, settings.precision)
    data = examples(tokenizer, prompter, train, settings.max_tokens, tally)
    if not data:
        raise InputError(f"{paths.train}: no pair fits into max_tokens {settings.max_tokens}; raise it")
    model = hastened(adapt(base, params.lora), settings.precision)
    with checkpoints(lambda: followed(paths, params)) as kept, outputs(paths.out, paths.history) as (out, log):
        origin = identity(paths.base, None, settings.precision)
        origin |= {"weights": settings.weights, "lora": asdict(params.lora)}
        judge = Judge(model, tokenizer, prompter, dev, settings, comet, origin, out)
        made = trainer(
            model,
            data,
            tokenizer.pad_token_id,
            settings,
            kept.partial,
            judge,
            keep=lambda step: kept.keep(step, judge.write),
        )
        planned = made.order.steps * settings.epochs
        last = last_checkpoint(kept, judge, planned)
        made.train(resume_from_checkpoint=last)
        if is_main():
            log.mkdir()
            facts = {"steps": made.state.global_step, "planned_steps": planned, "notes": notes(settings, planned)}
            write_json(log / "log.json", {**facts, "segments": tally.report()})
            judge.log(log)


if __name__ == "__main__":
    main(run, Paths, Params)
