"""Run the preset `embedded` whole, and say where its time goes, stage by stage, as a table and a JSON file:

    python bench/stage_times.py --out stage_times.json

The run is that of `make repro`, in a copy of the tree in a temporary folder, with the archives of the user's cache.
Each stage's process is started through bench/timed_stage.py; what is left of a stage's time is DVC's, and the
interpreter's start. Where several stages run at a time (`jobs`), their seconds add up to more than the run's.
"""

import argparse
import json
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "stages"))

from mt.errors import InputError  # noqa: E402 (stages/ must be found first)
from mt.files import write_json  # noqa: E402
from mt.segments import decoded_lines  # noqa: E402
from timed_stage import KINDS  # noqa: E402
from wholerun import copy, environment, follow, preset_tool  # noqa: E402

PRESET = "embedded"
COLUMNS = (*KINDS, "dvc", "all")
DONE = re.compile(r"(\S+) \| done, ([\d.]+) s")


def launcher(folder: Path, rows: Path) -> Path:
    """A folder with a `python` that runs what it is told through bench/timed_stage.py."""
    folder.mkdir(parents=True)
    words = [sys.executable, str(ROOT / "bench/timed_stage.py"), str(rows)]
    file = folder / "python"
    file.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    file.chmod(0o755)
    return folder


def combined(seconds: Mapping[str, float], rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Stage → seconds by kind and in all, and MiB.

    Args:
        seconds: stage → its wall time.
        rows: what each stage's process said.
    """
    own = {row["stage"]: row for row in rows}
    found = {}
    for stage, whole in seconds.items():
        kinds = {kind: own[stage][kind] for kind in KINDS}
        found[stage] = {**kinds, "dvc": whole - sum(kinds.values()), "all": whole, "mib": own[stage]["mib"]}
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


def measure(work: Path) -> tuple[float, dict[str, dict[str, float]]]:
    """Run the preset in a folder; the seconds that took, and what `combined` makes of it.

    Raises:
        InputError: as `wholerun.copy` and `repro`.
    """
    rows = work / "processes.jsonl"
    copy(work / PRESET, PRESET, {})
    env = environment(work, None, Path(sys.executable).parent)
    env["PATH"] = f"{launcher(work / 'bin', rows)}{os.pathsep}{env['PATH']}"
    start = time.monotonic()
    preset_tool(work / PRESET, "check")
    seconds = repro(work / PRESET, env)
    whole = time.monotonic() - start
    return whole, combined(seconds, [json.loads(line) for _, line in decoded_lines(rows)])


def repro(tree: Path, env: Mapping[str, str]) -> dict[str, float]:
    """Run tools/repro.py; stage → its seconds, in the order in which they ended.

    Raises:
        InputError: it failed; with its last lines.
    """
    seconds = {}

    def line(text: str) -> None:
        if found := DONE.fullmatch(text):
            print(text, flush=True)
            seconds[found[1]] = float(found[2])

    script = "tools/repro.py"
    code, last = follow([sys.executable, script], tree, {**env, "PYTHONPATH": "stages"}, line)
    if code:
        raise InputError("\n".join([f"{script} ended with {code}; its last lines:", *last]))
    return seconds


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file")
    asked = parser.parse_args(words)
    try:
        with tempfile.TemporaryDirectory(prefix="honyaku-bench-") as scratch:
            whole, stages = measure(Path(scratch).resolve())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_json(asked.out, {"seconds": whole, "stages": stages})
    print(f"{table(stages)}\n\n{whole:.0f} seconds from beginning to end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
