"""The script that measures a GPU, at toy size on a CPU; of the whole runs, all but DVC's own part."""

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import gpu
import mistral
import overrides
import random_model
import training_rate
import wholerun
from launch import wait_until
from mt.errors import InputError
from mt.files import read_json
from mt.lm import load_base
from mt.params import read_tree
from pipeline import ROOT, stages
from record import Record
from wholerun import StageClock

OUTPUT = """Stage 'models@lid' didn't change, skipping
Running stage 'corpora':
> python stages/fetch_corpora.py --params params.yaml --out data/raw
Updating lock file 'dvc.lock'

WARNING: Process 'dvc repro' with (Pid 1), in RWLock-file 'models/comet' had been killed. Auto removed it.
Running stage 'finetune@reverse':
> python stages/finetune.py --params params.yaml --at lora=reverse.lora
translate:  60%|██████    | 29/48 [00:06<00:04,  4.61segment/s]\rtranslate: 100%|██████████| 48/48 [00:08<00:00]
epoch=1 loss=1.59 chrf=32.57
Updating lock file 'dvc.lock'

Running stage 'report':
> python stages/report.py --params params.yaml
Use `dvc push` to send your updates to remote storage.
"""
"""What `dvc repro` prints, shortened."""

SCORES = {
    "segments": 2,
    "signatures": {"bleu": "nrefs:1"},
    "systems": {"ft": {"bleu": {"value": 5.0, "low": 4.0, "high": 6.0}, "empty": 0}},
    "segment_scores": {"ft": {"chrf": [1.0, 2.0]}},
}


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "gpu.json")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the first two parts record, run in this process."""
    folder = tmp_path_factory.mktemp("bench")
    words = ["--out", str(folder / "gpu.json"), "--size", "toy", "--work", str(folder / "work")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "bitsandbytes", None)
        for part in ("ceiling", "mistral"):
            assert gpu.main([*words, "--here", part]) == 0
    assert list((folder / "work").iterdir()) == []
    tree: dict[str, Any] = read_json(folder / "gpu.json")
    return tree


class TestToy:
    """The first two parts."""

    def test_both_are_done_and_say_where_and_when(self, found: dict[str, Any]) -> None:
        for entry in found.values():
            assert (entry["status"], entry["reason"]) == ("done", None)
            assert entry["host"]["torch"] == torch.__version__
            assert entry["date"][:2] == "20"
            assert entry["seconds"] > 0

    def test_the_ceiling_is_the_best_rate(self, found: dict[str, Any]) -> None:
        matrix = found["ceiling"]["figures"]["matrix"]
        assert sorted(matrix["tflops_by_edge"]) == ["128", "64"]
        assert matrix["tflops"] == max(matrix["tflops_by_edge"].values()) > 0
        assert found["ceiling"]["figures"]["copy"]["gb_per_second"] > 0

    def test_decoding(self, found: dict[str, Any]) -> None:
        figures = found["mistral"]["figures"]["decoding"]["figures"]
        assert [(one["strategy"], one["rows"]) for one in figures] == [
            ("beam 3", 1),
            ("beam 3", 2),
            ("sampling", 1),
            ("sampling", 2),
        ]
        bandwidth = found["ceiling"]["figures"]["copy"]["gb_per_second"] * 1e9
        shape = random_model.TINY
        norms = (2 * shape.layers + 1) * shape.hidden
        read = 2 * (shape.layer_weights + shape.head_weights + norms)
        for one in figures:
            # of so few words, sampling may draw one that marks an end, which is no part of the translation
            assert one["tokens"] == 4 * one["rows"] or (one["strategy"] == "sampling" and 0 < one["tokens"] < 8)
            assert one["tokens_per_second"] == pytest.approx(one["tokens"] / one["seconds"])
            # one for what all prompts begin with, one for the rest of them, and the others a token each
            assert one["forward_passes"] == 1 + 4
            assert one["weights_share"] == pytest.approx(read * 5 / one["seconds"] / bandwidth)

    def test_training(self, found: dict[str, Any]) -> None:
        figures = found["mistral"]["figures"]["training_bfloat16"]["figures"]
        assert [(one["micro_batch_size"], one["gradient_checkpointing"]) for one in figures] == [
            (4, False),
            (8, False),
            (4, True),
            (8, True),
        ]
        for one in figures:
            assert one["tokens_per_second"] == pytest.approx(32 * one["micro_batch_size"] / one["step_seconds"])
            assert one["tokens_per_second"] == pytest.approx(2 * one["target_tokens_per_second"])
            assert (one["hfu"] > one["mfu"]) == one["gradient_checkpointing"]
            assert one["mfu"] > 0

    def test_what_cannot_be_had_says_why(self, found: dict[str, Any]) -> None:
        assert "bitsandbytes" in found["mistral"]["figures"]["training_nf4"]["skipped"]

    def test_every_figure_says_what_was_measured(self, found: dict[str, Any]) -> None:
        for entry in found.values():
            for name, figure in entry["figures"].items():
                assert figure.keys() & {"what", "skipped"}, name


def test_the_shape_is_that_of_mistral_7b() -> None:
    shape = random_model.V03
    norms = (2 * shape.layers + 1) * shape.hidden
    assert shape.layer_weights + 2 * shape.head_weights + norms == 7_248_023_552


def test_the_weights_of_a_shape_are_those_of_its_model(tmp_path: Path) -> None:
    random_model.save(random_model.TINY, tmp_path)
    model, tokenizer = load_base(tmp_path, "bfloat16")
    assert random_model.TINY.layer_weights == sum(
        module.weight.numel() for module in model.model.layers.modules() if isinstance(module, torch.nn.Linear)
    )
    assert random_model.TINY.head_weights == model.lm_head.weight.numel()
    assert model.config.rope_theta == 1e6
    assert len(tokenizer) == random_model.TINY.vocabulary
    assert tokenizer(random_model.text(9, 256, 1)).input_ids[1:] == [
        int(word[1:]) for word in random_model.text(9, 256, 1).split()
    ]


SMALL = random_model.Shape(hidden=4, intermediate=8, layers=3, heads=2, kv_heads=1, vocabulary=10)


@pytest.mark.parametrize(
    ("recomputed", "expected"),
    [
        # a layer: 4x4 for queries and outputs, 4x2 for keys and values, three of 4x8; three layers; a head of 4x10
        pytest.param(False, (4 * 432 * 7 + 4 * 40 * 5, 4 * 432 * 7 + 4 * 40 * 5), id="kept"),
        pytest.param(True, (4 * 432 * 7 + 4 * 40 * 5, 6 * 432 * 7 + 4 * 40 * 5), id="recomputed"),
    ],
)
def test_operations(recomputed: bool, expected: tuple[int, int]) -> None:
    assert training_rate.operations(SMALL, 7, 5, recomputed) == expected


def test_training_grows_until_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(model: Any, tokenizer: Any, size: Any, rows: int, checkpointing: bool) -> float:
        if rows > (16 if checkpointing else 4):
            raise torch.OutOfMemoryError
        return 0.5

    monkeypatch.setattr(training_rate, "step_seconds", step)
    monkeypatch.setattr(training_rate, "adapt", lambda model, lora: model)
    size = mistral.SIZES["full"].training
    *_, last = training_rate.measure(None, None, "bfloat16", random_model.V03, size, 800.0)
    assert [
        (one["micro_batch_size"], one["gradient_checkpointing"], "out_of_memory" in one) for one in last["figures"]
    ] == [(4, False, False), (16, False, True), (4, True, False), (16, True, False), (64, True, True)]
    assert last["figures"][0]["tokens_per_second"] == 4 * 256 / 0.5


@pytest.mark.parametrize(
    ("ends", "expected", "stops"),
    [
        pytest.param([0.0, 9.0, 9.5], [0.5], False, id="too few"),
        pytest.param([0.0, 9.0, 9.5, 10.0, 10.5], [0.5, 0.5, 0.5], False, id="at least three, but short"),
        pytest.param([0.0, 9.0, 11.0, 13.0, 20.0], [2.0, 2.0, 7.0], True, id="three that are long enough"),
        pytest.param([float(i) / 100 for i in range(12)], [0.01] * 10, True, id="the most"),
    ],
)
def test_step_clock(ends: list[float], expected: list[float], stops: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import TrainerControl

    clock, control, now = training_rate.StepClock(mistral.SIZES["full"].training), TrainerControl(), iter(ends)
    monkeypatch.setattr(training_rate.time, "perf_counter", lambda: next(now))
    for _ in ends:
        assert not control.should_training_stop
        clock.on_step_end(None, None, control)
    assert clock.seconds == pytest.approx(expected)
    assert control.should_training_stop == stops


class TestRecord:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (torch.OutOfMemoryError("CUDA out of memory"), ("out of memory", "CUDA out of memory")),
            (InputError("no dvc"), ("failed", "no dvc")),
        ],
        ids=["memory", "input"],
    )
    def test_an_end_that_is_known(self, error: Exception, expected: tuple[str, str], record: Record) -> None:
        def fail() -> None:
            record.add("ceiling", {"copy": 1})
            raise error

        with record.running("ceiling"):
            fail()
        record.ended("ceiling", "failed", "from outside")
        entry = read_json(record.path)["ceiling"]
        assert (entry["status"], entry["reason"], entry["figures"]) == (*expected, {"copy": 1})

    def test_an_end_that_is_not(self, record: Record) -> None:
        def die() -> None:
            with record.running("ceiling"):
                record.add("ceiling", {"copy": 1})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            die()
        assert record.status("ceiling") == "running"
        record.ended("ceiling", "failed", "exit code 1")
        assert (record.status("ceiling"), record.figures("ceiling")) == ("failed", {"copy": 1})

    def test_figures_are_in_the_file_at_once_and_parts_stay(self, record: Record) -> None:
        with record.running("ceiling"):
            record.add("ceiling", {"copy": 1})
            assert read_json(record.path)["ceiling"]["figures"] == {"copy": 1}
        with record.running("mistral"):
            record.add("mistral", {"decoding": 2})
        again = Record(record.path)
        with again.running("ceiling"):
            again.add("ceiling", {"matrix": 3})
        tree = read_json(record.path)
        assert {part: entry["figures"] for part, entry in tree.items()} == {
            "ceiling": {"copy": 1, "matrix": 3},
            "mistral": {"decoding": 2},
        }

    def test_the_ceiling_is_of_one_device(self, record: Record) -> None:
        assert gpu.planned(["embedded", "mistral"], record) == ["ceiling", "mistral", "embedded"]
        with record.running("ceiling"):
            assert not record.has_ceiling()
        assert gpu.planned(["embedded", "mistral"], record) == ["mistral", "embedded"]
        assert gpu.planned(gpu.PARTS, record) == ["ceiling", "wiki270m", "mistral", "embedded"]
        tree = read_json(record.path)
        tree["ceiling"]["host"]["device"] = "another"
        record.path.write_text(json.dumps(tree), encoding="utf-8")
        assert gpu.planned(["mistral"], record) == ["ceiling", "mistral"]


def holding(lock: Path) -> str:
    """A script that starts a process which holds a lock, and has written to the file once it does."""
    hold = f"import fcntl, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, 2); print('x', file=f, flush=True)"
    hold += "; time.sleep(99)"
    return f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"


def wait_until_free(lock: Path) -> None:
    """Fail if what holds the lock still runs."""

    def free() -> bool:
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    wait_until(free, 30)


class TestStart:
    """Parts that run in processes of their own, here scripts in the place of gpu.py."""

    def script(self, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "part.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(gpu, "__file__", str(folder / "part.py"))

    def test_the_part_gets_its_flags(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record) -> None:
        self.script("import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[3])", tmp_path, monkeypatch)
        gpu.start("wiki270m", [str(tmp_path / "flags")], 60, record)
        assert (tmp_path / "flags").read_text() == "wiki270m"
        assert record.status("wiki270m") == "not run"

    def test_one_that_dies_is_said_to_have(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record
    ) -> None:
        self.script("import os; os.abort()", tmp_path, monkeypatch)
        gpu.start("mistral", [], 60, record)
        assert read_json(record.path)["mistral"] == {
            "status": "failed",
            "reason": "the process ended with exit code -6",
        }

    def test_one_that_is_too_long_ends_with_all_it_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record
    ) -> None:
        lock = tmp_path / "lock"
        self.script(holding(lock), tmp_path, monkeypatch)
        gpu.start("wiki270m", [], 5, record)
        assert record.status("wiki270m") == "cut off"
        assert lock.read_text() == "x\n"
        wait_until_free(lock)

    def test_sigterm_ends_it_with_all_it_started(self, tmp_path: Path, record: Record) -> None:
        lock, part = tmp_path / "lock", tmp_path / "part.py"
        part.write_text(holding(lock), encoding="utf-8")
        words = ["--out", str(record.path), "--parts", "embedded", "--work", str(tmp_path / "work")]
        code = f"import sys, gpu; gpu.__file__ = {str(part)!r}; sys.exit(gpu.main({words!r}))"
        path = os.pathsep.join(str(ROOT / folder) for folder in ("bench", "stages"))
        with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}) as process:
            wait_until(lambda: lock.exists() and lock.read_text() == "x\n", 30)
            process.terminate()
            assert process.wait(30) == 143
        wait_until_free(lock)
        assert read_json(record.path)["embedded"] == {"status": "cut off", "reason": "ended from outside"}

    def test_sigterm_is_as_it_was_afterwards(self, tmp_path: Path) -> None:
        before = signal.getsignal(signal.SIGTERM)
        gpu.main(["--out", str(tmp_path / "gpu.json"), "--parts", "embedded", "--minutes", "0"])
        assert signal.getsignal(signal.SIGTERM) == before


def test_stage_clock() -> None:
    clock = StageClock({"models@lid": 7.0, "report": 99.0})
    begins = [clock.line(line, float(now)) for now, line in enumerate(OUTPUT.split("\n"))]
    assert sum(begins) == 3
    assert clock.running == "report"
    clock.end(20.0)
    assert clock.seconds == {"models@lid": 7.0, "corpora": 5.0, "finetune@reverse": 6.0, "report": 8.0}
    assert clock.running is None


class TestWholeRun:
    """A preset's run with a `dvc` of the tests' own."""

    @pytest.fixture
    def programs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder of this Python as the parts see it."""
        folder = tmp_path / "programs"
        folder.mkdir()
        self.program(folder / "python", f'exec {shlex.quote(sys.executable)} "$@"')
        monkeypatch.setattr(sys, "executable", str(folder / "python"))
        monkeypatch.setenv("DVC_ROOT", "elsewhere")
        return folder

    def program(self, path: Path, text: str) -> None:
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def dvc(self, programs: Path, output: str, code: int) -> None:
        """Put a `dvc` there that prints `output`, writes scores, and ends with `code`."""
        lines = ["env > seen", 'echo "$@" >> seen', f"printf %s {shlex.quote(output)}", "mkdir -p data/scores"]
        lines += [f"printf %s {shlex.quote(json.dumps(SCORES))} > data/scores/kyoto.json", f"exit {code}"]
        self.program(programs / "dvc", "\n".join(lines))

    def test_stages_and_scores(self, programs: Path, tmp_path: Path, record: Record) -> None:
        self.dvc(programs, OUTPUT, 0)
        wholerun.measure("wiki270m", {}, tmp_path / "work", tmp_path / "cache", record)
        figures = record.figures("wiki270m")
        assert sorted(figures["stages"]["seconds"]) == ["corpora", "finetune@reverse", "report"]
        assert figures["stages"]["running"] is None
        assert figures["scores"] == {"kyoto": {key: SCORES[key] for key in ("segments", "signatures", "systems")}}
        tree = tmp_path / "work/wiki270m"
        assert (tree / "params.yaml").read_bytes() == (ROOT / "presets/wiki270m.yaml").read_bytes()
        assert figures["set"] == {}
        seen = (tree / "seen").read_text().split("\n")
        assert f"XDG_CACHE_HOME={tmp_path / 'cache'}" in seen
        assert [line for line in seen if line.startswith("DVC_ROOT")] == []
        assert seen[-2] == "repro"

    def test_a_second_call_goes_on(self, programs: Path, tmp_path: Path, record: Record) -> None:
        self.dvc(programs, OUTPUT.partition("Running stage 'report'")[0], 1)
        with pytest.raises(InputError, match="exit code 1") as raised:
            wholerun.measure("embedded", {}, tmp_path / "work", None, record)
        assert "epoch=1 loss=1.59 chrf=32.57" in str(raised.value).split("\n")
        stages_then = record.figures("embedded")["stages"]
        assert (list(stages_then["seconds"]), stages_then["running"]) == (["corpora"], "finetune@reverse")
        (tmp_path / "work/embedded/kept").touch()
        self.dvc(programs, "Running stage 'finetune@reverse':\n", 0)
        wholerun.measure("embedded", {}, tmp_path / "work", None, record)
        assert (tmp_path / "work/embedded/kept").exists()
        stages_now = record.figures("embedded")["stages"]
        assert sorted(stages_now["seconds"]) == ["corpora", "finetune@reverse"]

    def test_another_place_begins_anew(self, programs: Path, tmp_path: Path, record: Record) -> None:
        for place in ("one", "other"):
            self.dvc(programs, f"Running stage '{place}':\n", 0)
            wholerun.measure("embedded", {}, tmp_path / place, None, record)
        assert list(record.figures("embedded")["stages"]["seconds"]) == ["other"]

    def test_other_values(self, programs: Path, tmp_path: Path, record: Record) -> None:
        self.dvc(programs, OUTPUT, 0)
        values = {"prepare.mono": 4099, "prompt.template": "{src} # {tgt}\n"}
        wholerun.measure("wiki270m", values, tmp_path, None, record)
        assert record.figures("wiki270m")["set"] == values
        wanted = read_tree(ROOT / "presets/wiki270m.yaml")
        wanted["prepare"]["mono"], wanted["prompt"]["template"] = 4099, "{src} # {tgt}\n"
        assert read_tree(tmp_path / "wiki270m/params.yaml") == wanted
        wholerun.measure("wiki270m", values, tmp_path, None, record)
        assert record.figures("wiki270m")["scores"]
        with pytest.raises(InputError, match=r"made with other values of prepare\.mono, prompt\.template; "):
            wholerun.measure("wiki270m", {}, tmp_path, None, record)
        with pytest.raises(InputError, match=r"made with other values of prompt\.template; "):
            wholerun.measure("wiki270m", {"prepare.mono": 4099}, tmp_path, None, record)

    def test_no_scores_of_other_values_stay(self, programs: Path, tmp_path: Path, record: Record) -> None:
        self.dvc(programs, OUTPUT, 0)
        wholerun.measure("wiki270m", {}, tmp_path / "one", None, record)
        assert record.figures("wiki270m")["scores"]
        self.dvc(programs, OUTPUT, 1)
        with pytest.raises(InputError, match="exit code 1"):
            wholerun.measure("wiki270m", {"prepare.mono": 4099}, tmp_path / "other", None, record)
        assert record.figures("wiki270m")["scores"] == {}

    def test_a_value_that_no_stage_takes(self, tmp_path: Path, record: Record) -> None:
        with pytest.raises(InputError, match=r"^params\.yaml: translate\.decode\.beams: must be a whole number"):
            wholerun.measure("wiki270m", {"translate.decode.beams": "three"}, tmp_path, None, record)
        assert not (tmp_path / "wiki270m").exists()
        assert record.figures("wiki270m") == {}

    def test_the_copy_has_all_that_the_stages_read(self, tmp_path: Path) -> None:
        wholerun.copy(tmp_path / "copy", "embedded", {})
        made = {path for stage in stages().values() for path in stage.outs} | {
            "data/scores",
            "data/hyps",
            "data/training",
        }
        read = {path for stage in stages().values() for path in stage.deps}
        given = {path for path in read if not any(Path(path).is_relative_to(out) for out in made)}
        given = {path for path in given if not any(Path(out).is_relative_to(path) for out in made)}
        assert {"dvc.yaml", *given} == {path for path in {"dvc.yaml", *given} if (tmp_path / "copy" / path).exists()}
        assert "data/testsets" in given

    def test_dvc_takes_the_copy_without_git(self, tmp_path: Path) -> None:
        wholerun.copy(tmp_path / "copy", "wiki270m", {})
        env = wholerun.environment(tmp_path, None, Path(sys.executable).parent)
        done = subprocess.run(
            ["dvc", "repro", "--dry", "corpora"],
            cwd=tmp_path / "copy",
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert StageClock({}).line(done.stdout.split("\n")[0], 0.0)


def test_a_full_run_needs_a_gpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit):
        gpu.main(["--out", str(tmp_path / "gpu.json"), "--minutes", "0"])
    assert "add --size toy" in capsys.readouterr().err


class TestSet:
    """`--set`."""

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ([], {}),
            (["a.b=4099", "c=0.00005"], {"a.b": 4099, "c": 0.00005}),
            (["a=[x, y]", "b=null", "c=on", "d=p=q"], {"a": ["x", "y"], "b": None, "c": "on", "d": "p=q"}),
        ],
        ids=["none", "numbers", "others"],
    )
    def test_values_are_yaml(self, words: list[str], expected: dict[str, Any]) -> None:
        assert overrides.parsed(words) == expected

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["--set", "prepare.mono"], "write KEY=VALUE"),
            (["--set", "=5"], "write KEY=VALUE"),
            (["--set", "prepare.mono=[5"], "the value is not YAML"),
            (["--set", "prepare.mono=5", "--set", "prepare.mono=6"], "is set twice"),
            (["--set", "prepare.momo=5"], "--set prepare.momo: not a key of presets/wiki270m.yaml"),
            (["--set", "prepare.mono.x=5"], "--set prepare.mono.x: not a key"),
            (["--set", "nothing.mono=5"], "--set nothing.mono: not a key"),
            (["--set", "merge=5"], "--set merge: a section; set one of its keys: ratio, "),
            (["--set", "prepare.mono=5", "--parts", "wiki270m", "embedded"], "--set is for one preset"),
            (["--set", "prepare.mono=5", "--parts", "ceiling"], "--set is for one preset"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_what_cannot_be_is_said_at_once(
        self, words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        with pytest.raises(SystemExit):
            gpu.main(["--out", str(tmp_path / "gpu.json"), "--size", "toy", "--parts", "wiki270m", *words])
        assert expected in " ".join(capsys.readouterr().err.split())
        assert not (tmp_path / "gpu.json").exists()

    def test_a_tree_of_other_values_is_refused(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        wholerun.copy(tmp_path / "wiki270m", "wiki270m", {})
        words = ["--out", str(tmp_path / "gpu.json"), "--parts", "wiki270m", "--work", str(tmp_path), "--minutes", "0"]
        with pytest.raises(SystemExit):
            gpu.main([*words, "--set", "prepare.mono=4099"])
        assert "wiki270m: was made with other values of prepare.mono; " in capsys.readouterr().err
        assert gpu.main(words) == 1

    def test_the_part_of_the_preset_gets_it(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        got = {}
        monkeypatch.setattr(gpu, "start", lambda part, flags, seconds, record: got.update({part: flags}))
        words = [
            "--size",
            "toy",
            "--parts",
            "ceiling",
            "wiki270m",
            "--set",
            "prepare.mono=4099",
            "--set",
            "score.prefix=query",
        ]
        gpu.main(["--out", str(tmp_path / "gpu.json"), *words])
        assert [word for word in got["ceiling"] if word.startswith("--set")] == []
        asked = gpu.arguments([*got["wiki270m"], "--here", "wiki270m"])
        assert asked.overrides == {"prepare.mono": 4099, "score.prefix": "query"}


def test_no_time_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path / "gpu.json"), "--parts", "embedded", "--minutes", "0"]) == 1
    assert capsys.readouterr().out == "== embedded\nembedded: cut off\n"
