"""The tools that make calls: presets, the table, translating what is typed, what the translation memory holds."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mt.claims import LOCK, claimed
from mt.errors import InputError
from mt.files import kept, write_text
from mt.memory import FILE, Memory, Translation, connect, origins
from mt.segments import MAX_LINE_BYTES, write_segments
from pipeline import PARAMS, ROOT, module
from tiny import save_gemma

preset = module("tools/preset.py")
table = module("tools/table.py")
interactive = module("tools/interactive.py")
memory_tool = module("tools/memory.py")

SUMMARY = {
    "kyoto": {
        "baseline": {"bleu": 0.5, "chrf": 8.126, "comet_mini": 0.31239, "empty": 3, "ja": 0.9},
        "ft_bt": {"bleu": 10.0, "chrf": 12.0, "comet_mini": 0.4, "empty": 0, "ja": 1.0},
        "bt": {"bleu": 1.0, "chrf": 11.0, "comet_mini": 0.4, "empty": 0, "ja": 1.0},
        "ft": {"bleu": 2.0, "chrf": 11.5, "comet_mini": 0.4, "empty": 0, "ja": 1.0},
    },
    "tatoeba": {"other": {"bleu": 1.0}, "baseline": {"chrf": 2.0}},
    "wmt24": {"ft": {"bleu": 20.0, "comet_wmt22-comet-da": 0.81239, "empty": 0, "de": 1.0}},
}
TABLE = """
kyoto      bleu   chrf  comet_mini  empty      ja
baseline   0.50   8.13      0.3124      3  0.9000
bt         1.00  11.00      0.4000      0  1.0000
ft         2.00  11.50      0.4000      0  1.0000
ft_bt     10.00  12.00      0.4000      0  1.0000

tatoeba   bleu  chrf
baseline     -  2.00
other     1.00     -

wmt24   bleu  comet_wmt22-comet-da  empty      de
ft     20.00                0.8124      0  1.0000
"""


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    table.main(tmp_path / "summary.json")
    assert capsys.readouterr().out == TABLE


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "not found; run `dvc repro` to make it", id="missing"),
        pytest.param("[]", "not a summary of test sets and systems; run `dvc repro report`", id="a list"),
        pytest.param('{"kyoto": {"bleu": 1.0}}', "not a summary of test sets and systems", id="a level is missing"),
        pytest.param('{"kyoto": {"ft": {"bleu": "1"}}}', "not a summary of test sets and systems", id="a text"),
    ],
)
def test_table_refuses(content: str | None, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        table.main(file)
    assert str(raised.value).startswith(f"{file}: {expected}")


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("table", ["summary.json"], "error: summary.json: not found; run `dvc repro` to make it\n"),
        ("preset", ["use", "huge"], "error: no preset is called 'huge'; write make preset NAME=<one of a, b>\n"),
        ("preset", ["check"], "error: params.yaml: not found; `make preset NAME=embedded` writes one\n"),
        ("preset", [], "error: usage: preset.py use NAME | preset.py check\n"),
    ],
)
def test_one_line_for_what_the_user_can_mend(tool: str, arguments: list[str], expected: str, tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    for name in ("a", "b"):
        (tmp_path / "presets" / f"{name}.yaml").write_text("x: 1\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "stages")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the real parameters, presets and stages, where the tools run."""
    (tmp_path / "presets").mkdir()
    for file in [ROOT / PARAMS, ROOT / "dvc.yaml", *(ROOT / "presets").glob("*.yaml")]:
        (tmp_path / file.relative_to(ROOT)).write_bytes(file.read_bytes())
    (tmp_path / "stages").symlink_to(ROOT / "stages")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["embedded", "paper", "smoke", "wiki270m"])
def test_a_preset_is_put_in_place(name: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset.main(["use", name])
    assert (project / PARAMS).read_bytes() == (project / "presets" / f"{name}.yaml").read_bytes()
    assert capsys.readouterr().out == f"params.yaml is now presets/{name}.yaml; dvc repro rebuilds what it changes\n"
    preset.main(["check"])


@pytest.mark.parametrize("name", ["", "../params", "embedded.yaml", "tiny"])
def test_only_what_is_a_preset_is_put_in_place(name: str, project: Path) -> None:
    before = (project / PARAMS).read_bytes()
    with pytest.raises(InputError, match=r"no preset is called .*; write make preset NAME=<one of embedded, "):
        preset.main(["use", name])
    assert (project / PARAMS).read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "lora:\n  rank:", "lora:\n  rnak:", "unknown key lora.rnak; did you mean lora.rank?", id="unknown"
        ),
        pytest.param("\nmerge:", "\nmix:", "unknown key mix; known here: preset, jobs, launch, ", id="unknown section"),
        pytest.param("  shots: 4\n", "", "missing key prompt.shots; copy it from the preset", id="missing"),
        pytest.param(
            "  ft: {",
            "  fr: {",
            "unknown key systems.fr; known here: baseline, bt, ft, ft_bt",
            id="a system not in the DAG",
        ),
        pytest.param(
            "base:\n  vocabulary:", "base:\nxbase:", "unknown key xbase; did you mean base?", id="another key tree"
        ),
        pytest.param(
            "languages:                  # ISO 639-1\n  src: en\n  tgt: ja\n",
            "languages: en\n",
            "languages: must be a mapping with the keys src, tgt",
            id="no mapping",
        ),
        pytest.param(
            "lora:\n  rank: 16\n",
            "lora:\n  rank: '5e-05'\n",
            "lora.rank: must be a whole number, not the text '5e-05'",
            id="a type",
        ),
        pytest.param(
            "  samples: 20\n", "  samples: -1\n", "report: samples: must not be negative, not -1", id="the last stage's"
        ),
        pytest.param(
            "    - name: tatoeba\n",
            "    - name: tatoeba\n      nmae: x\n",
            "unknown key corpora.tests[0].nmae; did you mean corpora.tests[0].name?",
            id="unknown in a list",
        ),
        pytest.param(
            "testsets: [tatoeba, kyoto]",
            "testsets: [tatoeba, wmt]",
            "corpora.tests names ['tatoeba', 'kyoto'] but testsets ['tatoeba', 'wmt']",
            id="a test set that is no corpus",
        ),
        pytest.param("testsets: [tatoeba, kyoto]", "testsets: 3", "testsets: must be a list, such as [", id="no list"),
        pytest.param("launch: python ", "launch: [python] ", "dvc.yaml cannot be filled in from it (", id="no command"),
        pytest.param(
            "launch: python ",
            f"launch: 0x{'f' * 5000} ",
            "dvc.yaml cannot be filled in from it (Exceeds the limit",
            id="a number of more digits than Python writes",
        ),
        pytest.param("launch: python ", "launch: python 'x ", "launch: is no command (No closing quot", id="a quote"),
        pytest.param(
            "launch: python ", "launch: python \\ ", "launch: is no command to put a script after", id="an escape"
        ),
        pytest.param(
            "testsets: [tatoeba, kyoto]",
            "testsets: [2001-01-01]",
            "testsets[0]: must be text, a number, true, false or null; put text in quotes, not datetime.date(2001, 1, ",
            id="a date",
        ),
    ],
)
def test_check_finds(old: str, new: str, expected: str, project: Path) -> None:
    text = (project / "presets" / "embedded.yaml").read_text(encoding="utf-8")
    assert old in text
    (project / PARAMS).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        preset.main(["check"])
    assert str(raised.value).startswith(f"params.yaml: {expected}")


@pytest.mark.parametrize("launch", ["python my_launcher.py", "accelerate launch --at x stages/mt/cli.py"])
def test_whatever_launches_is_no_stage(launch: str, project: Path) -> None:
    text = (project / "presets" / "embedded.yaml").read_text(encoding="utf-8")
    (project / PARAMS).write_text(text.replace("launch: python ", f"launch: {launch} ", 1), encoding="utf-8")
    (project / "my_launcher.py").write_text("raise SystemExit('was run')", encoding="utf-8")
    preset.main(["check"])


def write_environment(project: Path, value: str) -> None:
    text = (project / "presets" / "embedded.yaml").read_text(encoding="utf-8")
    (line,) = (line for line in text.split("\n") if line.startswith("environment:"))
    (project / PARAMS).write_text(text.replace(line, f"environment: {value}", 1), encoding="utf-8")


@pytest.mark.parametrize("value", ["''", "A=1", "A= B='x y'"])
def test_an_environment_is_variables(value: str, project: Path) -> None:
    write_environment(project, value)
    preset.main(["check"])


@pytest.mark.parametrize("value", ["", "3", "PYTHONMALLOC", "A=1 B", "A='x", "[A=1]", "{A: 1}", "-u A=1"])
def test_an_environment_of_anything_else_is_refused(value: str, project: Path) -> None:
    write_environment(project, value)
    with pytest.raises(InputError, match=r"^params\.yaml: environment: must be "):
        preset.main(["check"])


class Terminal(io.TextIOWrapper):
    """Standard input that is typed."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "prompt"), [(io.TextIOWrapper, ""), (Terminal, "English> ")], ids=["a pipe", "a terminal"]
)
def test_lines(
    stdin: Callable[[io.BytesIO], io.TextIOWrapper],
    prompt: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin(io.BytesIO("A ｃat. \n\nA\u2028dog.".encode())))
    assert list(interactive.lines("en")) == ["A cat.", "", "A dog."]
    assert capsys.readouterr().out == prompt * 4


def test_the_prompt_names_the_language(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(b"Ein Satz.\n")))
    assert list(interactive.lines("de")) == ["Ein Satz."]
    assert capsys.readouterr().out == "German> German> "


def test_a_line_that_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"tea\ncaf\xe9\n")))
    with pytest.raises(InputError, match=r"^standard input:2: byte 4 is not UTF-8"):
        list(interactive.lines("en"))


class Endless(io.RawIOBase):
    """A line without an end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"a" * len(buffer)
        return len(buffer)


def test_a_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    with pytest.raises(InputError, match=f"^standard input:1: is longer than {MAX_LINE_BYTES} bytes"):
        list(interactive.lines("en"))


def test_make_help_runs_nothing(tmp_path: Path) -> None:
    fake = tmp_path / "dvc"
    fake.write_text("#!/bin/sh\necho FAKE DVC CALLED\n")
    fake.chmod(0o755)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"), encoding="utf-8")
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    shown = subprocess.run(["make", "help"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout
    assert "make repro" in shown
    assert "FAKE DVC CALLED" not in shown


@pytest.fixture
def made(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose models are made, by name only."""
    (project / "models" / "base").mkdir(parents=True)
    (project / "models" / "base" / "config.json").touch()
    shots = [{"id": str(number), "src": f"English {number}", "tgt": f"日本語{number}"} for number in range(9)]
    write_segments(project / "data" / "prepared" / "train.jsonl", shots)
    monkeypatch.setattr(interactive, "load_base", lambda *given: (("base", *given), "tokenizer"))
    monkeypatch.setattr(interactive, "load_adapted", lambda *given: (("adapted", *given), "tokenizer"))
    return project


BASE = Path("models/base")


@pytest.mark.parametrize(
    ("name", "model", "prompt"),
    [
        ("ft", ("adapted", BASE, Path("models/adapters/ft"), "bf32"), "English: x\nJapanese:"),
        (
            "baseline",
            ("base", BASE, "bf32"),
            "English: English 0\nJapanese: 日本語0\nEnglish: English 1\nJapanese: 日本語1\nEnglish: x\nJapanese:",
        ),
    ],
)
def test_a_system_is_prompted_as_it_was_measured(name: str, model: tuple[Any, ...], prompt: str, made: Path) -> None:
    params = interactive.load(interactive.Params, made / PARAMS, {})
    params = replace(params, prompt=replace(params.prompt, shots=2))
    found, _, prompter = interactive.system(name, params)
    assert found == model
    assert prompter.prompt({"id": "typed", "src": "x"}) == prompt


def test_every_line_gets_its_line(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def translate(*given: Any) -> list[str]:
        segments: list[Mapping[str, str]] = given[3]
        return [f"<{segment['src']}>" for segment in segments]

    monkeypatch.setattr(interactive, "translate", translate)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A cat.\n\nA dog.\n")))
    interactive.main("ft")
    assert capsys.readouterr().out == "<A cat.>\n\n<A dog.>\n"


READ_BY_NOBODY = """
import os, runpy, sys
sys.argv = ["interactive.py", "ft"]
import mt.decode, mt.lm
mt.lm.load_adapted = lambda *given: ("model", "tokenizer")
mt.decode.translate = lambda *given: ["x" * 70000]
runpy.run_path(os.environ["TOOL"], run_name="__main__")
"""


def test_who_reads_no_further_ends_it_quietly(made: Path) -> None:
    tool = subprocess.Popen(
        [sys.executable, "-c", READ_BY_NOBODY],
        env={**os.environ, "PYTHONPATH": str(ROOT / "stages"), "TOOL": str(ROOT / "tools" / "interactive.py")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert tool.stdout is not None
    tool.stdout.close()
    assert tool.communicate(b"A cat.\n" * 9)[1] == b""
    assert tool.returncode == 0


def test_weights_in_several_files_translate_any_pair(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM

    base = save_gemma(project / "models" / "base")
    model = AutoModelForCausalLM.from_pretrained(base)
    (base / "model.safetensors").unlink()
    model.save_pretrained(base, max_shard_size="10KB")
    assert len(list(base.glob("model-*.safetensors"))) > 1
    shots = [{"id": str(number), "src": "Haus", "tgt": "house"} for number in range(4)]
    write_segments(project / "data" / "prepared" / "train.jsonl", shots)
    text = (project / PARAMS).read_text(encoding="utf-8")
    (project / PARAMS).write_text(text.replace("src: en\n  tgt: ja", "src: de\n  tgt: en"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(b"Ein Haus.\n")))
    interactive.main("baseline")
    out = capsys.readouterr().out
    assert out.startswith("German> ")
    assert out.count("German> ") == 2
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "tf",
            "no system is called 'tf'; write make translate SYSTEM=<one of baseline, bt, ft, ft_bt>",
            id="unknown",
        ),
        pytest.param("ft", "models/base: not made yet; run make repro first", id="not made"),
    ],
)
def test_a_system_that_cannot_be_had(name: str, expected: str, project: Path) -> None:
    params = interactive.load(interactive.Params, project / PARAMS, {})
    with pytest.raises(InputError) as raised:
        interactive.system(name, params)
    assert str(raised.value) == expected


@pytest.mark.parametrize("systems", ["5", "", "[ft]"])
def test_systems_that_are_no_mapping(systems: str, made: Path) -> None:
    text = re.sub(r"(?m)^systems:.*\n(  .*\n)+", f"systems: {systems}\n", (made / PARAMS).read_text(encoding="utf-8"))
    (made / PARAMS).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"^params.yaml: missing key systems.ft; known here: nothing"):
        interactive.main("ft")


DECODING = {"strategy": "beam", "beams": 3}


@pytest.fixture
def remembered() -> Path:
    """A memory of two models; returns its file."""
    path = kept() / FILE
    for model, decoding, made in (
        ("base:1", DECODING, ["猫", "犬です"]),
        ("base:1+ft:2", {**DECODING, "strategy": "greedy", "beams": 1}, ["雨"]),
    ):
        with closing(Memory(path, {"model": {"revision": model}, "decoding": decoding})) as memory:
            memory.keep(made, [Translation(text, cut=False) for text in made])
    return path


def test_what_the_memory_holds(remembered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory_tool.main(["stats"])
    head, *rows, total = capsys.readouterr().out.rstrip("\n").split("\n")
    assert head.split("  ")[0] == "last used"
    assert [row.split()[2:] for row in rows] == [["2", "4", "beam", "3", "base:1"], ["1", "1", "greedy", "base:1+ft:2"]]
    assert total == f"3 entries of 2 models and ways of decoding, {remembered.stat().st_size} bytes"


def test_a_memory_that_is_not_there_holds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    memory_tool.main(["stats"])
    assert capsys.readouterr().out.endswith("\n0 entries of 0 models and ways of decoding, 0 bytes\n")
    memory_tool.main(["prune", "0"])
    assert capsys.readouterr().out.startswith(
        "0 entries of the memory that no run has used for 0 days are gone\n0 trainings "
    )


def test_what_was_used_stays(remembered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory_tool.main(["prune", "1"])
    assert capsys.readouterr().out.startswith("0 entries")
    memory_tool.main(["prune", "0"])
    assert capsys.readouterr().out.startswith("3 entries of the memory that no run has used for 0 days are gone\n")
    assert origins(remembered) == []


def test_what_was_cut_off_long_ago_goes(remembered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, days in (("old", 31), ("new", 29)):
        with claimed("checkpoints", {"name": name}, lambda _: 0) as folder:
            (folder / "step-2").mkdir()
        os.utime(folder / LOCK, (time.time() - days * 86400,) * 2)
    with claimed("progress", {}, lambda _: 0) as busy:
        os.utime(busy / LOCK, (0, 0))
        memory_tool.main(["prune", "30"])
        assert busy.exists()
    assert "\n1 trainings and the like that were cut off, and left for so long, too\n" in capsys.readouterr().out
    (left,) = (kept() / "checkpoints").iterdir()
    assert left == folder


def test_what_was_left_half_written_long_ago_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    long_ago = time.time() - 31 * 86400
    whole, file, old, new = (
        Path(name) for name in ("data/a", "data/.a.partial", "models/.b.partial", "data/.c.partial")
    )
    for path in (whole, file, old / "inside", old / ".inside.partial", new / "inside"):
        write_text(path, "half")
    for path in (whole, file, old, *old.iterdir(), new):
        os.utime(path, (long_ago,) * 2)
    memory_tool.main(["prune", "30"])
    assert capsys.readouterr().out.endswith("\n2 files and folders that were left half written for so long, too\n")
    assert [path.exists() for path in (whole, file, old, new)] == [True, False, False, True]


def test_what_another_run_has_claimed_anew_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with claimed("progress", {}, lambda _: 0) as folder:
        os.utime(folder / LOCK, (0, 0))
    opened = Path.open

    def and_then_another_claims(path: Path) -> Any:
        lock = opened(path)
        path.unlink()
        path.touch()
        os.utime(path, (0, 0))
        return lock

    monkeypatch.setattr(Path, "open", and_then_another_claims)
    assert memory_tool.prune_cut_off(30) == 0
    assert folder.exists()


@pytest.mark.parametrize("words", [[], ["prune"], ["prune", "-1"], ["prune", "x"], ["prune", "900000"], ["forget"]])
def test_the_memory_tool_says_how_it_is_called(words: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"usage: memory.py stats, or memory.py prune DAYS"):
        memory_tool.main(words)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("facts", "{"),
        ("facts", "[]"),
        ("facts", '{"model": 1}'),
        ("facts", "[" * 100_000),
        ("facts", b"{}"),
        ("facts", '{"decoding": {"strategy": "beam", "beams": 3}, "model": {"revision": "\\ud800"}}'),
        ("facts", '{"decoding": {"strategy": "beam", "beams": 1e999}, "model": {"revision": "base:1"}}'),
        ("used", "x"),
        ("used", b"2026-01-01"),
    ],
)
def test_a_damaged_memory_is_told_in_a_line(remembered: Path, column: str, value: str | bytes) -> None:
    with closing(connect(remembered)) as database, database:
        database.execute(f"UPDATE origins SET {column} = ? WHERE id = 1", (value,))  # noqa: S608
    with pytest.raises(InputError, match=r"translations.sqlite: is damaged.* remove it"):
        memory_tool.main(["stats"])
