"""Measure what this project does on a GPU, part by part, into one JSON file:

    python bench/gpu.py --out gpu.json

Parts, in their order; `--parts` chooses some:
    ceiling    what the device reaches at best: bfloat16 matrix products, copies (bench/ceiling.py)
    wiki270m   the wiki270m preset whole, its scores too (bench/wholerun.py)
    mistral    LoRA, QLoRA and decoding of a model of Mistral 7B v0.3's shape, against the ceiling (bench/mistral.py)
    embedded   the embedded preset whole

Each part is a process of its own, so that it leaves no memory behind and one that dies takes no other with it. The file
is written whole after each figure, and parts that an earlier call put there stay: after a cut the rest can follow with
`--parts`. With `--work FOLDER`, which is kept, a pipeline goes on at the stage at which it was cut off.

`--size toy` makes ceiling and mistral small enough for a CPU. The presets are as they are, everywhere, but for
`--set KEY=VALUE` (as often as needed), which gives a key of the one preset among `--parts` another value; the file says
so beside the figures. wiki270m needs it where the corpus is its sample of 9,072 pairs, which has 4,099 segments for
prepare.mono and not 5,000:

    python bench/gpu.py --out gpu.json --cache CACHE --work WORK --parts wiki270m --set prepare.mono=4099

On a host without a network, `--cache FOLDER` holds the archives, in FOLDER/honyaku: those that a run elsewhere has left
in ~/.cache/honyaku, wiki_corpus_2.01.tar.gz among them.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "stages"))

import wholerun  # noqa: E402 (stages/ must be found first)
from mt.errors import InputError  # noqa: E402
from overrides import parsed  # noqa: E402
from record import PARTS, PRESETS, Record, on_gpu  # noqa: E402


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file; one that is there is added to")
    parser.add_argument("--size", choices=("full", "toy"), default="full", help="of ceiling and mistral")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another value for a key of the preset"
    )
    parser.add_argument("--cache", type=Path, help="the folder to use as XDG_CACHE_HOME")
    parser.add_argument("--work", type=Path, help="the folder to work in, kept; without it, a temporary one")
    parser.add_argument("--minutes", type=float, default=25.0, help="stop after so many (25)")
    parser.add_argument("--here", choices=PARTS, help=argparse.SUPPRESS)  # the process of one part
    asked = parser.parse_args(words)
    if asked.size == "full" and not asked.here and {"ceiling", "mistral"} & set(asked.parts) and not on_gpu():
        parser.error("no GPU is here; add --size toy, or --parts embedded")
    try:
        asked.overrides = overrides(asked)
    except InputError as error:
        parser.error(str(error))
    return asked


def overrides(asked: argparse.Namespace) -> dict[str, Any]:
    """What --set says, held to the presets that are asked for and to what lies in --work.

    Raises:
        InputError: it cannot be so.
    """
    presets = [part for part in ([asked.here] if asked.here else asked.parts) if part in PRESETS]
    found = parsed(asked.set)
    if found and len(presets) != 1:
        raise InputError(f"--set is for one preset; write --parts with one of {', '.join(PRESETS)}")
    for preset in presets:
        wholerun.check(preset, found, asked.work)
    return found


def measure(part: str, asked: argparse.Namespace, record: Record) -> None:
    """Run one part in this process."""
    with record.running(part):
        if part == "ceiling":
            import ceiling

            ceiling.measure(ceiling.SIZES[asked.size], record)
        elif part == "mistral":
            import mistral

            mistral.measure(mistral.SIZES[asked.size], asked.work, record)
        else:
            wholerun.measure(part, asked.overrides, asked.work, asked.cache, record)


def planned(parts: Sequence[str], record: Record) -> list[str]:
    """The parts in their order, and the ceiling before what is compared with it, if it is not known of this device."""
    wanted = set(parts)
    if "mistral" in wanted and not record.has_ceiling():
        wanted.add("ceiling")
    return [part for part in PARTS if part in wanted]


def start(part: str, words: Sequence[str], seconds: float, record: Record) -> None:
    """Run one part in a process of its own, and end that, and what it has started, after so many seconds."""
    command = [sys.executable, str(Path(__file__).resolve()), *words, "--here", part]
    env = {"CUDA_VISIBLE_DEVICES": "0", **os.environ}  # the figures are of one device
    with subprocess.Popen(command, env=env, start_new_session=True) as process:
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            record.ended(part, "cut off", f"no time was left after {seconds:.0f} seconds; see --minutes")
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            record.ended(part, "cut off", "ended from outside")
            raise
        else:
            if code:
                record.ended(part, "failed", f"the process ended with exit code {code}")


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, so that what was started ends too."""

    def end(number: int, _: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)  # a second one, such as of `timeout`, must not stop the ending
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(words: Sequence[str] | None = None) -> int:
    """0 where every part asked for is done."""
    asked = arguments(words)
    record = Record(asked.out)
    if asked.here:
        measure(asked.here, asked, record)
        return 0
    end = time.monotonic() + asked.minutes * 60
    with sigterm_raises(), tempfile.TemporaryDirectory(prefix="honyaku-bench-") as scratch:
        flags = ["--out", str(asked.out), "--size", asked.size, "--work", str((asked.work or Path(scratch)).resolve())]
        flags += ["--cache", str(asked.cache)] if asked.cache else []
        parts = planned(asked.parts, record)
        for part in parts:
            print(f"== {part}", flush=True)
            own = [f"--set={word}" for word in asked.set if part in PRESETS]
            start(part, [*flags, *own], max(0.0, end - time.monotonic()), record)
    states = {part: record.status(part) for part in parts}
    print(*(f"{part}: {state}" for part, state in states.items()), sep="\n")
    return 0 if set(states.values()) == {"done"} else 1


if __name__ == "__main__":
    sys.exit(main())
