"""What the parameters say of a run, as far as the report tells of it: its model, its data and its systems, in words."""

from dataclasses import dataclass
from typing import Annotated, Literal

from mt.markdown import code, escape
from mt.params import Key
from mt.prompt import Languages
from mt.systems import System

PAIRS = {(True, False): "genuine pairs", (False, True): "backtranslated pairs"}
BOTH = "genuine and backtranslated pairs"

AGAINST_NOTHING = {
    (True, False): "Fine-tuning on genuine pairs",
    (False, True): "Fine-tuning on backtranslated pairs alone",
    (True, True): "Fine-tuning on both",
}
COMPARED = (("ft", "baseline"), ("bt", "baseline"), ("ft_bt", "baseline"), ("ft_bt", "ft"))


@dataclass(frozen=True)
class Systems:
    """What each system is trained on."""

    baseline: System
    bt: System
    ft: System
    ft_bt: System


@dataclass(frozen=True)
class Setup:
    """The parameters that the report puts into words.

    Attributes:
        preset: the name of the preset.
        languages: the pair.
        systems: what each system is trained on.
        model: the name of the base model, as its user calls it.
        repo: where on the model hub it is from; None where it comes from archives.
        vocabulary: whether the base model keeps its whole vocabulary.
        corpus: the kind of source that the genuine pairs are from.
        shots: how many examples a system that is trained on nothing is prompted with.
        reverse: what translates the monolingual text: an adapter, the prompted base model, or another model.
        reverse_shots: how many examples that base model is prompted with.
        reverse_model: the name of that other model.
    """

    preset: str
    languages: Languages
    systems: Systems
    model: Annotated[str, Key("models.source.name")]
    repo: Annotated[str | None, Key("models.source.repo")]
    vocabulary: Annotated[Literal["trimmed", "full"], Key("base.vocabulary")]
    corpus: Annotated[str, Key("corpora.parallel.source")]
    shots: Annotated[int, Key("prompt.shots")]
    reverse: Annotated[Literal["lora", "prompted", "seq2seq"], Key("reverse.model")]
    reverse_shots: Annotated[int, Key("reverse.shots")]
    reverse_model: Annotated[str, Key("models.reverse.name")]


@dataclass(frozen=True)
class Comparison:
    """What a reader wants to know of two systems: what does `a`, which `does` something, change against `b`?"""

    does: str
    a: str
    b: str


def described(setup: Setup) -> dict[str, str]:
    """System → what it is, in the order of the systems."""
    return {name: _described(system, setup.shots) for name, system in vars(setup.systems).items()}


def comparisons(systems: Systems) -> list[Comparison]:
    """The comparisons that the report makes, named by what the systems are trained on."""
    named = vars(systems)
    return [Comparison(_does(named[a], named[b]), a, b) for a, b in COMPARED]


def translator(setup: Setup) -> str:
    """What translated the monolingual text, as the beginning of a sentence of Markdown."""
    match setup.reverse:
        case "lora":
            return "The reverse model"
        case "prompted":
            return f"The base model, prompted {_examples(setup.reverse_shots)},"
        case "seq2seq":
            return f"The model {code(setup.reverse_model)}"


def unused(setup: Setup) -> str:
    """The end of a sentence on the reverse model's adapter: why another model translates, if one does."""
    if setup.reverse == "lora":
        return ""
    return f"; its adapter is not used, since the parameter `reverse.model` is `{setup.reverse}`"


def base_model(setup: Setup) -> str:
    """The base model in Markdown: its name, where it is from, and whether its vocabulary is whole."""
    name = escape(setup.model) + (f" from {code(setup.repo)}" if setup.repo else "")
    return name if setup.vocabulary == "full" else f"{name}, its vocabulary trimmed"


def _described(system: System, shots: int) -> str:
    if not system.trained:
        return f"the base model, prompted {_examples(shots)}"
    pairs = PAIRS.get((system.genuine, system.synthetic))
    return f"fine-tuned on {pairs} only" if pairs else f"fine-tuned on {BOTH}"


def _examples(shots: int) -> str:
    return "with examples from the training set" if shots else "without examples"


def _does(a: System, b: System) -> str:
    ours, theirs = (a.genuine, a.synthetic), (b.genuine, b.synthetic)
    if not b.trained:
        return AGAINST_NOTHING[ours]
    if ours == (True, True) and theirs == (True, False):
        return "Adding backtranslated pairs to the genuine ones"
    return f"Training on {PAIRS.get(ours, BOTH)} in place of {PAIRS.get(theirs, BOTH)}"
