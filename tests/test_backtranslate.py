import dataclasses
from functools import partial

import pytest
from peft import LoraConfig, get_peft_model

import backtranslate
import tiny
import tiny_marian
from backtranslate import Backtranslate, Params, Paths, run, synthetic
from launch import STAGES, call, flags, forked, parameters
from mt import translators
from mt.decode import Decoding
from mt.errors import InputError
from mt.files import write_json
from mt.lm import load_adapted, load_base, mean_logprobs, revision
from mt.prompt import REVERSE, Languages, Prompter
from mt.segments import read_segments, write_segments
from mt.seq2seq import Seq2Seq

DECODING = Decoding("greedy", 1, 1.0, 1.0, 1, 8, 3.0, 4, 400)
TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
LANGUAGES = Languages("en", "ja")
LORA = Params(LANGUAGES, TEMPLATE, "lora", 2, Backtranslate("float32", DECODING))
PROMPTED = dataclasses.replace(LORA, model="prompted")
SEQ2SEQ = dataclasses.replace(LORA, model="seq2seq")
MONO = [
    {"id": f"m{i}", "tgt": text} for i, text in enumerate(["猫が座っています。", "雨", "彼女は東京に住んでいます。"])
]
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")]
TRAIN = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]


@pytest.fixture
def paths(tmp_path):
    """All inputs but the models."""
    write_segments(tmp_path / "mono.jsonl", MONO)
    write_segments(tmp_path / "train.jsonl", TRAIN)
    names = ("mono.jsonl", "train.jsonl", "base", "adapter", "model", "raw.jsonl")
    return Paths(*(tmp_path / name for name in names))


@pytest.fixture
def adapted(paths):
    """With the base model and a reverse adapter."""
    tiny.save_gemma(paths.base)
    base, _ = load_base(paths.base, "float32")
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    model.save_pretrained(paths.adapter)
    return paths


def spied(monkeypatch, texts):
    """Put `texts` in the place of what the language model would write; returns the prompts that it was given."""
    prompts: list[str] = []

    def write(model, tokenizer, prompter, segments, decoding, memory):
        prompts.extend(prompter.prompt(segment) for segment in segments)
        return texts

    monkeypatch.setattr(translators, "translate", write)
    return prompts


def test_every_segment_comes_back_in_order_with_its_japanese(adapted):
    run(adapted, LORA)
    rows = read_segments(adapted.out, ("tgt",))
    assert [{"id": row["id"], "tgt": row["tgt"]} for row in rows] == MONO
    assert all(row["logprob"] < 0 and row["model"] == revision(adapted.base, adapted.adapter) for row in rows)


def test_the_adapted_model_is_asked_for_english_without_examples(adapted, monkeypatch):
    prompts = spied(monkeypatch, ["A cat."] * 3)
    run(adapted, LORA)
    assert prompts[1] == "Japanese: 雨\nEnglish:"
    rows = read_segments(adapted.out, ("src",))
    assert [row["src"] for row in rows] == ["A cat."] * 3
    model, tokenizer = load_adapted(adapted.base, adapted.adapter, "float32")
    asker = Prompter(TEMPLATE, LANGUAGES, REVERSE, [])
    pairs = [(asker.prompt(segment), " A cat.\n") for segment in MONO]
    expected = mean_logprobs(model, tokenizer, pairs, DECODING.batch_tokens, None)
    assert [row["logprob"] for row in rows] == [round(value, 6) for value in expected]


def test_the_base_model_is_prompted_with_the_first_training_segments_reversed(paths, monkeypatch):
    tiny.save_gemma(paths.base)
    prompts = spied(monkeypatch, ["A cat."] * 3)
    run(paths, PROMPTED)
    shots = (
        "Japanese: 猫が座っています。\nEnglish: The cat sat.\nJapanese: 雨が降っています。\nEnglish: It is raining.\n"
    )
    assert prompts[1] == shots + "Japanese: 雨\nEnglish:"
    assert {row["model"] for row in read_segments(paths.out, ("src",))} == {revision(paths.base, None)}


def test_a_translation_model_needs_neither_the_base_model_nor_training_segments(paths):
    tiny_marian.save_marian(paths.model)
    paths.train.unlink()
    run(paths, SEQ2SEQ)
    rows = read_segments(paths.out, ("tgt",))
    model = Seq2Seq(paths.model, "float32", DECODING)
    sources = model.translate(MONO)
    assert [row["src"] for row in rows] == sources
    assert [row["logprob"] for row in rows] == [round(value, 6) for value in model.logprobs(MONO, sources)]
    assert [{"id": row["id"], "tgt": row["tgt"]} for row in rows] == MONO
    assert {row["model"] for row in rows} == {model.revision}


def test_an_adapter_that_was_not_trained(paths):
    tiny.save_gemma(paths.base)
    paths.adapter.mkdir()
    with pytest.raises(InputError, match=r"holds no adapter; .* reverse.finetune.epochs"):
        run(paths, LORA)
    assert not paths.out.exists()


def test_a_translation_model_that_is_not_named(paths):
    paths.model.mkdir()
    write_json(paths.model / "provenance.json", {"name": "none", "format": "none"})
    with pytest.raises(InputError, match=r"holds no model, .* models.reverse.name"):
        run(paths, SEQ2SEQ)


@pytest.mark.parametrize(
    ("shots", "message"), [(4, "reverse.shots: 4 is more than the 3"), (-1, "shots must not be negative, not -1")]
)
def test_examples_that_cannot_be(paths, shots, message):
    tiny.save_gemma(paths.base)
    with pytest.raises((InputError, ValueError), match=message):
        run(paths, dataclasses.replace(PROMPTED, shots=shots))


def test_an_empty_translation_is_data(adapted, monkeypatch):
    spied(monkeypatch, ["", "Rain.", ""])
    run(adapted, LORA)
    assert [row["src"] for row in read_segments(adapted.out, ("tgt",))] == ["", "Rain.", ""]


def test_only_the_main_process_writes(adapted, monkeypatch):
    monkeypatch.setattr(backtranslate, "is_main", lambda: False)
    run(adapted, LORA)
    assert not adapted.out.exists()


def test_fewer_translations_than_segments_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        synthetic(MONO, ["a", "b"], [-1.0, -1.0, -1.0], "m")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "seq2seq"])
def test_two_processes_write_what_one_writes(adapted, tmp_path, kind):
    tiny_marian.save_marian(adapted.model)
    decode = {"backtranslate.decode.max_new_tokens": 8, "backtranslate.decode.batch_tokens": 30}
    line = ["--params", parameters(tmp_path, {"reverse.model": kind, **decode}), *flags(adapted)]
    written: list[bytes] = []
    for run_script in (forked, partial(call, launcher="torchrun")):
        root = tmp_path / str(len(written))
        root.mkdir()
        done = run_script(STAGES / "backtranslate.py", *line, root=root)
        assert done.returncode == 0, done.stderr
        written.append(adapted.out.read_bytes())
        adapted.out.unlink()
    assert written[0] == written[1]
    assert written[0].count(b"\n") == len(MONO)
