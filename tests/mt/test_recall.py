"""mt.recall: what is found is what would be written, and everything that would change it is a miss."""

import dataclasses
from importlib import metadata

import pytest
import torch

import tiny
from mt import decode, processes, recall
from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.lm import identity, load_base, mean_logprobs
from mt.lora import adapt, save, state
from mt.memory import Translation
from mt.prompt import FORWARD, REVERSE, Languages, Prompter
from mt.recall import CODE, facts, open_memory, recalled, recalled_numbers
from pipeline import closure

LANGUAGES = Languages("en", "ja")
TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
GREEDY = Decoding("greedy", 1, 1.0, 1.0, 1, 12, 3.0, 4, 400)
WAYS = {
    "greedy": GREEDY,
    "beam": dataclasses.replace(GREEDY, strategy="beam", beams=3),
    "sampling": dataclasses.replace(GREEDY, strategy="sampling", temperature=0.8, top_p=0.9),
}
SOURCES = ("The cat sat on the mat.", "A hat.", "The other cat that sat there sang to the other hat.", "東京", "x")
SEGMENTS = [{"id": str(i), "src": src, "tgt": "猫"} for i, src in enumerate(SOURCES * 3)]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_gemma(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def loaded(folder):
    return load_base(folder, "float32")


def prompter(template=TEMPLATE, direction=FORWARD, shots=()):
    return Prompter(template, LANGUAGES, direction, shots)


class Counted:
    """Translates through the memory, and counts the segments that a model translated."""

    def __init__(self, monkeypatch, loaded):
        self.rows: list[int] = []
        self.loaded, generate = loaded, decode._Engine.generate

        def counted(engine, prompts, limits, asked):
            self.rows.append(len(prompts))
            return generate(engine, prompts, limits, asked)

        monkeypatch.setattr(decode._Engine, "generate", counted)

    def __call__(self, named, decoding=GREEDY, asker=None, segments=SEGMENTS):
        self.rows.clear()
        with open_memory(named, decoding) as memory:
            model, tokenizer = self.loaded
            return translate(model, tokenizer, asker or prompter(), segments, decoding, memory)


def written(loaded, segments, decoding):
    """Translations without a memory."""
    model, tokenizer = loaded
    return translate(model, tokenizer, prompter(), segments, decoding, None)


@pytest.fixture
def counted(monkeypatch, loaded):
    return Counted(monkeypatch, loaded)


@pytest.mark.parametrize("way", WAYS)
def test_a_hit_and_a_fresh_translation_are_the_same(counted, folder, loaded, way):
    named = identity(folder, None, "float32")
    fresh = written(loaded, SEGMENTS, WAYS[way])
    assert counted(named, WAYS[way]) == fresh
    assert sum(counted.rows) == len(SEGMENTS)
    assert counted(named, WAYS[way]) == fresh
    assert counted.rows == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("known", [slice(0, 4), slice(3, 9, 2), slice(0, 1)])
def test_only_what_is_new_is_translated(counted, folder, loaded, way, known):
    named = identity(folder, None, "float32")
    texts = [f"{source} {i}" for i, source in enumerate(SOURCES * 3)]
    segments = [{"id": str(i), "src": src, "tgt": "猫"} for i, src in enumerate(texts)]
    fresh = written(loaded, segments, WAYS[way])
    assert counted(named, WAYS[way], segments=segments[known]) == fresh[known]
    assert counted(named, WAYS[way], segments=segments) == fresh
    assert sum(counted.rows) == len(segments) - len(segments[known])


def test_a_run_that_is_cut_off_loses_one_batch_and_has_the_same_batches_again(counted, folder, loaded, monkeypatch):
    named, small = identity(folder, None, "float32"), dataclasses.replace(GREEDY, batch_tokens=80)
    fresh = written(loaded, SEGMENTS, small)
    whole = list(counted.rows)
    assert len(whole) > 3
    generate = decode._Engine.generate

    def cut_off(engine, prompts, limits, asked):
        if len(counted.rows) == 2:
            raise KeyboardInterrupt
        return generate(engine, prompts, limits, asked)

    with monkeypatch.context() as patch:
        patch.setattr(decode._Engine, "generate", cut_off)
        with pytest.raises(KeyboardInterrupt):
            counted(named, small)
    assert counted.rows == whole[:2]
    assert counted(named, small) == fresh
    assert counted.rows == whole[2:]


CHANGES = {
    "seed": {"decoding": dataclasses.replace(GREEDY, seed=2)},
    "temperature": {"decoding": dataclasses.replace(GREEDY, temperature=0.9)},
    "top_p": {"decoding": dataclasses.replace(GREEDY, top_p=0.9)},
    "max_new_tokens": {"decoding": dataclasses.replace(GREEDY, max_new_tokens=11)},
    "max_length_ratio": {"decoding": dataclasses.replace(GREEDY, max_length_ratio=2.5)},
    "length_margin": {"decoding": dataclasses.replace(GREEDY, length_margin=5)},
    "strategy": {"decoding": WAYS["sampling"]},
    "beams": {"decoding": WAYS["beam"]},
    "template": {"asker": prompter("{src_language}: {src}\n-> {tgt}\n")},
    "direction": {"asker": prompter(direction=REVERSE)},
    "examples": {"asker": prompter(shots=[{"id": "s", "src": "The mat.", "tgt": "雨"}])},
    "source": {"segments": [{**segment, "src": f"{segment['src']}!"} for segment in SEGMENTS]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_a_translation_is_a_miss(counted, folder, change):
    named = identity(folder, None, "float32")
    counted(named)
    counted(named, **CHANGES[change])
    assert sum(counted.rows) == len(SEGMENTS)


def test_the_size_of_batches_is_no_miss(counted, folder):
    named = identity(folder, None, "float32")
    counted(named)
    counted(named, dataclasses.replace(GREEDY, batch_tokens=1))
    assert counted.rows == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("part", ["base", "adapter"])
def test_every_file_of_a_model_counts(tmp_path, name, part):
    for place in ("base", "adapter"):
        tiny.save_gemma(tmp_path / place)
    first = identity(tmp_path / "base", tmp_path / "adapter", "float32")
    assert first == identity(tmp_path / "base", tmp_path / "adapter", "float32")
    assert first != identity(tmp_path / "base", None, "float32")
    assert first != identity(tmp_path / "base", tmp_path / "adapter", "bfloat16")
    with (tmp_path / part / name).open("ab") as file:
        file.write(b" ")
    assert first != identity(tmp_path / "base", tmp_path / "adapter", "float32")


def test_the_adapter_in_training_counts(folder, tmp_path):
    model = adapt(load_base(folder, "float32")[0], tiny.LORA)
    first = state(model)
    assert first == state(model)
    save(model, tmp_path)
    assert first == state(model)
    weights = next(weights for name, weights in model.named_parameters() if "lora_B" in name)
    with torch.no_grad():
        weights[0, 0] += 1e-6
    assert state(model) != first


def test_the_code_that_translates_counts(monkeypatch, tmp_path):
    named = {"revision": "base:0"}
    first = facts(named, GREEDY)
    for name in CODE:
        with monkeypatch.context() as patch:
            patch.setattr(
                recall, "sha256", lambda path, name=name: "other" if path.stem == name else first["code"][path.stem]
            )
            assert facts(named, GREEDY) != first
    ways = {"decode", "seq2seq", "lora"}  # lora: how the model is held whose translations judge an epoch
    used = {path.split("/")[-1].removesuffix(".py") for name in ways for path in closure(f"stages/mt/{name}.py")}
    assert set(CODE) == used - NO_PART - {"__init__"} | ways


NO_PART = {"errors", "files", "memory", "processes", "recall", "segments", "values"}
"""Modules that translating uses, and that no translation follows from."""


@pytest.mark.parametrize("library", recall.LIBRARIES)
def test_the_libraries_count(monkeypatch, library):
    first = facts({}, GREEDY)
    version = metadata.version
    monkeypatch.setattr(recall, "version", lambda name: "0" if name == library else version(name))
    assert facts({}, GREEDY) != first


def test_the_device_counts(monkeypatch):
    first = facts({}, GREEDY)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert facts({}, GREEDY) != first
    monkeypatch.setattr(processes, "device", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    assert facts({}, GREEDY)["device"] == "a GPU"


def test_processes_on_other_hosts_go_without(monkeypatch):
    monkeypatch.setattr(recall, "beside_main", lambda: False)
    with open_memory({}, GREEDY) as memory:
        assert memory is None


def test_what_other_hosts_translate_is_kept_at_the_end(monkeypatch):
    monkeypatch.setattr(recall, "count", lambda: 2)
    monkeypatch.setattr(recall, "in_batches", lambda *_: [Translation("A", False), Translation("B", True)])
    with open_memory({}, GREEDY) as memory:
        assert memory
        recalled(memory, ["a", "b"], [1, 1], 9, lambda rows: [])
        assert memory.find(["a", "b"]) == [Translation("A", False), Translation("B", True)]


def test_log_probabilities_are_kept_apart_from_translations(folder, loaded):
    model, tokenizer = loaded
    pairs = [("The cat", " sat on the mat.\n"), ("雨", "が\n"), ("The other cat", " sang\n")]
    named = identity(folder, None, "float32")
    fresh = mean_logprobs(model, tokenizer, pairs, 60, None)
    asked = ["\0".join(pair) for pair in pairs]
    with open_memory(named, GREEDY) as memory:
        assert memory
        assert mean_logprobs(model, tokenizer, pairs[:2], 60, memory) == pytest.approx(fresh[:2], abs=1e-5)
        assert memory.find(asked) == [None] * 3
        scored = []
        found = recalled_numbers(memory, asked, [9] * 3, 60, lambda rows: scored.extend(rows) or [-0.1] * len(rows))
        assert scored == [2]
        assert found[:2] == pytest.approx(fresh[:2], abs=1e-5)
        assert found[2] == -0.1


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_log_probability_that_is_no_finite_number_is_told_and_not_kept(value):
    with open_memory({}, GREEDY) as memory:
        assert memory
        with pytest.raises(InputError, match=f"the log-probability {value}, which is no finite number"):
            recalled_numbers(memory, ["a"], [9], 9, lambda rows: [float(value)])
        assert recalled_numbers(memory, ["a"], [9], 9, lambda rows: [-0.1]) == [-0.1]
        memory.keep(["log-probability\0b"], [Translation(value, cut=False)])
        with pytest.raises(InputError, match=rf"is damaged \({value} is no finite number\); remove it"):
            recalled_numbers(memory, ["b"], [9], 9, lambda rows: [-0.1])
