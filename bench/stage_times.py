"""Run the preset `embedded` whole, and say where its time goes, stage by stage, as a table and a JSON file:

    python bench/stage_times.py --out stage_times.json

The run is in a copy of the tree in a temporary folder, with the archives of the user's cache. Each stage's process is
started through bench/timed_stage.py; what is left of a stage's time is DVC's, and the interpreter's start.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "stages"))

from mt.errors import InputError  # noqa: E402 (stages/ must be found first)
from mt.files import write_json  # noqa: E402
from mt.segments import decoded_lines  # noqa: E402
from timed_stage import KINDS  # noqa: E402
from wholerun import StageClock, copy, environment, repro  # noqa: E402

PRESET = "embedded"
COLUMNS = (*KINDS, "dvc", "all")


def launcher(folder: Path, rows: Path) -> Path:
    """A folder with a `python` that runs what it is told through bench/timed_stage.py."""
    folder.mkdir(parents=True)
    words = [sys.executable, str(ROOT / "bench/timed_stage.py"), str(rows)]
    file = folder / "python"
    file.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    file.chmod(0o755)
    return folder


def combined(seconds: Mapping[str, float], rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Stage → seconds by kind and in all, and MiB.

    Args:
        seconds: stage → its wall time, in the order in which they ran.
        rows: what each stage's process said, in that order.
    """
    found = {}
    for (stage, whole), row in zip(seconds.items(), rows, strict=True):
        own = {kind: row[kind] for kind in KINDS}
        found[stage] = {**own, "dvc": whole - sum(own.values()), "all": whole, "mib": row["mib"]}
    return found


def table(stages: Mapping[str, Mapping[str, float]]) -> str:
    """A row for each stage, and one for all."""
    lines = [f"| stage | {' | '.join(COLUMNS)} | MiB |", f"| --- |{' --- |' * (len(COLUMNS) + 1)}"]
    sums = {kind: sum(one[kind] for one in stages.values()) for kind in COLUMNS}
    most = max(one["mib"] for one in stages.values())
    for name, one in [*stages.items(), ("all", {**sums, "mib": most})]:
        cells = [f"{one[kind]:.1f}" for kind in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} | {one['mib']:,.0f} |")
    return "\n".join(lines)


def measure(work: Path) -> dict[str, dict[str, float]]:
    """Run the preset in a folder, and give what `combined` makes of it.

    Raises:
        InputError: as `wholerun.copy` and `wholerun.repro`.
    """
    rows = work / "processes.jsonl"
    copy(work / PRESET, PRESET, {})
    env = environment(work, None, Path(sys.executable).parent)
    env["PATH"] = f"{launcher(work / 'bin', rows)}{os.pathsep}{env['PATH']}"
    clock = StageClock({})
    repro(work / PRESET, env, clock, lambda: None)
    return combined(clock.seconds, [json.loads(line) for _, line in decoded_lines(rows)])


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file")
    asked = parser.parse_args(words)
    try:
        with tempfile.TemporaryDirectory(prefix="honyaku-bench-") as scratch:
            stages = measure(Path(scratch).resolve())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_json(asked.out, stages)
    print(table(stages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
