"""One interface for all reverse models, and the one that is a language model; mt.seq2seq holds the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.lm import Precision, identity, load_adapted, load_base, mean_logprobs
from mt.prompt import Prompter
from mt.recall import open_memory
from mt.segments import Segment


class Translator(Protocol):
    """Translates the `tgt` of segments back into the source language.

    Under a launcher every process calls the same methods with the same segments, does its share, and gets all results.
    """

    revision: str
    """Names the exact weights."""

    def translate(self, segments: Sequence[Segment]) -> list[str]:
        """As many texts as segments, in their order, one line each, perhaps empty.

        Raises:
            InputError: a segment is too long for the model, or not even one fits into memory.
        """

    def logprobs(self, segments: Sequence[Segment], sources: Sequence[str]) -> list[float]:
        """Mean natural log-probability per token that the model gives each source after the segment's `tgt`.

        The end of the text counts as a token, so that an empty source has one. Tokens are the model's own: values of
        two models with unlike vocabularies do not compare.
        """


class Causal:
    """A language model that is prompted, with or without a LoRA adapter.

    Args:
        base: the model's folder.
        adapter: the adapter's folder, or None for the base model alone.
        prompter: makes the prompt; its direction is REVERSE.
        precision: as of `mt.lm.load_base`.
        decoding: how translations are searched for.

    Raises:
        InputError: there is no adapter at `adapter`.
    """

    def __init__(
        self, base: Path, adapter: Path | None, prompter: Prompter, precision: Precision, decoding: Decoding
    ) -> None:
        if adapter and not (adapter / "adapter_config.json").is_file():
            raise InputError(
                f"{adapter}: holds no adapter; in params.yaml write 1 or more for reverse.finetune.epochs, "
                "or prompted or seq2seq for reverse.model"
            )
        self._model, self._tokenizer = load_adapted(base, adapter, precision) if adapter else load_base(base, precision)
        self._prompter = prompter
        self._decoding = decoding
        self._identity = identity(base, adapter, precision)
        self.revision: str = self._identity["revision"]

    def translate(self, segments: Sequence[Segment]) -> list[str]:
        """See `Translator.translate`."""
        with open_memory(self._identity, self._decoding) as memory:
            return translate(self._model, self._tokenizer, self._prompter, segments, self._decoding, memory)

    def logprobs(self, segments: Sequence[Segment], sources: Sequence[str]) -> list[float]:
        """See `Translator.logprobs`; the text ends with the end of its line, as the template has it."""
        pairs = [
            (self._prompter.prompt(segment), self._prompter.continuation({**segment, "src": src}))
            for segment, src in zip(segments, sources, strict=True)
        ]
        with open_memory(self._identity, self._decoding) as memory:
            return mean_logprobs(self._model, self._tokenizer, pairs, self._decoding.batch_tokens, memory)
