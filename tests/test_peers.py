"""`make bench`: its table; and as ratios, which no load of the machine changes, what decoding costs."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from transformers import XLMRobertaModel

import peers
import scoring_peers
import tiny
import tiny_comet
import training_peers
from clone import preset
from decoding_peers import Llama, Work, line
from mt.decode import Decoding
from mt.errors import InputError
from mt.files import read_json
from mt.lm import load_base
from mt.prompt import FORWARD, Languages, Prompter
from mt.results import SYSTEMS
from mt.segments import write_segments

GREEDY = Decoding("greedy", 1, 1.0, 1.0, 1, 12, 3.0, 4, 4000)
BEAM = dataclasses.replace(GREEDY, strategy="beam", beams=3)
SOURCES = ("The cat sat on the mat.", "A hat.", "The other cat that sat there sang to the other hat.", "東京", "x") * 2
SHOTS = [{"id": "s", "src": "The mat.", "tgt": "雨が降っています。"}] * 4


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load_base(tiny.save_llama(tmp_path_factory.mktemp("llama")), "float32")


def work(loaded: Any, decoding: Decoding, shots: list[dict[str, Any]]) -> Work:
    segments = [{"id": str(i), "src": src, "tgt": "猫"} for i, src in enumerate(SOURCES)]
    prompter = Prompter("{src_language}: {src}\n{tgt_language}: {tgt}\n", Languages("en", "ja"), FORWARD, shots)
    model, tokenizer = loaded
    return Work("tiny", model, model, tokenizer, prompter, segments, decoding, None)


def tokens_read(model: Any, do: Any) -> int:
    """How many tokens the model reads, padding included."""
    read = []
    handle = model.register_forward_pre_hook(
        lambda _, __, given: read.append(given["input_ids"].numel()), with_kwargs=True
    )
    do()
    handle.remove()
    return sum(read)


@pytest.mark.parametrize(
    ("decoding", "shots", "most"),
    [
        pytest.param(GREEDY, [], 0.9, id="greedy"),
        pytest.param(BEAM, [], 0.55, id="beam"),
        pytest.param(GREEDY, SHOTS, 0.45, id="greedy, examples"),
        pytest.param(BEAM, SHOTS, 0.25, id="beam, examples"),
    ],
)
def test_decoding_reads_fewer_tokens_than_generate(loaded, decoding, shots, most):
    one = work(loaded, decoding, shots)
    contenders = one.contenders()
    assert list(contenders) == ["ours", "ours, bf32", "generate"]
    read = {name: tokens_read(one.model, do) for name, do in contenders.items()}
    assert read["ours"] <= most * read["generate"]
    if decoding is GREEDY:  # a beam that the limit ends ends otherwise where the limit is the batch's
        assert one.agreed() == {"segments": len(SOURCES), "same_as_generate": len(SOURCES)}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """What scoring reads of a clone: translations by four systems, each with a word of its own, and tiny models."""
    root = tmp_path_factory.mktemp("scored")
    (root / "params.yaml").write_text(preset("embedded", {}), encoding="utf-8")
    encoder = tiny_comet.save_encoder(root / "models/encoder")
    tiny_comet.save_comet(root / "models/comet", encoder)
    for name in SYSTEMS:
        (root / "data/hyps" / name).mkdir(parents=True)
        rows = [{**pair, "hyp": f"{pair['tgt']}{name}"} for pair in tiny_comet.PAIRS]
        write_segments(root / "data/hyps" / name / "tatoeba.jsonl", rows)
    (root / "data/synthetic").mkdir()
    write_segments(root / "data/synthetic/scored.jsonl", tiny_comet.PAIRS)
    return root


def test_comet_reads_each_text_once_for_all_systems(scored, monkeypatch):
    read = []
    forward = XLMRobertaModel.forward

    def counted(self, input_ids, *args, **kwargs):
        read.append(input_ids.numel())
        return forward(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(XLMRobertaModel, "forward", counted)
    work = scoring_peers.comet(scored, 40, 8)
    assert work.texts == 40 * len(SYSTEMS)
    took = {}
    for name, do in work.contenders.items():
        read.clear()
        do()
        took[name] = sum(read)
    assert list(took) == ["ours", "predict"]
    assert 0 < took["ours"] <= 0.55 * took["predict"]


def test_each_kind_of_scoring_is_measured(scored, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(peers, "ROOT", scored)
    words = ["--parts", "scoring", "--segments", "4", "--turns", "1", "--out", str(tmp_path / "bench.json")]
    assert peers.main(words) == 0
    works = read_json(tmp_path / "bench.json")["scoring"]
    assert [work["work"] for work in works] == ["COMET, four systems", "sentence encoder"]
    assert all(work["contenders"]["ours"]["ratio"] == 1.0 for work in works)
    assert "| COMET, four systems | predict |" in capsys.readouterr().out


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """What training reads of a clone, in batches of four that ours gathers from micro batches of two."""
    root = tmp_path_factory.mktemp("study")
    values = {
        "environment": "OMP_NUM_THREADS=1 GLIBC_TUNABLES=one=1:two=2 PYTHONMALLOC=malloc",
        "lora.dropout": 0.0,
        "finetune.batch_size": 4,
        "finetune.micro_batch_size": 2,
    }
    (root / "params.yaml").write_text(preset("embedded", values), encoding="utf-8")
    for name in ("base", "source"):
        tiny.save_llama(root / "models" / name)
    (root / "data/prepared").mkdir(parents=True)
    write_segments(root / "data/prepared/train.jsonl", tiny_comet.PAIRS)
    return root


def test_ours_and_trainer_have_the_same_losses(study, tmp_path):
    losses, tokens = {}, set()
    for name in (training_peers.WHOLE, training_peers.TRAINER):
        one = training_peers.Study(study, 16, tmp_path)
        made = one.trainer(name)
        made.train()
        losses[name] = [row["loss"] for row in made.state.log_history if "loss" in row]
        tokens.add(one.target_tokens)
    assert len(tokens) == 1
    ours, trainer = losses.values()
    assert len(ours) == 4
    assert ours == pytest.approx(trainer, abs=1e-3)


def test_rows_that_fill_no_batch_are_refused(study, tmp_path):
    with pytest.raises(InputError, match="--rows: must be divisible"):
        training_peers.Study(study, 15, tmp_path).trainer(training_peers.TRAINER)


def test_ours_alone_has_the_memory_of_the_stages_and_all_have_every_core(study):
    found = {name: training_peers.variables(name, study) for name in training_peers.NAMES}
    own = {"GLIBC_TUNABLES": "one=1:two=2", "PYTHONMALLOC": "malloc"}
    assert found == {name: own if name == training_peers.OURS else {} for name in training_peers.NAMES}


def test_contenders_take_turns():
    order: list[str] = []
    took = peers.in_turns({name: partial(order.append, name) for name in ("ours", "other")}, 3)
    assert order == ["ours", "other"] * 4
    assert {name: len(turns) for name, turns in took.items()} == {"ours": 3, "other": 3}


def test_a_ratio_is_that_of_the_same_turn():
    found = peers.compared({"ours": [1.0, 2.0, 10.0], "other": [3.0, 4.0, 40.0]}, 20)
    assert found["ours"]["ratio"] == 1.0
    assert found["other"] == {"seconds": [3.0, 4.0, 40.0], "rate": 5.0, "ratio": 3.0}


def test_the_table_has_a_row_for_each():
    contenders = {"ours": {"rate": 2.0, "ratio": 1.0}, "generate": {"rate": 0.5, "ratio": 4.0}}
    figure = {"work": "ft, greedy", "contenders": contenders, "chrf": {"ours": 12.3, "generate": 12.3}}
    assert peers.table([figure]).split("\n")[2:] == [
        "| ft, greedy | ours | 2.00 | 1.00 | 12.30 |",
        "| ft, greedy | generate | 0.50 | 4.00 | 12.30 |",
    ]


def test_without_a_run_it_says_what_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    assert peers.main(["--parts", "decoding", "--out", str(tmp_path / "bench.json")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(("text", "expected"), [("猫\n犬", "猫"), (" a  b ", "a b"), ("", "")])
def test_line(text, expected):
    assert line(text) == expected


XLLAMACPP = """
import os
from types import SimpleNamespace


def CommonAdapterLoraInfo(path, scale):
    return f"{path} * {scale}"


def CommonParams():
    threads = SimpleNamespace()
    return SimpleNamespace(model=SimpleNamespace(), cpuparams=threads, cpuparams_batch=threads, lora_adapters=[])


class Server:
    def __init__(self, asked):
        print("loading", asked.model.path)
        self.asked = asked

    def handle_completions(self, given):
        if given["prompt"] == "end":
            os._exit(7)
        waits = [name for name in os.environ if name.startswith(("OMP_", "GOMP_"))]
        text = f"{given['prompt']}|{given['n_predict']}|{self.asked.model.path}|{self.asked.lora_adapters}|{waits}\\n."
        return {"choices": [{"text": text}]}
"""


def test_llama_cpp_answers_as_a_process_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "xllamacpp.py").write_text(XLLAMACPP, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("GOMP_SPINCOUNT", "10000")
    llama = Llama(Path("model"), Path("adapter"))
    assert llama("猫\n", 3) == "猫\n|3|model|['adapter * 1.0']|[]\n."
    assert llama("two", 4) == "two|4|model|['adapter * 1.0']|[]\n."
    with pytest.raises(InputError, match=r"^llama\.cpp ended with 7; run .*llama_peer\.py model adapter"):
        llama("end", 1)
