"""Ours and what people would use instead, side by side on the same work, into one JSON file and a table:

    make bench

reads what `make repro` has left in this clone. Contenders take turns, so that a machine that slows down slows all of
them; each has one turn that is not counted. A rate is the median of the turns, and a ratio is ours to the peer's in the
same turn, median too. Parts: training (bench/training_peers.py), decoding (bench/decoding_peers.py) and scoring
(bench/scoring_peers.py); TRL, llama.cpp and sentence-transformers take part where they are installed, as
`pip install '.[bench]'` does.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "stages"))

import decoding_peers  # noqa: E402 (stages/ must be found first)
import scoring_peers  # noqa: E402
from mt.errors import InputError  # noqa: E402
from mt.files import write_json  # noqa: E402
from record import host  # noqa: E402
from timing import seconds  # noqa: E402
from training_peers import OURS, TRAINER, WHOLE, contenders  # noqa: E402


def in_turns(doing: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds of each contender in each turn, after one turn to warm up."""
    found: dict[str, list[float]] = {name: [] for name in doing}
    for turn in range(turns + 1):
        for name, do in doing.items():
            took = seconds(do, warm=0, repeats=1, inner=1)
            if turn:
                found[name].append(took)
    return found


def compared(took: Mapping[str, Sequence[float]], work: int) -> dict[str, dict[str, Any]]:
    """Contender → its seconds, its rate (`work` a second, median), and how many times as fast ours is."""
    return {
        name: {
            "seconds": list(turns),
            "rate": work / median(turns),
            "ratio": median(peer / own for peer, own in zip(turns, took[OURS], strict=True)),
        }
        for name, turns in took.items()
    }


def decoding(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A figure for each system and way of decoding; segments a second."""
    for work in decoding_peers.works(ROOT, asked.segments):
        took = in_turns(work.contenders(), asked.turns)
        yield {
            "work": work.what,
            "contenders": compared(took, len(work.segments)),
            "chrf": work.chrf(),
            **work.agreed(),
        }


def training(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One figure; target tokens a second, and the losses of the first training."""
    made = contenders(ROOT, asked.rows)
    took = in_turns(made, asked.turns)
    losses = {name: one.losses for name, one in made.items()}
    pairs = zip(losses[WHOLE], losses[TRAINER], strict=True)
    yield {
        "work": f"training, {asked.rows} pairs",
        "contenders": compared(took, made[OURS].target_tokens),
        "losses": losses,
        "loss_apart": max(abs(a - b) for a, b in pairs),
    }


def scoring(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A figure for COMET and one for the encoder; texts a second."""
    for work in scoring_peers.works(ROOT, asked.segments):
        yield {"work": work.what, "contenders": compared(in_turns(work.contenders, asked.turns), work.texts)}


PARTS = {"training": training, "decoding": decoding, "scoring": scoring}


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    """A row for each contender of each piece of work."""
    lines = ["| work | contender | a second | ours is faster by | chrF |", "| --- | --- | --- | --- | --- |"]
    for figure in figures:
        for name, one in figure["contenders"].items():
            chrf = f"{figure['chrf'][name]:.2f}" if "chrf" in figure else ""
            lines.append(f"| {figure['work']} | {name} | {one['rate']:.2f} | {one['ratio']:.2f} | {chrf} |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--segments", type=int, default=200, help="of the test set tatoeba; and synthetic ones")
    parser.add_argument("--rows", type=int, default=48, help="pairs that are trained on, a multiple of the batch")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    asked = parser.parse_args(words)
    done: dict[str, list[dict[str, Any]]] = {}
    try:
        for part in asked.parts:
            done[part] = []
            for figure in PARTS[part](asked):
                done[part].append(figure)
                write_json(asked.out, {"host": host(), **done})
                print(f"measured: {figure['work']}", flush=True)
        print(table([figure for figures in done.values() for figure in figures]))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
