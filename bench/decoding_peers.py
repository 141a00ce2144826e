"""Decoding with the engine of this project, with transformers' `generate`, and with llama.cpp, on the same prompts.

Each does it as its documentation shows: `generate` in batches of 32 in the order of the test set, padded on the left,
in float32; llama.cpp greedily, as it has no beams, and one prompt at a time, on the GGUF from which the base model was
made, which it holds in four bits and with the whole vocabulary, and on it the adapter as GGUF too, unmerged
(bench/llama_peer.py). Ours and `generate` have it merged; ours decodes in float32, and in BF32 as well (mt/bf32.py).
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from gguf import MODEL_ARCH

from fetch_models import Params as Source
from fetch_models import join
from llama_adapter import write_gguf
from mt.archives import user_cache
from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.lm import Precision, line_ends, load_adapted, load_base
from mt.params import Key, load
from mt.prompt import FORWARD, Languages, Prompt, Prompter, examples
from mt.quality import chrf
from mt.segments import Segment, read_segments

GENERATE_BATCH = 32
OPENMP = ("OMP_", "GOMP_")
PRECISIONS: tuple[Precision, Precision] = ("float32", "bf32")
STRATEGIES = {"greedy": 1, "beam 3": 3}


@dataclass(frozen=True)
class Params:
    """What of params.yaml a prompt is made with, and in which batches a test set is translated."""

    languages: Languages
    prompt: Prompt
    batch_tokens: Annotated[int, Key("translate.decode.batch_tokens")]


@dataclass
class Work:
    """One system and one way of decoding, for all contenders; `hyps` is what each wrote last."""

    what: str
    model: Any
    bf32: Any
    tokenizer: Any
    prompter: Prompter
    segments: list[Segment]
    decoding: Decoding
    llama: "Llama | None"
    hyps: dict[str, list[str]] = field(default_factory=dict)

    def contenders(self) -> dict[str, Callable[[], None]]:
        """Name → what it does in one turn."""
        ways: dict[str, Callable[[], list[str]]] = {
            "ours": partial(self._ours, self.model),
            "ours, bf32": partial(self._ours, self.bf32),
            "generate": self._generate,
        }
        if self.llama is not None:
            ways["llama.cpp"] = partial(self._llama, self.llama)
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

    def _ours(self, model: Any) -> list[str]:
        return translate(model, self.tokenizer, self.prompter, self.segments, self.decoding, None)

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

    def _llama(self, llama: "Llama") -> list[str]:
        prompts = [self.prompter.prompt(segment) for segment in self.segments]
        return [line(llama(prompt, limit)) for prompt, limit in zip(prompts, self._limits(), strict=True)]


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
        (model, tokenizer), (bf32, _) = (
            load_adapted(base, adapter, precision) if system == "ft" else load_base(base, precision)
            for precision in PRECISIONS
        )
        for name, beams in STRATEGIES.items():
            decoding = Decoding("beam" if beams > 1 else "greedy", beams, 1.0, 1.0, 1, 96, 3.0, 8, params.batch_tokens)
            llama = llama_of(root, adapter if system == "ft" else None) if beams == 1 else None
            yield Work(f"{system}, {name}", model, bf32, tokenizer, prompter, test, decoding, llama)


class Llama:
    """llama.cpp as it is by itself: a process without what this project has OpenMP do."""

    def __init__(self, *files: Path) -> None:
        words = [sys.executable, str(Path(__file__).with_name("llama_peer.py")), *map(str, files)]
        env = {name: value for name, value in os.environ.items() if not name.startswith(OPENMP)}
        self._process: Any = subprocess.Popen(
            words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._answer()

    def __call__(self, prompt: str, limit: int) -> str:
        """What it writes after the prompt, in so many tokens at the most."""
        print(json.dumps({"prompt": prompt, "n_predict": limit}), file=self._process.stdin, flush=True)
        text: str = json.loads(self._answer())
        return text

    def _answer(self) -> str:
        answer: str = self._process.stdout.readline()
        if not answer:
            raise InputError(
                f"llama.cpp ended with {self._process.wait()}; run {' '.join(self._process.args)} to see why"
            )
        return answer


def llama_of(root: Path, adapter: Path | None) -> Llama | None:
    """llama.cpp with the GGUF that models.source names, and an adapter of it; None where xllamacpp is not installed."""
    if find_spec("xllamacpp") is None:
        return None
    model = load(Source, root / "params.yaml", {"model": "models.source"}).model
    with TemporaryDirectory() as folder:
        path, lora = Path(folder) / "model.gguf", Path(folder) / "adapter.gguf"
        join(model, user_cache(), path)
        if adapter is None:
            return Llama(path)
        write_gguf(adapter, MODEL_ARCH.GEMMA3, lora)
        return Llama(path, lora)
