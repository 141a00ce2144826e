"""Fuzz one parser for as long as one likes, guided by what of the code is reached (atheris, on libFuzzer).

The tests fuzz each parser for a moment (tests/test_fuzz.py). For a longer run, which found what the tests of the
parsers now hold, install atheris beside the project and name the parser, one of the keys of fuzz/targets.py:

    pip install atheris==3.0.0
    PYTHONPATH=stages:tests python fuzz/run.py segments -runs=1000000 -max_total_time=3600

What follows the name goes to libFuzzer, and so do these limits, unless others are given: 20 seconds an input, two
gigabytes with all that is loaded, and inputs of at most 16 KiB. A find ends the run with its traceback and leaves the
input as crash-<digest>; `python fuzz/run.py segments crash-<digest>` runs it again. At the end stands the number of
inputs.
"""

import sys
import tempfile
from pathlib import Path

import atheris

LIMITS = ("-timeout=20", "-rss_limit_mb=2048", "-max_len=16384")
MEMORY = Path("/dev/shm")  # noqa: S108 - the parsers' outputs are synced, for which a disk takes a hundred times as long
MAX_WORD = 64
"""Bytes that libFuzzer takes in a word."""


def main(name: str, arguments: list[str]) -> None:
    """Fuzz the target of that name."""
    with atheris.instrument_imports(include=["mt", "ruamel", "tarfile", "zipfile", "gguf"]):
        from targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        folder = Path(scratch)
        seeds, words, own = folder / "seeds", folder / "words", folder / "own"
        for made in (seeds, own):
            made.mkdir()
        long = [word for word in target.words if len(word) > MAX_WORD]
        for number, seed in enumerate([*target.seeds, *long]):
            (seeds / str(number)).write_bytes(seed)
        short = [word for word in target.words if len(word) <= MAX_WORD]
        words.write_text("".join(f'"{escaped(word)}"\n' for word in short or [b"0"]), encoding="ascii")
        replayed = any(Path(argument).is_file() for argument in arguments)
        places = [] if replayed else [str(seeds), f"-dict={words}"]
        atheris.Setup([sys.argv[0], *LIMITS, *places, *arguments], lambda data: target.run(data, own))
        atheris.Fuzz()


def escaped(word: bytes) -> str:
    """Bytes as a dictionary of libFuzzer has them."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
