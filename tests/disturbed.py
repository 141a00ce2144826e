"""Clones in which runs are cut off: what each cut may cost, and what must be there, and nothing more, at the end."""

import math
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import md5
from itertools import pairwise
from pathlib import Path

from clone import Clone
from mt.claims import DONE
from mt.files import sha256
from mt.memory import FILE, connect

RUNNING = re.compile(r"^Running stage '(.+)':$", re.MULTILINE)
BARS = [re.compile(rf"\r{title}: +\d+%\|[^|]*\| (\d+)/\d+ \[") for title in ("translate", "score")]
"""Of what goes into the memory, translations and their log-probabilities; each is drawn after two seconds of work."""
TRAINED = re.compile(r"\r +\d+%\|[^|]*\| (\d+)/\d+ \[")
RECALLED = re.compile(r"(\d+) (translations|log-probabilities): (\d+) from the memory, (\d+) new$", re.MULTILINE)
"""What is printed before a translating begins, in a training right behind its progress bar."""
RESUMED = re.compile(r"^going on from the checkpoint after step (\d+) of \d+$", re.MULTILINE)
FULL = re.compile(r"(?:error|ERROR): .*(?:disk is full|No space left on device).*$", re.MULTILINE)
"""On a line of its own, or behind a progress bar."""
MENDS = {
    re.compile(r"'(?:\./)?dvc\.lock'(?:,| validation failed| is invalid)"): "git checkout --quiet -- dvc.lock",
    re.compile(r"Unable to read RWLock-file"): "rm .dvc/tmp/rwlock",
}
"""What to do about the files that DVC writes in place: dvc.lock for a quarter of a second after each stage.

A kill can leave a part of one. DVC then says so and does nothing; its run cache brings back what was done.
"""


TORCH_CACHE = "torchinductor_"
"""What torch keeps among temporary files after every run."""

LOOK_SECONDS = 0.05
"""Between two looks at what a run prints and keeps."""


@dataclass(frozen=True)
class Moment:
    """When to kill a run.

    Attributes:
        printed: a regular expression; the run prints it first.
        kept: so many rows more the memory holds then.
        seconds: so many later it is killed.
    """

    printed: str
    kept: int
    seconds: float


@dataclass(frozen=True)
class State:
    """What lies in a clone between two runs, and what the last of them had come to.

    Attributes:
        outs: SHA-256 by path.
        translations: the rows of the memory: translations, and log-probabilities of some.
        checkpoint: the step of the newest one.
        stage: the last that ran.
        held: by what they are, how many rows of the memory that stage must find again.
    """

    outs: Mapping[str, str]
    translations: frozenset[str]
    checkpoint: int
    stage: str
    held: Mapping[str, int]


@dataclass(frozen=True)
class Kill:
    """What a kill hit, and what was amiss afterwards."""

    moment: Moment
    state: State
    faults: list[str]

    def __str__(self) -> str:
        state = self.state
        words = [state.stage, f"{self.moment.seconds:.1f} s after its moment"]
        words += [f"{len(state.translations)} rows in the memory"]
        words += [f"{count} {what} to be found again" for what, count in state.held.items()]
        checkpoint = [f"a checkpoint after step {state.checkpoint}"] if state.checkpoint else []
        return ", ".join(words + checkpoint + [f"AMISS: {fault}" for fault in self.faults])


@dataclass(frozen=True)
class Run:
    """How `dvc repro` ended.

    Attributes:
        code: the exit code; None where it was killed.
        log: what it printed.
        most: the most rows that the memory showed to another process meanwhile.
    """

    code: int | None
    log: str
    most: int


class Disturbed:
    """`dvc repro` in a clone, cut off again and again.

    Args:
        clone: as it was made.
        expected: the outs of an undisturbed run.
        save_steps: of every training.
    """

    def __init__(self, clone: Clone, expected: Mapping[str, str], save_steps: int) -> None:
        self._clone, self._expected, self._save_steps = clone, expected, save_steps
        self._committed = outs(clone)
        self._state = State(self._committed, frozenset(), 0, "", {})

    def kill(self, moment: Moment, number: signal.Signals, *flags: str) -> Kill | None:
        """Start `dvc repro` and kill all of it; None where it had ended well before.

        Args:
            moment: when.
            number: of the signal.
            flags: for `dvc repro`.
        """
        run = self._run(moment, number, *flags)
        if run.code == 0:
            return None
        faults = self._lost(run) + self._half_written()
        if run.code is not None:
            faults.append(f"exit code {run.code}:\n{run.log}")
        return Kill(moment, self._state, faults)

    def through(self, *flags: str) -> list[str]:
        """Let `dvc repro` run to its end; what is amiss then."""
        run = self._run(None, signal.SIGKILL, *flags)
        failed = [f"exit code {run.code}:\n{run.log}"] if run.code else []
        return failed + self._lost(run) + ended(self._clone, self._expected)

    def filled(self) -> tuple[str, list[str]]:
        """Run `dvc repro` until the disk is full: the lines that say so, and what is amiss."""
        run = self._run(None, signal.SIGKILL)
        lines = FULL.findall(run.log)
        faults = self._lost(run) + self._half_written()
        faults += [f"{path.name} stays" for path in unfinished(self._clone)]
        if not run.code or not lines or "Traceback" in run.log:
            faults.append(f"exit code {run.code}:\n{run.log}")
        return "\n".join(lines), faults

    def _run(self, moment: Moment | None, number: signal.Signals, *flags: str) -> Run:
        file = self._clone.folder.parent / "log"
        with file.open("w") as output:
            process = self._clone.start("dvc", "repro", *flags, output=output)
            try:
                code, most = self._watched(process, file, moment)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            if code is None:
                os.killpg(process.pid, number)
                process.wait()
        while group_lives(process.pid):
            time.sleep(LOOK_SECONDS)
        log = file.read_bytes().decode(errors="replace")
        mends = [command for told, command in MENDS.items() if code and told.search(log)]
        for command in mends:
            print(f"the last run left a part of a file of DVC's: {command}", flush=True)
            self._clone.call(*command.split())
        return self._run(moment, number, *flags) if mends else Run(code, log, most)

    def _watched(self, process: subprocess.Popen[str], file: Path, moment: Moment | None) -> tuple[int | None, int]:
        most, began, due = rows(self._clone), None, math.inf
        while (code := process.poll()) is None and time.monotonic() < due:
            time.sleep(LOOK_SECONDS)
            most = max(most, rows(self._clone))
            if moment and began is None and re.search(moment.printed, file.read_text(errors="replace"), re.MULTILINE):
                began = most
            if moment and began is not None and due == math.inf and most >= began + moment.kept:
                due = time.monotonic() + moment.seconds
        return code, most

    def _lost(self, run: Run) -> list[str]:
        before, sections = self._state, RUNNING.split(run.log)
        stage = sections[-2] if len(sections) > 1 else before.stage
        found, kept = outs(self._clone), translations(self._clone)
        step = checkpoint(self._clone, of_the_ended=adapted(found, stage))
        new = len(kept - before.translations)
        self._state = State(found, kept, step, stage, owed(before, new, step, sections))
        gone = [f"the memory showed {run.most} rows, and {len(kept)} are left"] if run.most > len(kept) else []
        return gone + lost(before, self._state, sections, self._save_steps)

    def _half_written(self) -> list[str]:
        return half_written(self._state.outs, places(self._clone.folder), (self._expected, self._committed))


def lost(before: State, after: State, sections: list[str], save_steps: int) -> list[str]:
    """What a run did not find again of the run before it, and what it lost itself, beyond a batch or `save_steps`.

    Args:
        before: where the run began.
        after: where it was cut off.
        sections: what it printed: before the first stage, and then the name and the output of each stage.
        save_steps: of every training.
    """
    names, logs = sections[1::2], sections[2::2]
    faults = []
    if gone := before.translations - after.translations:
        faults.append(f"{len(gone)} translations are gone from the memory")
    said, new = sum(sum(ends(bar, "".join(logs))) for bar in BARS), len(after.translations - before.translations)
    if said > new:
        faults.append(f"{said} translations were finished, and {new} kept")
    if names and names[0] == before.stage:
        faults += missed(before, logs[0])
    if names and not adapted(after.outs, names[-1]) and last(TRAINED, logs[-1]) - after.checkpoint > save_steps:
        faults.append(f"step {last(TRAINED, logs[-1])} was done, and the last checkpoint is {after.checkpoint}")
    return faults


def owed(before: State, new: int, step: int, sections: list[str]) -> dict[str, int]:
    """By what they are, the rows of the memory that the stage that was cut off must find again.

    What a training had translated when it went past a later checkpoint is not asked for again, and left out.

    Args:
        before: where the run began.
        new: rows of the memory since then.
        step: of the newest checkpoint.
        sections: as for `lost`.
    """
    names, logs = sections[1::2], sections[2::2]
    carried = dict(before.held) if names in ([], [before.stage]) else {}
    own = {what: (int(asked), int(known)) for asked, what, known, _ in RECALLED.findall("".join(logs[-1:]))}
    if not own:
        return carried
    *ended, (asked, under_way, known, _) = RECALLED.findall("".join(logs))
    made = {what: asked for what, (asked, _) in own.items()}
    made[under_way] = int(known) + max(new - sum(int(one[3]) for one in ended), 0)
    if step and made[under_way] >= int(asked):
        del made[under_way]
    return carried | made


def missed(before: State, log: str) -> list[str]:
    """What a stage that was cut off did not find again."""
    resumed, faults = last(RESUMED, log), []
    recalled: dict[str, int] = {}
    for _, what, known, _ in RECALLED.findall(log):
        recalled.setdefault(what, int(known))
    for what, count in before.held.items():
        if recalled.get(what, count) < count:
            faults.append(f"of {count} {what} {recalled[what]} were found again")
    if TRAINED.search(log) and resumed != before.checkpoint:
        faults.append(f"the training went on from step {resumed}, not {before.checkpoint}")
    if TRAINED.search(log) and adapted(before.outs, before.stage) and not before.checkpoint:
        faults.append(f"{before.stage} had ended, and is done again")
    return faults


def checkpoint(clone: Clone, of_the_ended: bool) -> int:
    """The step of the newest checkpoint of the training that was cut off, or of the one that has ended; 0 for none."""
    folders = clone.folder.glob(".cache/checkpoints/*/step-*")
    steps = [path for path in folders if (path.parent / DONE).exists() <= of_the_ended]
    return max((int(path.name.removeprefix("step-")) for path in steps), default=0)


def adapted(found: Mapping[str, str], stage: str) -> bool:
    """Whether the adapter of a training is there."""
    return any(path.startswith(f"models/adapters/{stage.partition('@')[2]}/") for path in found)


def last(pattern: re.Pattern[str], text: str) -> int:
    """The last number that a pattern finds; 0 where there is none."""
    return max(map(int, pattern.findall(text)[-1:]), default=0)


def ends(pattern: re.Pattern[str], text: str) -> Iterator[int]:
    """Where each of the progress bars of a text ended: the numbers after which one begins again."""
    numbers = [*map(int, pattern.findall(text)), 0]
    return (one for one, following in pairwise(numbers) if following < one)


@cache
def places(folder: Path) -> list[str]:
    """What the stages of a clone make, as its dvc.yaml says."""
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        return sorted(out.def_path for stage in repo.index.stages for out in stage.outs)


def half_written(found: Mapping[str, str], stages_make: Sequence[str], good: Sequence[Mapping[str, str]]) -> list[str]:
    """The outs that are neither absent nor as they should be.

    Args:
        found: SHA-256 by path.
        stages_make: the outs.
        good: the same as `found`, each of files as they should be.
    """
    known = ({}, *good)
    wrong = (out for out in stages_make if not any(below(found, out) == below(one, out) for one in known))
    return [f"{out} is half written" for out in wrong]


def below(files: Mapping[str, str], place: str) -> dict[str, str]:
    """Of files by their paths, those of one out."""
    return {path: digest for path, digest in files.items() if path == place or path.startswith(f"{place}/")}


def outs(clone: Clone) -> dict[str, str]:
    """The SHA-256 of every file that the stages make."""
    found: dict[str, str] = {}
    for out in map(clone.folder.__truediv__, places(clone.folder)):
        files = sorted(out.rglob("*")) if out.is_dir() else [out]
        found |= {file.relative_to(clone.folder).as_posix(): sha256(file) for file in files if file.is_file()}
    return found


def rows(clone: Clone) -> int:
    """How many rows of the memory another process sees; 0 where it can see none, as while the file is made."""
    file = clone.folder.absolute() / ".cache" / FILE
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0)) as database,
    ):
        (count,) = database.execute("SELECT count(*) FROM translations").fetchone()
        return int(count)
    return 0


def translations(clone: Clone) -> frozenset[str]:
    """What tells each translation in the memory from the others."""
    file = clone.folder / ".cache" / FILE
    if not file.exists():
        return frozenset()
    with closing(connect(file)) as database:
        statement = "SELECT hex(digest) || hex(key) FROM translations JOIN origins ON origins.id = origin"
        return frozenset(name for (name,) in database.execute(statement))


def ended(clone: Clone, expected: Mapping[str, str]) -> list[str]:
    """What is amiss in a clone whose run has ended well."""
    found = outs(clone)
    unlike = sorted(path for path in {**expected, **found} if expected.get(path) != found.get(path))
    status = clone.dvc("status", "--json").strip().split("\n")[-1]
    return [
        *(f"{path} differs" for path in unlike),
        *(f"{path} stays" for path in remains(clone)),
        *([f"dvc status: {status}"] if status != "{}" else []),
    ]


def unfinished(clone: Clone) -> list[Path]:
    """Files and folders of the stages under the names that they have until they are whole."""
    return [path for path in clone.folder.rglob(".*partial") if ".dvc" not in path.parts]


def remains(clone: Clone) -> list[str]:
    """What a run that ended well leaves nowhere: locks, unfinished or temporary files, kept work, a log of the memory.

    Work that is marked as done by a run that was killed right afterwards may stay: it goes after an hour.
    """
    folder = clone.folder
    work = [path for kind in ("checkpoints", "progress", "opened") for path in folder.glob(f".cache/{kind}/*")]
    work = [path for path in work if not (path / DONE).exists()]
    logs = [path for path in folder.glob(f".cache/{FILE}-*") if path.stat().st_size]
    locks = [*folder.glob(".git/**/*.lock"), *held(folder / ".dvc/tmp/rwlock")]
    experiments = [path for path in folder.glob(".dvc/tmp/exps/*") if path.name.startswith("tmp")]
    temporary = [path for path in folder.rglob("*.tmp") if path.relative_to(folder).parts[0] not in (".dvc", ".git")]
    temporary += [path for path in clone.temporary().iterdir() if not path.name.startswith(TORCH_CACHE)]
    found = (*unfinished(clone), *work, *logs, *locks, *experiments, *temporary, *damaged(folder / ".dvc/cache"))
    return [os.path.relpath(path, folder) for path in found]


def held(rwlock: Path) -> list[Path]:
    """DVC's table of locks, if a process that lives has one; DVC drops those of dead ones where they are in its way."""
    text = rwlock.read_text() if rwlock.exists() else ""
    return [rwlock] if any(lives(int(process)) for process in re.findall(r'"pid": (\d+)', text)) else []


def lives(process: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def damaged(cache: Path) -> list[Path]:
    """The files of DVC's cache that are not what their names say."""
    whole = cache / "files" / "md5"
    objects = [path for path in whole.rglob("*") if path.is_file()]
    temporary = [path for path in cache.rglob("*.tmp") if whole not in path.parents]
    return temporary + [path for path in objects if not named(path)]


def named(path: Path) -> bool:
    """Whether a file's name in DVC's cache is its MD5."""
    with path.open("rb") as file:
        digest = md5(usedforsecurity=False)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == path.parent.name + path.name.removesuffix(".dir")


def group_lives(group: int) -> bool:
    """Whether a process of the group is there; SIGTERM lets them end in their own time."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
