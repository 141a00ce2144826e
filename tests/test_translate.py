import dataclasses
from functools import partial

import pytest
from peft import LoraConfig, get_peft_model

import tiny
import translate
from launch import LAUNCHERS, STAGES, call, flags, forked, parameters
from mt.decode import Decoding
from mt.errors import InputError
from mt.lm import load_base, revision
from mt.prompt import Languages, Prompt
from mt.segments import read_segments, write_segments
from mt.systems import System
from translate import Params, Paths, Translate, run

DECODING = Decoding("beam", 2, 1.0, 1.0, 1, 8, 3.0, 4, 400)
BASELINE = System(genuine=False, synthetic=False)
TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
PARAMS = Params(Languages("en", "ja"), Prompt(TEMPLATE, 2), BASELINE, Translate("float32", DECODING))
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")]
SEGMENTS = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]


@pytest.fixture
def paths(tmp_path):
    tiny.save_gemma(tmp_path / "base")
    for name in ("train", "test"):
        write_segments(tmp_path / f"{name}.jsonl", SEGMENTS)
    names = {"test": "test.jsonl", "train": "train.jsonl", "base": "base", "adapter": "ft", "out": "hyps.jsonl"}
    return Paths(**{field: tmp_path / name for field, name in names.items()})


def save_adapter(paths):
    base, _ = load_base(paths.base, "float32")
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    model.save_pretrained(paths.adapter)


def test_the_baseline_is_prompted_with_the_first_training_segments(paths, monkeypatch):
    prompts: list[str] = []
    whole = translate.translations

    def spy(model, tokenizer, prompter, segments, decoding, memory):
        prompts.extend(prompter.prompt(segment) for segment in segments)
        return whole(model, tokenizer, prompter, segments, decoding, memory)

    monkeypatch.setattr(translate, "translations", spy)
    run(paths, PARAMS)
    shots = (
        "English: The cat sat.\nJapanese: 猫が座っています。\nEnglish: It is raining.\nJapanese: 雨が降っています。\n"
    )
    assert prompts[2] == shots + "English: A hat.\nJapanese:"
    rows = read_segments(paths.out, ("src", "tgt"))
    assert [{key: row[key] for key in ("id", "src", "tgt")} for row in rows] == SEGMENTS
    assert all(row["model"] == revision(paths.base, None) and isinstance(row["hyp"], str) for row in rows)
    assert all(isinstance(row["cut"], bool) for row in rows)


def test_a_trained_system_uses_its_adapter_and_no_examples(paths, monkeypatch):
    save_adapter(paths)
    prompts: list[str] = []
    monkeypatch.setattr(
        translate,
        "translations",
        lambda m, t, prompter, segments, d, memory: [
            prompts.append(prompter.prompt(s)) or ("", True) for s in segments
        ],
    )
    run(paths, dataclasses.replace(PARAMS, system=System(genuine=True, synthetic=False)))
    assert prompts[0] == "English: The cat sat.\nJapanese:"
    assert read_segments(paths.out, ())[0]["model"] == revision(paths.base, paths.adapter)


def test_the_adapter_changes_what_is_written(paths):
    save_adapter(paths)
    run(paths, dataclasses.replace(PARAMS, prompt=Prompt(TEMPLATE, 0)))
    plain = [row["hyp"] for row in read_segments(paths.out, ())]
    run(paths, dataclasses.replace(PARAMS, system=System(genuine=True, synthetic=True)))
    assert [row["hyp"] for row in read_segments(paths.out, ())] != plain


def test_a_missing_adapter_is_an_error_and_never_the_base_model(paths):
    with pytest.raises(InputError, match="holds no adapter"):
        run(paths, dataclasses.replace(PARAMS, system=System(genuine=True, synthetic=False)))
    assert not paths.out.exists()


def test_more_examples_than_training_segments(paths):
    with pytest.raises(InputError, match=r"prompt.shots: 4 is more than the 3"):
        run(paths, dataclasses.replace(PARAMS, prompt=Prompt(TEMPLATE, 4)))


def test_a_test_set_with_an_empty_reference(paths):
    write_segments(paths.test, [{"id": "0", "src": "A hat.", "tgt": " "}])
    with pytest.raises(InputError, match=r"test.jsonl:1: 'tgt' is missing or empty"):
        run(paths, PARAMS)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_write_what_one_writes(paths, tmp_path, launcher):
    save_adapter(paths)
    segments = [{"id": str(i), "src": "The cat sat on the mat. " * (i % 3 + 1), "tgt": "猫"} for i in range(11)]
    write_segments(paths.test, segments)
    params = parameters(tmp_path, {"translate.decode.batch_tokens": 400, "translate.decode.max_new_tokens": 8})
    written: list[bytes] = []
    for run_script in (forked, partial(call, launcher=launcher)):
        line = ["--params", params, "--at", "system=systems.ft", *flags(paths)]
        root = tmp_path / str(len(written))  # with a translation memory of its own
        root.mkdir()
        done = run_script(STAGES / "translate.py", *line, root=root)
        assert done.returncode == 0, done.stderr
        written.append(paths.out.read_bytes())
        paths.out.unlink()
    assert written[0] == written[1]
    assert written[0].count(b"\n") == 11
