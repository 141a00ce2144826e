"""What the tests that kill runs see of a loss, on logs and caches that have one."""

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from hashlib import md5
from pathlib import Path

import pytest

from chaos import drawn
from clone import Clone
from disturbed import (
    BARS,
    Disturbed,
    Moment,
    State,
    damaged,
    ends,
    group_lives,
    half_written,
    held,
    lost,
    owed,
    remains,
    rows,
    translations,
)
from mt.memory import FILE, Memory, Translation

NONE = State({}, frozenset(), 0, "", {})


def bar(title: str, *numbers: int) -> str:
    return "".join(f"\r{title}{100 * n // 8:3d}%|██▌       | {n}/8 [00:10<00:11,  2.76s/it]" for n in numbers)


def state(translations: int, checkpoint: int, stage: str, held: int) -> State:
    return State({}, frozenset(map(str, range(translations))), checkpoint, stage, {"translations": held})


def asked(*numbers: int, what: str = "translations") -> str:
    count, known, new = numbers
    return f"\n{count} {what}: {known} from the memory, {new} new\n"


@pytest.mark.parametrize(
    ("numbers", "expected"), [((), []), ((0, 2, 4), [4]), ((2, 4, 8, 1, 3), [8, 3]), ((4, 4), [4])]
)
def test_each_progress_bar_ends_at_its_last_number(numbers: tuple[int, ...], expected: list[int]) -> None:
    assert list(ends(BARS[0], bar("translate: ", *numbers))) == expected


@pytest.mark.parametrize(
    ("before", "after", "stage", "log", "expected"),
    [
        (NONE, state(4, 0, "", 0), "backtranslate", bar("translate: ", 2, 4), []),
        (
            NONE,
            state(3, 0, "", 0),
            "backtranslate",
            bar("translate: ", 2, 4),
            ["4 translations were finished, and 3 kept"],
        ),
        (state(4, 0, "", 0), NONE, "backtranslate", "", ["4 translations are gone from the memory"]),
        (NONE, state(0, 2, "", 0), "finetune@ft", bar("", 2, 4), []),
        (NONE, state(0, 2, "", 0), "finetune@ft", bar("", 4, 5), ["step 5 was done, and the last checkpoint is 2"]),
        (
            state(0, 4, "finetune@ft", 0),
            state(0, 6, "", 0),
            "finetune@ft",
            "\ngoing on from the checkpoint after step 4 of 8\n" + bar("", 5, 6),
            [],
        ),
        (
            state(0, 4, "finetune@ft", 0),
            state(0, 0, "", 0),
            "finetune@ft",
            bar("", 1),
            ["the training went on from step 0, not 4"],
        ),
        (
            state(4, 0, "backtranslate", 4),
            state(6, 0, "", 0),
            "backtranslate",
            asked(8, 4, 4) + bar("translate: ", 2),
            [],
        ),
        (
            state(4, 0, "backtranslate", 4),
            state(6, 0, "", 0),
            "backtranslate",
            asked(8, 3, 5) + bar("translate: ", 2),
            ["of 4 translations 3 were found again"],
        ),
        (state(4, 0, "backtranslate", 4), state(4, 0, "", 0), "filter", asked(8, 0, 8), []),
        (
            NONE,
            state(4, 0, "", 0),
            "backtranslate",
            bar("translate: ", 2) + bar("score: ", 3),
            ["5 translations were finished, and 4 kept"],
        ),
    ],
)
def test_a_loss_is_seen(before: State, after: State, stage: str, log: str, expected: list[str]) -> None:
    assert lost(before, after, ["", stage, log], save_steps=2) == expected


@pytest.mark.parametrize(
    ("before", "new", "step", "sections", "expected"),
    [
        (NONE, 3, 0, ["", "translate@bt", asked(8, 0, 8)], {"translations": 3}),
        (NONE, 7, 0, ["", "finetune@bt", asked(4, 0, 4), "translate@bt", asked(8, 2, 6)], {"translations": 5}),
        (
            NONE,
            5,
            0,
            ["", "finetune@bt", bar("", 8) + asked(4, 0, 4).lstrip("\n"), "translate@bt", asked(8, 0, 8)],
            {"translations": 1},
        ),
        (state(3, 0, "translate@bt", 3), 0, 0, ["", "translate@bt", ""], {"translations": 3}),
        (state(3, 0, "translate@bt", 3), 0, 0, [""], {"translations": 3}),
        (state(3, 0, "translate@bt", 3), 0, 0, ["", "translate@bt", "", "evaluate", ""], {}),
        (
            NONE,
            10,
            0,
            ["", "backtranslate", asked(8, 0, 8) + asked(8, 0, 8, what="log-probabilities")],
            {"translations": 8, "log-probabilities": 2},
        ),
        (NONE, 3, 2, ["", "finetune@bt", asked(4, 0, 4)], {"translations": 3}),
        (NONE, 4, 2, ["", "finetune@bt", asked(4, 0, 4)], {}),
    ],
)
def test_what_a_stage_must_find_again_is_what_the_memory_holds_of_it(
    before: State, new: int, step: int, sections: list[str], expected: dict[str, int]
) -> None:
    assert owed(before, new, step, sections) == expected


@pytest.mark.parametrize("stages", [1, 3, 28])
def test_kills_are_sorted_by_the_order_of_the_stages(stages: int) -> None:
    order = [f"stage{number}" for number in reversed(range(stages))]
    draws = drawn(random.Random(1), 40, 20, order)
    places = [order.index(stage) for stage, _ in draws]
    assert places == sorted(places)
    assert len(set(places)) > stages / 2
    assert all(0 <= seconds <= 20 for _, seconds in draws)


class Scripted(Disturbed):
    """`dvc repro` that is another program."""

    def __init__(self, folder: Path, program: str) -> None:
        self._clone, self._program = Clone(folder, {}), program

    def watched(self, moment: Moment) -> tuple[int | None, int]:
        log = self._clone.folder / "log"
        with (
            log.open("w") as output,
            subprocess.Popen([sys.executable, "-uc", self._program], stdout=output, text=True) as process,
        ):
            found = self._watched(process, log, moment)
            process.kill()
        return found


def test_a_kill_waits_until_a_stage_runs_and_a_row_is_kept(tmp_path: Path) -> None:
    file = tmp_path / ".cache" / FILE
    with closing(Memory(file, {})) as memory:
        memory.keep(["old"], [Translation("alt", False)])
    stages = Path(__file__).parents[1] / "stages"
    program = (
        f"import sys, time; sys.path.insert(0, {str(stages)!r})\n"
        "from pathlib import Path; from mt.memory import Memory, Translation\n"
        f"memory = Memory(Path({str(file)!r}), {{}})\n"
        "print(\"Running stage 'b':\"); time.sleep(1)\n"
        "memory.keep(['new'], [Translation('neu', False)]); time.sleep(SECONDS)"
    )
    later = Moment("^Running stage '(?:b|c)':$", 1, 0)
    assert Scripted(tmp_path, program.replace("SECONDS", "60")).watched(later) == (None, 2)
    assert Scripted(tmp_path, program.replace("SECONDS", "0")).watched(Moment("^Running stage 'c':$", 0, 0))[0] == 0


def test_a_training_that_had_ended_and_begins_again_is_seen() -> None:
    before = State({"models/adapters/ft/adapter_config.json": ""}, frozenset(), 0, "finetune@ft", {})
    found = lost(before, NONE, ["", "finetune@ft", bar("", 1)], save_steps=2)
    assert found == ["finetune@ft had ended, and is done again"]


def test_a_cut_file_in_the_cache_is_seen(tmp_path: Path) -> None:
    digest = md5(b"whole", usedforsecurity=False).hexdigest()
    folder = tmp_path / "files" / "md5" / digest[:2]
    folder.mkdir(parents=True)
    (folder / digest[2:]).write_bytes(b"whole")
    assert damaged(tmp_path) == []
    (folder / digest[2:]).write_bytes(b"who")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / ".abc.tmp").touch()
    assert sorted(path.name for path in damaged(tmp_path)) == sorted([".abc.tmp", digest[2:]])


def test_a_lock_is_held_while_its_process_lives(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    for pid, expected in ((os.getpid(), 1), (process.pid, 0)):
        (tmp_path / "rwlock").write_text(json.dumps({"read": {"a": [{"pid": pid, "cmd": "dvc"}]}, "write": {}}))
        assert len(held(tmp_path / "rwlock")) == expected


def test_a_group_lives_until_its_last_process_has_ended() -> None:
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with subprocess.Popen([sys.executable, "-c", child], start_new_session=True) as process:
        process.wait()
        assert group_lives(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
    while group_lives(process.pid):
        pass


def test_every_translation_in_the_memory_counts_once(tmp_path: Path) -> None:
    assert rows(Clone(tmp_path, {})) == 0
    file = tmp_path / ".cache" / FILE
    for facts in ({"model": "a"}, {"model": "b"}):
        with closing(Memory(file, facts)) as memory:
            memory.keep(["one", "two"], [Translation("eins", False), Translation("zwei", False)])
    assert len(translations(Clone(tmp_path, {}))) == rows(Clone(tmp_path, {})) == 4


def test_temporary_files_are_seen(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "a clone", {})
    left = (clone.folder / "data" / "train.jsonl.q8Zk.tmp", clone.temporary() / "tmp2leoqq2n")
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert remains(clone) == ["data/train.jsonl.q8Zk.tmp", "../tmp/tmp2leoqq2n"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, []),
        ({"a/1": "x", "a/2": "y", "b": "z"}, []),
        ({"a/1": "x", "b": "old"}, ["a is half written"]),
        ({"a/1": "x", "a/2": "x"}, ["a is half written"]),
        ({"a/1": "x", "a/2": "y", "a/3": "z"}, ["a is half written"]),
    ],
)
def test_an_out_is_absent_or_whole(found: dict[str, str], expected: list[str]) -> None:
    assert half_written(found, ["a", "b"], [{"a/1": "x", "a/2": "y", "b": "z"}, {"b": "old"}]) == expected
