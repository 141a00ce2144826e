import pytest
from peft import LoraConfig, get_peft_model

import backtranslate
import tiny
from backtranslate import Backtranslate, Params, Paths, run, synthetic
from mt.decode import Decoding
from mt.lm import load_base, revision
from mt.prompt import Languages
from mt.segments import read_segments, write_segments

DECODING = Decoding("greedy", 1, 1.0, 1.0, 1, 8, 3.0, 4, 400)
PARAMS = Params(
    Languages("en", "ja"), "{src_language}: {src}\n{tgt_language}: {tgt}\n", Backtranslate("float32", DECODING)
)
MONO = [
    {"id": f"m{i}", "tgt": text} for i, text in enumerate(["猫が座っています。", "雨", "彼女は東京に住んでいます。"])
]


@pytest.fixture
def paths(tmp_path):
    tiny.save_gemma(tmp_path / "base")
    base, _ = load_base(tmp_path / "base", "float32")
    get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    write_segments(tmp_path / "mono.jsonl", MONO)
    return Paths(tmp_path / "mono.jsonl", tmp_path / "base", tmp_path / "adapter", tmp_path / "raw.jsonl")


def test_every_segment_comes_back_in_order_with_its_japanese(paths):
    run(paths, PARAMS)
    rows = read_segments(paths.out, ("tgt",))
    assert [{"id": row["id"], "tgt": row["tgt"]} for row in rows] == MONO
    assert all(row["logprob"] < 0 and row["model"] == revision(paths.base, paths.adapter) for row in rows)


def test_the_reverse_model_is_asked_for_english(paths, monkeypatch):
    prompts = []
    monkeypatch.setattr(
        backtranslate,
        "translate",
        lambda m, t, prompter, segments, d: [prompts.append(prompter.prompt(s)) or "A cat." for s in segments],
    )
    run(paths, PARAMS)
    assert prompts[1] == "Japanese: 雨\nEnglish:"
    assert [row["src"] for row in read_segments(paths.out, ("src",))] == ["A cat."] * 3


def test_an_empty_translation_is_data(paths, monkeypatch):
    monkeypatch.setattr(backtranslate, "translate", lambda m, t, p, segments, d: ["", "Rain.", ""])
    run(paths, PARAMS)
    assert [row["src"] for row in read_segments(paths.out, ("tgt",))] == ["", "Rain.", ""]


def test_fewer_translations_than_segments_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        synthetic(MONO, ["a", "b"], [-1.0, -1.0, -1.0], "m")
