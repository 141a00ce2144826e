"""Cut runs of the smoke preset off again and again, let them through, and compare with a run that nothing disturbed.

    python tests/chaos.py --kills 40                      SIGKILL, to the whole process group
    python tests/chaos.py --kills 40 --signal TERM
    python tests/chaos.py --kills 4 --queue               two experiments at a time, by two workers of DVC's queue
    python tests/chaos.py --full                          a disk that fills up; needs root, and 4 GB of memory

The longer form of the last test of tests/test_language_pair.py, to be run by hand. With `--expected FILE` the digests
and the order of the stages of the undisturbed run are kept in a file, for the other forms. Each kill draws a stage, and
the seconds from its beginning; the draws are sorted by the order of the stages, so that all of them are hit, and what
comes before is let through. The batches are small, and checkpoints many, so that there is something to lose. It prints
what each kill hit, and ends with exit code 1 where anything differs or stays.
"""

import argparse
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "stages"), str(ROOT / "tests")]

from chaos_disk import fill  # noqa: E402 (stages/ and tests/ must be found first)
from chaos_queue import EXPERIMENTS, disturb_queue  # noqa: E402
from clone import cloned, preset  # noqa: E402
from disturbed import RUNNING, Disturbed, Moment, outs  # noqa: E402
from launch import FLOAT32  # noqa: E402

SAVE_STEPS = 2
DROPOUT = 0.05
"""So that what goes on has to find its random numbers again."""
VALUES = {
    "lora.dropout": DROPOUT,
    "reverse.lora.dropout": DROPOUT,
    **FLOAT32,
    "comet.precision": "float32",
    "score.precision": "float32",
    **{
        f"{section}.{key}": value
        for section in ("finetune", "reverse.finetune")
        for key, value in {
            "epochs": 2,
            "patience": 2,
            "batch_size": 4,
            "micro_batch_size": 4,
            "micro_batch_tokens": 4096,
            "save_steps": SAVE_STEPS,
            "decode.batch_tokens": 256,
        }.items()
    },
    "backtranslate.decode.batch_tokens": 256,
    "translate.decode.batch_tokens": 1024,
    "score.batch_size": 4,
    "evaluate.batch_size": 4,
}


@dataclass(frozen=True)
class Undisturbed:
    """What a run is held to: the outs, by the parameter that it changes, "" for none; and the order of the stages."""

    outs: dict[str, dict[str, str]]
    order: list[str]


def main(words: Sequence[str] | None = None) -> int:
    """Run the form that is asked for; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    parser.add_argument(
        "--most",
        type=float,
        default=20.0,
        help="seconds from a stage's beginning, or the queue's, to a kill, at the most (20)",
    )
    parser.add_argument("--expected", type=Path, help="what the undisturbed run made; written where it is missing")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--queue", action="store_true")
    form.add_argument("--full", action="store_true")
    asked = parser.parse_args(words)
    rng, number = random.Random(asked.seed), signal.Signals[f"SIG{asked.signal}"]
    with tempfile.TemporaryDirectory() as place:
        expected = undisturbed(Path(place), asked.expected, EXPERIMENTS if asked.queue else [])
        folder, params = Path(place) / "disk" / "disturbed" / "a clone", preset("smoke", VALUES)
        if asked.full:
            faults = fill(folder, params, expected.outs[""], SAVE_STEPS)
        else:
            with cloned(folder, params, {}) as clone:
                if asked.queue:
                    waits = [rng.uniform(0, asked.most) for _ in range(asked.kills)]
                    faults = disturb_queue(clone, expected.outs, waits, number)
                else:
                    draws = drawn(rng, asked.kills, asked.most, expected.order)
                    runs = Disturbed(clone, expected.outs[""], SAVE_STEPS)
                    faults = disturb(runs, draws, expected.order, number)
    print(f"{len(faults)} things are amiss", *faults, sep="\n")
    return 1 if faults else 0


def drawn(rng: random.Random, kills: int, most: float, order: Sequence[str]) -> list[tuple[str, float]]:
    """For each kill a stage, in the order of the stages, and the seconds from its beginning."""
    draws = [(rng.randrange(len(order)), rng.uniform(0, most)) for _ in range(kills)]
    return [(order[place], seconds) for place, seconds in sorted(draws)]


def disturb(
    runs: Disturbed, draws: Sequence[tuple[str, float]], order: Sequence[str], number: signal.Signals
) -> list[str]:
    """Kill `dvc repro` at each of the draws, and let it through; what is amiss.

    Where a stage that is drawn has been run already, the first that runs stands in for it. Once all have, the
    stage that is drawn and what follows from it run once more, with the kill and then without.
    """
    faults, all_done = [], False
    for count, (stage, seconds) in enumerate(draws, start=1):
        stages = "|".join(map(re.escape, order[order.index(stage) :]))
        again = ("--downstream", "--force", stage) if all_done else ()
        hit = runs.kill(Moment(rf"^Running stage '(?:{stages})':$", 0, seconds), number, *again)
        print(f"{count}: {hit or f'all had run {seconds:.1f} s after {stage} had begun'}", flush=True)
        faults += hit.faults if hit else []
        if all_done or hit is None:
            faults += runs.through(*again)
            all_done = True
    return faults + runs.through()


def undisturbed(place: Path, file: Path | None, experiments: Sequence[str]) -> Undisturbed:
    """What a run that nothing disturbs makes, of the preset and with each of the parameters that experiments change."""
    found = Undisturbed(**json.loads(file.read_text())) if file and file.exists() else Undisturbed({}, [])
    if missing := {"", *experiments} - set(found.outs):
        with cloned(place / "undisturbed" / "a clone", preset("smoke", VALUES), {}) as clone:
            for experiment in ["", *sorted(missing - {""})]:
                began = time.monotonic()
                output = clone.dvc("exp", "run", *(["-S", experiment] if experiment else []))
                found.outs[experiment] = outs(clone)
                print(f"undisturbed {experiment}: {time.monotonic() - began:.0f} seconds", flush=True)
                if experiment:
                    clone.reset()
                else:
                    found.order[:] = RUNNING.findall(output)
                    clone.commit()
    if file:
        file.write_text(json.dumps(asdict(found), indent=1, sort_keys=True) + "\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
