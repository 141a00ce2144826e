"""Seconds and peak memory of the text stages as their input grows, each as its own process:

    python bench/growth.py --out growth.json

Segments are those of data/raw/parallel.jsonl, which `make repro` has left in this clone, drawn with replacement, with a
word and two characters of another one put in. What a segment costs is what a run takes beyond a run of the least size,
so that imports are not counted again and again.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "stages"))

from mt.errors import InputError  # noqa: E402 (stages/ must be found first)
from mt.features import FEATURES  # noqa: E402
from mt.files import write_json  # noqa: E402
from mt.segments import Segment, read_segments, write_segments  # noqa: E402
from overrides import rewrite  # noqa: E402
from record import host  # noqa: E402

LEAST = 5_000
SIZES = (10_000, 100_000, 1_000_000)
TESTS = 200
FILTERED = {"src_chars": 30, "length_ratio": 0.5, "repetition": 0.0, "logprob": -1.0, "copy": 0.0, "echo": 0.0}
"""A segment's scores; those that are not here are 1. None of them is dropped for one."""


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def noisy(segments: Sequence[Segment], number: int, seed: int) -> Iterator[Segment]:
    """Yield `number` segments made from those given, each with an id of its own."""
    chance = random.Random(seed)  # noqa: S311
    for i in range(number):
        one, other = chance.choice(segments), chance.choice(segments)
        words = one["src"].split(" ")
        words[chance.randrange(len(words))] = chance.choice(other["src"].split(" "))
        place, start = chance.randrange(len(one["tgt"])), chance.randrange(len(other["tgt"]))
        tgt = one["tgt"][:place] + other["tgt"][start : start + 2] + one["tgt"][place + 1 :]
        yield {"id": f"made:{i}", "src": " ".join(words), "tgt": tgt}


def cost(words: Sequence[str]) -> Cost:
    """Run a command to its end.

    Raises:
        InputError: it failed.
    """
    done = subprocess.run([sys.executable, str(ROOT / "bench/cost_of.py"), *words], cwd=ROOT, stdout=subprocess.PIPE)
    if done.returncode:
        raise InputError(f"{' '.join(words)} ended with {done.returncode}; run it to see why")
    return Cost(**json.loads(done.stdout))


class Stages:
    """The stages on `number` segments, in a folder of their own."""

    def __init__(self, folder: Path, corpus: Sequence[Segment], number: int) -> None:
        self._folder = folder
        self._made = list(noisy(corpus, number, seed=number))
        self._params = folder / "params.yaml"
        self._params.write_bytes((ROOT / "presets/embedded.yaml").read_bytes())
        rewrite(self._params, {"merge.ratio": number / LEAST, "testsets": ["tatoeba"], "leakage.max_share": 1.0})
        for name in ("raw/tests", "tests", "train"):
            (folder / name).mkdir(parents=True)
        write_segments(folder / "tests/tatoeba.jsonl", noisy(corpus, TESTS, seed=0))

    def costs(self) -> dict[str, Cost]:
        """Stage → what it took."""
        return {name: cost(words) for name, words in self._commands()}

    def _commands(self) -> Iterator[tuple[str, list[str]]]:
        folder = self._folder
        write_segments(folder / "raw/parallel.jsonl", self._made)
        splits = ("train", "dev", "mono", "mono-refs", "comet", "pool", "counts")
        flags = [word for out in splits for word in (f"--{out}", f"prepared/{out}.jsonl")]
        yield "prepare", self._stage("prepare", "--raw", "raw", "--tests", "prepared/tests", *flags)
        words = [sys.executable, str(ROOT / "bench/features_of.py"), str(folder / "raw/parallel.jsonl")]
        yield "text features", words
        scores = {name: FILTERED.get(name, 1.0) for name in FEATURES}
        write_segments(folder / "scored.jsonl", ({**one, "scores": scores, "oracle": {}} for one in self._made))
        outs = ("--out", "kept.jsonl", "--counts", "filter.json")
        yield "filter", self._stage("filter", "--scored", "scored.jsonl", "--tests", "tests", *outs)
        write_segments(folder / "genuine.jsonl", [{**one, "id": f"genuine {one['id']}"} for one in self._made[:LEAST]])
        files = ("--genuine", "genuine.jsonl", "--synthetic", "scored.jsonl", "--out", "train/ft_bt.jsonl")
        yield "merge", self._stage("merge", "--at", "system=systems.ft_bt", *files)
        small = ("train", "dev", "mono", "comet")
        for name in small:
            write_segments(folder / f"{name}.jsonl", self._made[:1])
        write_segments(folder / "train/ft_bt.jsonl", self._made[:1])
        folders = ("--metrics", "leaks.json", "--found", "found.jsonl", "--tests", "tests", "--systems", "train")
        pairs = [word for name in small for word in (f"--{name}", f"{name}.jsonl")]
        yield "leakage", self._stage("leakage", *folders, *pairs, "--pool", "raw/parallel.jsonl")

    def _stage(self, name: str, *words: str) -> list[str]:
        command = [sys.executable, str(ROOT / f"stages/{name}.py"), "--params", str(self._params)]
        return [
            *command,
            *(word if word.startswith("--") or "=" in word else str(self._folder / word) for word in words),
        ]


def measured(corpus: Sequence[Segment], number: int) -> dict[str, Cost]:
    """Stage → what it took for `number` segments."""
    with TemporaryDirectory() as folder:
        return Stages(Path(folder), corpus, number).costs()


def compared(found: dict[int, dict[str, Cost]]) -> list[dict[str, Any]]:
    """A row a stage and size: what it took, and for each segment beyond the least size."""
    least = found[LEAST]
    rows = []
    for number, costs in found.items():
        for name, one in costs.items():
            row: dict[str, Any] = {"stage": name, "segments": number, **vars(one)}
            if number > LEAST:
                more = number - LEAST
                row["us_a_segment"] = 1e6 * (one.cpu_seconds - least[name].cpu_seconds) / more
                row["kib_a_segment"] = 1024 * (one.peak_mib - least[name].peak_mib) / more
            rows.append(row)
    return rows


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    asked = parser.parse_args(words)
    try:
        corpus = read_segments(ROOT / "data/raw/parallel.jsonl", ("src", "tgt"))
        found: dict[int, dict[str, Cost]] = {}
        for number in (LEAST, *asked.sizes):
            found[number] = measured(corpus, number)
            write_json(asked.out, {"host": host(), "growth": compared(found)})
        for row in compared(found):
            print(json.dumps(row), flush=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
