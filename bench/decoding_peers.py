"""Decoding with the engine of this project and with transformers' `generate`, on the same prompts.

`generate` does it as its documentation shows: in batches of 32 in the order of the test set, padded on the left.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mt.decode import Decoding, translate
from mt.lm import line_ends, load_adapted, load_base
from mt.params import load
from mt.prompt import FORWARD, Languages, Prompt, Prompter, examples
from mt.quality import chrf
from mt.segments import Segment, read_segments

GENERATE_BATCH = 32
STRATEGIES = {"greedy": 1, "beam 3": 3}


@dataclass(frozen=True)
class Params:
    """What of params.yaml a prompt is made with."""

    languages: Languages
    prompt: Prompt


@dataclass
class Work:
    """One system and one way of decoding, for all contenders; `hyps` is what each wrote last."""

    what: str
    model: Any
    tokenizer: Any
    prompter: Prompter
    segments: list[Segment]
    decoding: Decoding
    hyps: dict[str, list[str]] = field(default_factory=dict)

    def contenders(self) -> dict[str, Callable[[], None]]:
        """Name → what it does in one turn."""
        ways = {"ours": self._ours, "generate": self._generate}
        return {name: partial(self._keep, name, way) for name, way in ways.items()}

    def chrf(self) -> dict[str, float]:
        """Contender → chrF of what it wrote."""
        refs = [segment["tgt"] for segment in self.segments]
        return {name: chrf(hyps, refs).value for name, hyps in self.hyps.items()}

    def agreed(self) -> dict[str, int]:
        """How many translations of ours are those of `generate`, which computes in batches of other rows."""
        same = sum(a == b for a, b in zip(self.hyps["ours"], self.hyps["generate"], strict=True))
        return {"segments": len(self.segments), "same_as_generate": same}

    def _keep(self, name: str, way: Callable[[], list[str]]) -> None:
        self.hyps[name] = way()

    def _ours(self) -> list[str]:
        return translate(self.model, self.tokenizer, self.prompter, self.segments, self.decoding, None)

    def _limits(self) -> list[int]:
        sources = [self.prompter.source(segment) for segment in self.segments]
        return [self.decoding.limit(len(ids)) for ids in self.tokenizer(sources, add_special_tokens=False).input_ids]

    def _generate(self) -> list[str]:
        prompts = [self.prompter.prompt(segment) for segment in self.segments]
        limits, stops = self._limits(), line_ends(self.tokenizer)
        hyps = []
        for start in range(0, len(prompts), GENERATE_BATCH):
            rows = slice(start, start + GENERATE_BATCH)
            batch = self.tokenizer(prompts[rows], return_tensors="pt", padding=True)
            written = self.model.generate(
                batch.input_ids,
                attention_mask=batch.attention_mask,
                max_new_tokens=max(limits[rows]),
                num_beams=self.decoding.beams,
                do_sample=False,
                eos_token_id=stops,
                pad_token_id=self.tokenizer.pad_token_id,
            )[:, batch.input_ids.shape[1] :]
            hyps += [
                line(self.tokenizer.decode(ids[:limit], skip_special_tokens=True))
                for ids, limit in zip(written, limits[rows], strict=True)
            ]
        return hyps


def line(text: str) -> str:
    """The first line, as `mt.decode` cuts it."""
    return " ".join(text.partition("\n")[0].split())


def works(root: Path, segments: int) -> Iterator[Work]:
    """The baseline with its examples, then the fine-tuned system, each greedily and with three beams."""
    params = load(Params, root / "params.yaml", {})
    test = read_segments(root / "data/prepared/tests/tatoeba.jsonl", ("src", "tgt"))[:segments]
    train = read_segments(root / "data/prepared/train.jsonl", ("src", "tgt"))
    base, adapter = root / "models/base", root / "models/adapters/ft"
    for system in ("baseline", "ft"):
        shots = examples(train, params.prompt.shots, "prompt.shots") if system == "baseline" else []
        prompter = Prompter(params.prompt.template, params.languages, FORWARD, shots)
        model, tokenizer = load_adapted(base, adapter, "float32") if system == "ft" else load_base(base, "float32")
        for name, beams in STRATEGIES.items():
            decoding = Decoding("beam" if beams > 1 else "greedy", beams, 1.0, 1.0, 1, 96, 3.0, 8, 16384)
            yield Work(f"{system}, {name}", model, tokenizer, prompter, test, decoding)
