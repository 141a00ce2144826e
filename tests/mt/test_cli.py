"""The command line of a stage: flags, exit codes, and one line for what the user can mend."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mt.cli import main
from mt.errors import InputError
from mt.files import write_text
from mt.params import SECTIONS

STAGES = Path(__file__).parents[2] / "stages"
STAGE = """
from dataclasses import dataclass
from pathlib import Path
from mt.cli import main
from mt.segments import read_segments, write_segments

@dataclass(frozen=True)
class Paths:
    src: Path
    out: Path

@dataclass(frozen=True)
class Params:
    preset: str

def run(paths: Paths, params: Params) -> None:
    write_segments(paths.out, read_segments(paths.src, ("src",)))
    1 // len(params.preset)

if __name__ == "__main__":
    main(run, Paths, Params)
"""


@dataclass(frozen=True)
class Paths:
    """Flags."""

    src_text: Path
    out: Path


@dataclass(frozen=True)
class Inner:
    rank: int


@dataclass(frozen=True)
class Params:
    """Two keys."""

    preset: str
    lora: Inner


def unreached(paths: Paths, params: Params) -> None:
    """A stage that must not run."""
    raise AssertionError(paths, params)


Seen = list[tuple[Paths, Params]]


@pytest.fixture
def params(tmp_path: Path) -> Path:
    values = {"preset": "smoke", "lora": "{rank: 8}", "reverse": "{lora: {rank: 4}}"}
    file = tmp_path / "params.yaml"
    file.write_text("".join(f"{key}: {values.get(key, 'null')}\n" for key in SECTIONS), encoding="utf-8")
    return file


def call(monkeypatch: pytest.MonkeyPatch, run: Callable[[Paths, Params], None], *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["stage.py", *map(str, arguments)])
    main(run, Paths, Params)


def test_gives_the_stage_its_paths_and_params(monkeypatch: pytest.MonkeyPatch, params: Path) -> None:
    seen: Seen = []
    call(monkeypatch, lambda *given: seen.append(given), "--params", params, "--src-text", "a b/c", "--out", "d")
    assert seen == [(Paths(Path("a b/c"), Path("d")), Params("smoke", Inner(8)))]


def test_at_says_where_a_section_stands(monkeypatch: pytest.MonkeyPatch, params: Path) -> None:
    seen: Seen = []
    paths = ("--src-text", "a", "--out", "b")
    call(monkeypatch, lambda *given: seen.append(given), "--params", params, "--at", "lora=reverse.lora", *paths)
    assert seen[0][1] == Params("smoke", Inner(4))


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        pytest.param(("--at", "lora"), "--at lora: write FIELD=KEY, such as lora=reverse.lora", id="at without ="),
        pytest.param(("--at", "=lora"), "--at =lora: write FIELD=KEY, such as lora=reverse.lora", id="no field"),
        pytest.param(("--at", "lora="), "--at lora=: write FIELD=KEY, such as lora=reverse.lora", id="no key"),
        pytest.param(
            ("--at", "rank=lora.rank"),
            "--at rank: not a parameter of this stage; it reads preset, lora",
            id="not a field",
        ),
        pytest.param(
            ("--at", "lora=systems.fr"),
            "{params}: missing key systems.fr; known here: nothing",
            id="a system that is not there",
        ),
    ],
)
def test_one_line_for_what_the_user_can_mend(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    params: Path,
    extra: tuple[str, ...],
    expected: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, unreached, "--params", params, "--src-text", "a", "--out", "b", *extra)
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", f"error: {expected.format(params=params)}\n")


def test_one_line_for_a_folder_as_parameters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, unreached, "--params", tmp_path, "--src-text", "a", "--out", "b")
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", f"error: {tmp_path}: cannot be read (Is a directory); name the parameter file\n")


def test_one_line_for_an_error_of_the_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], params: Path
) -> None:
    def run(paths: Paths, _: Params) -> None:
        write_text(paths.out, "".join(_failing()))

    def _failing() -> list[str]:
        raise InputError("a.jsonl:7: broken; mend it")

    out = params.parent / "out"
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, run, "--params", params, "--src-text", "a", "--out", out)
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "error: a.jsonl:7: broken; mend it\n")
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, OSError, ValueError])
def test_what_is_a_fault_of_the_code_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, params: Path, error: type[Exception]
) -> None:
    def run(_: Paths, __: Params) -> None:
        raise error("a fault")

    with pytest.raises(error, match="a fault"):
        call(monkeypatch, run, "--params", params, "--src-text", "a", "--out", "b")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--src-text", "a"), id="a path is missing"),
        pytest.param(("--src-text", "a", "--out", "b", "--more", "c"), id="an unknown flag"),
        pytest.param(("--src", "a", "--out", "b"), id="a flag cut short"),
    ],
)
def test_wrong_flags_end_with_the_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], params: Path, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, unreached, "--params", params, *arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_help_is_the_docstring_of_the_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: Paths, __: Params) -> None:
        """Not this one."""

    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, run, "--help")
    assert ended.value.code == 0
    assert "The command line of a stage: flags, exit codes" in capsys.readouterr().out


GOOD = '{"id": "1", "src": "x"}\n'
BAD_LINE = '{"id": "1", "src": "x"}\n{"id": "2"}\n'


@pytest.mark.parametrize(
    ("preset", "segments", "code", "errors"),
    [
        pytest.param("smoke", GOOD, 0, "", id="well"),
        pytest.param(
            "smoke",
            BAD_LINE,
            1,
            "error: in.jsonl:2: 'src' is missing or empty; give it text or take the segment out\n",
            id="a broken line",
        ),
        pytest.param("7", GOOD, 1, "error: params.yaml: preset: must be text, not 7\n", id="a broken parameter"),
    ],
)
def test_a_stage_as_dvc_runs_it(tmp_path: Path, preset: str, segments: str, code: int, errors: str) -> None:
    done = run_stage(tmp_path, preset, segments)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", errors)
    made = {path.name for path in tmp_path.iterdir()} - {"stage.py", "params.yaml", "in.jsonl"}
    assert made == (set() if code else {"out.jsonl"})


def test_a_fault_of_the_code_ends_a_stage_with_its_traceback(tmp_path: Path) -> None:
    done = run_stage(tmp_path, "''", GOOD)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "ZeroDivisionError" in done.stderr


def run_stage(folder: Path, preset: str, segments: str) -> subprocess.CompletedProcess[str]:
    """Run a small stage as a script of its own."""
    (folder / "stage.py").write_text(STAGE, encoding="utf-8")
    (folder / "in.jsonl").write_text(segments, encoding="utf-8")
    values = {"preset": preset}
    (folder / "params.yaml").write_text(
        "".join(f"{key}: {values.get(key, 'null')}\n" for key in SECTIONS), encoding="utf-8"
    )
    flags = ["--params", "params.yaml", "--src", "in.jsonl", "--out", "out.jsonl"]
    return subprocess.run(
        [sys.executable, "stage.py", *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(STAGES)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_torch_reads_when_it_is_loaded_is_set_before_any_module_can_load_it():
    code = (
        "import os, sys, mt; print(os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    found = subprocess.run(
        [sys.executable, "-c", code], env={**env, "PYTHONPATH": str(STAGES)}, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["PASSIVE", "10000", "False"]
