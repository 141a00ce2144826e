import os
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from accelerate.commands.launch import launch_command_parser
from torch.distributed.run import get_args_parser

import backtranslate
import finetune
import translate
from launch import call, forked
from mt import processes
from mt.processes import agreed, count, device, index, is_main, share, wait

SCRIPT = """
import json, sys
from pathlib import Path
import torch
from mt import decode
from mt.decode import Decoding, translate
from mt.lm import load_base, mean_logprobs
from mt.processes import agreed, count, index, is_main, share, wait
from mt.prompt import FORWARD, Languages, Prompter

base, out = map(Path, sys.argv[1:])
done = []
found = {"share": share(list(range(7)), lambda n: done.append(n) or n * n), "done": done}
found |= {"none": share([], str), "one": share(["a"], str.upper)}
found |= {"agreed": agreed(f"process {index()}"), "main": is_main(), "count": count()}
wait()
model, tokenizer = load_base(base, "float32")
prompter = Prompter("{src_language}: {src}\\n{tgt_language}: {tgt}\\n", Languages("en", "ja"), FORWARD, [])
segments = [{"id": str(i), "src": "The cat sat on the mat. " * (i % 4 + 1), "tgt": "x"} for i in range(15)]
sampling = Decoding("sampling", 1, 0.8, 0.9, 1, 8, 3.0, 4, 120)
found["plain"] = translate(model, tokenizer, prompter, segments, sampling, None)
pairs = [(prompter.prompt(segment), " cat\\n") for segment in segments]
found["logprobs"] = mean_logprobs(model, tokenizer, pairs, 120, None)
sizes, whole = [], decode._Engine.generate

def scarce(self, prompts, limits, asked):
    sizes.append(len(prompts))
    if count() == 2 and index() == 1 and len(prompts) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return whole(self, prompts, limits, asked)

decode._Engine.generate = scarce
greedy = Decoding("greedy", 1, 1.0, 1.0, 1, 8, 3.0, 4, 120)
found |= {"scarce": translate(model, tokenizer, prompter, segments, greedy, None), "sizes": sizes}
(out / f"{count()}-{index()}.json").write_text(json.dumps(found))
"""

FAILING = """
import sys
from dataclasses import dataclass
from pathlib import Path
from mt.cli import main
from mt.errors import InputError
from mt.processes import index, one_voice

@dataclass(frozen=True)
class Paths:
    who: Path

@dataclass(frozen=True)
class Params:
    preset: str

@one_voice()
def run(paths, params):
    if str(paths.who) in ("all", str(index())):
        raise InputError("something the user can mend")

main(run, Paths, Params)
"""


def test_one_process_needs_no_group():
    assert (count(), index(), is_main(), agreed("mine")) == (1, 0, True, "mine")
    assert share([3, 1, 2], lambda n: n * 2) == [6, 2, 4]
    wait()
    assert device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert not torch.distributed.is_initialized()


def test_one_process_of_a_launcher_needs_no_group(monkeypatch):
    for name, value in {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setitem(os.environ, name, value)
    assert (count(), is_main()) == (1, True)
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("processes_", [1, 2, 3, 5])
def test_what_is_shared_comes_back_in_order(monkeypatch, processes_):
    work = list(range(7))
    parts = [[n * 10 for n in work[i::processes_]] for i in range(processes_)]
    monkeypatch.setattr(processes, "count", lambda: processes_)

    def gather(into, mine):
        into[:] = parts

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert share(work, lambda n: n * 10) == [n * 10 for n in work]


@pytest.mark.parametrize("launcher", [get_args_parser, launch_command_parser], ids=["torchrun", "accelerate"])
@pytest.mark.parametrize("paths", [finetune.Paths, backtranslate.Paths, translate.Paths])
def test_launchers_leave_the_flags_of_stages_alone(launcher, paths):
    """Torchrun refuses even a flag after the script where that could be short for two of its own, such as --log."""
    line = [word for field in fields(paths) for word in (f"--{field.name}", "x")]
    assert launcher().parse_args(["stage.py", *line]).training_script_args == line


@pytest.mark.slow
def test_two_processes_share_the_work_and_know_it_all(tmp_path):
    import json

    import tiny

    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    tiny.save_gemma(tmp_path / "base")
    for number in (1, 2):
        done = forked(script, tmp_path / "base", tmp_path, processes=number, root=tmp_path)
        assert done.returncode == 0, done.stderr
    alone, main, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("1-0", "2-0", "2-1"))
    assert (main["done"], other["done"]) == ([0, 2, 4, 6], [1, 3, 5])
    for found in (main, other):
        assert found["share"] == alone["share"] == [n * n for n in range(7)]
        assert (found["none"], found["one"], found["agreed"]) == ([], ["A"], "process 0")
        assert (found["plain"], found["scarce"]) == (alone["plain"], alone["scarce"])
        assert found["logprobs"] == pytest.approx(alone["logprobs"], abs=1e-5)
    assert len(set(alone["plain"])) > 1
    assert (main["main"], other["main"], main["count"]) == (True, False, 2)
    assert 1 in other["sizes"]
    assert max(other["sizes"]) > 1
    assert main["sizes"] == alone["sizes"][::2]


@pytest.mark.slow
@pytest.mark.parametrize("who", ["all", "1"])
def test_an_error_is_told_once(tmp_path, who):
    script = tmp_path / "script.py"
    script.write_text(FAILING)
    params = Path(__file__).parents[2] / "presets" / "embedded.yaml"
    done = call(script, "--params", params, "--who", who, root=tmp_path, launcher="torchrun")
    assert done.returncode == 1
    assert done.stderr.count("error: something the user can mend") == 1
