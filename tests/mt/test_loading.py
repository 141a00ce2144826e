"""mt.loading: a folder is opened as data or not at all; tests/test_pickles.py plants what would run in each place."""

import contextlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import tiny
import tiny_comet
import tiny_marian
from mt import files
from mt.encoder import Encoder
from mt.errors import InputError
from mt.estimator import new_metric
from mt.files import read_json, sha256, write_json
from mt.lm import load_base
from mt.loading import as_data, check_weights, read_provenance
from mt.seq2seq import load as load_seq2seq
from mt.vocabulary import trim


def test_weights_are_safetensors(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="holds no weights in safetensors"):
        check_weights(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    check_weights(tmp_path)


def test_a_folder_with_code_is_not_opened(tmp_path):
    (tmp_path / "custom_generate").mkdir()
    (tmp_path / "custom_generate" / "generate.py").write_text("")
    opened = []
    with pytest.raises(InputError, match=r"custom_generate/generate\.py: code beside a model"), as_data(tmp_path):
        opened.append(tmp_path)
    assert opened == []


def test_a_folder_that_links_to_another_is_not_opened(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "model" / "below").mkdir(parents=True)
    (tmp_path / "model" / "below" / "custom_generate").symlink_to(tmp_path / "other")
    says = "model/below/custom_generate: is a link to a folder, so nothing here is opened"
    with pytest.raises(InputError, match=says):
        opened(tmp_path / "model")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SafetensorError("header too large"), "its weights are no safetensors"),
        (pickle.UnpicklingError("Weights only load failed"), "is not unpickled"),
        (ImportError("needs flash_attn\nmore"), r"a package that is not installed \(needs flash_attn\)"),
        (ValueError("set `trust_remote_code=True`"), "needs code of its own, which never runs here"),
    ],
)
def test_what_the_libraries_say_becomes_one_line(tmp_path, error, says):
    with pytest.raises(InputError, match=says) as told, as_data(tmp_path):
        raise error
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "error",
    [
        OSError("cannot open"),
        json.JSONDecodeError("no JSON", "x", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "start"),
        TypeError("a list"),
        KeyError("model"),
        AttributeError("no get"),
        RuntimeError("sizes differ\n" + "x" * 1000),
        ValueError("shapes differ"),
        Exception("x" * 1000 + "\nmore"),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_else_is_said_becomes_one_line(tmp_path, error):
    kind = type(error).__name__
    says = rf"cannot be loaded \({kind}: .*\); remove it and run"
    with pytest.raises(InputError, match=says) as told, as_data(tmp_path):
        raise error
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < len(str(tmp_path)) + 400
    assert told.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        InputError("a line"),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_fault_of_the_folder_stays_what_it_is(tmp_path, error):
    with pytest.raises(type(error)) as told, as_data(tmp_path):
        raise error
    assert told.value is error


@pytest.fixture
def sealed(tmp_path):
    """A folder with a file, one in a folder below it, and provenance.json."""
    folder = tmp_path / "model"
    (folder / "below").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "below" / "weights").write_bytes(b"abc")
    return tiny.seal(folder, name="tiny")


def opened(folder):
    found = []
    with as_data(folder):
        found.append(folder)
    return found


def test_a_folder_as_its_provenance_says_is_opened(sealed):
    assert opened(sealed) == [sealed]
    assert read_provenance(sealed, ["name"], ["below/weights"])["name"] == "tiny"


def changed(file):
    file.write_bytes(b"abd")


def emptied(file):
    file.write_bytes(b"")


def a_folder(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [changed, emptied, Path.unlink, a_folder])
def test_no_file_is_opened_where_one_is_another(sealed, damage):
    assert opened(sealed)
    damage(sealed / "below" / "weights")
    says = rf"{sealed}/below/weights: is not what provenance.json names; remove {sealed} and run `dvc repro`"
    with pytest.raises(InputError, match=says):
        opened(sealed)


def test_a_file_is_digested_once(sealed, monkeypatch):
    read = []
    monkeypatch.setattr(files, "_KNOWN", {})
    monkeypatch.setattr(files, "sha256", lambda path: read.append(path.name) or sha256(path))
    assert opened(sealed)
    assert opened(sealed)
    assert sorted(read) == ["config.json", "weights"]


@pytest.mark.parametrize(
    "content", ["{}", "[]", "5", "null", '{"files": []}', "{", "", '{"files": {"a\\u0000b": "x"}}']
)
def test_a_provenance_of_another_form(sealed, content):
    (sealed / "provenance.json").write_text(content)
    with pytest.raises(InputError, match=r"provenance\.json.*; remove"):
        opened(sealed)


@pytest.mark.parametrize(
    ("texts", "files", "says"),
    [
        (["license"], [], "has no text under license"),
        ([], ["config.yaml"], "does not name config.yaml and its SHA-256"),
    ],
)
def test_what_a_provenance_must_tell(sealed, texts, files, says):
    with pytest.raises(InputError, match=says):
        read_provenance(sealed, texts, files)


KINDS = {
    "language model": (tiny.save_gemma, lambda folder, _: load_base(folder, "float32")),
    "untied": (tiny.save_llama, lambda folder, _: load_base(folder, "float32")),
    "to be trimmed": (tiny.save_gemma, lambda folder, place: trim(folder, place / "out", ["The cat"])),
    "encoder": (tiny_comet.save_encoder, lambda folder, _: Encoder(folder, "", "float32")),
    "stand-in's encoder": (tiny_comet.save_encoder, lambda folder, _: new_metric(folder, tiny_comet.TRAINING)),
    "sequence to sequence": (tiny_marian.save_marian, lambda folder, _: load_seq2seq(folder, "float32")),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return {name: Path(save(place / name)) for name, (save, _) in KINDS.items()}


def without_one(weights):
    del weights[sorted(name for name in weights if "norm" in name.lower())[0]]


def renamed(weights):
    name = sorted(name for name in weights if "norm" in name.lower())[0]
    weights[f"other.{name}"] = weights.pop(name)


def without_embeddings(weights):
    for name in [name for name in weights if "embed_tokens" in name or "shared" in name or "word_emb" in name]:
        del weights[name]


def none_of_its_own(weights):
    weights.clear()
    weights["a"] = torch.zeros(1)


def another_shape(weights):
    name = sorted(name for name in weights if "norm" in name.lower())[0]
    weights[name] = weights[name][:-1].clone()


def with_more(weights):
    weights["layers.9.more"] = torch.zeros(1)


@pytest.mark.parametrize("spoil", [without_one, renamed, without_embeddings, none_of_its_own, another_shape, with_more])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_those_of_the_model(models, tmp_path, kind, spoil):
    """Transformers warns, and goes on with random numbers."""
    folder = tmp_path / "model"
    shutil.copytree(models[kind], folder)
    weights = load_file(folder / "model.safetensors")
    spoil(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    says = rf"^{folder}: (its weights are not those of its configuration|cannot be loaded \()"
    with pytest.raises(InputError, match=says) as told:
        KINDS[kind][1](folder, tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_models_are_loaded(models, tmp_path, kind):
    KINDS[kind][1](models[kind], tmp_path)


def test_the_weights_of_another_architecture(models, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(models["language model"], folder)
    write_json(folder / "config.json", read_json(folder / "config.json") | {"model_type": "llama"})
    with pytest.raises(InputError, match="its weights are not those of its configuration"):
        load_base(folder, "float32")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("content", ["", "[]", "5", "null", '{"a": ', "\x00" * 50])
def test_a_damaged_file_of_a_model(models, tmp_path, name, content):
    """Some are as good as none to transformers, which goes on; where there is a provenance.json, none is."""
    folder = tmp_path / "model"
    shutil.copytree(models["language model"], folder)
    tiny.seal(folder)
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=f"{name}: is not what provenance.json names"):
        load_base(folder, "float32")
    (folder / "provenance.json").unlink()
    with contextlib.suppress(InputError):
        load_base(folder, "float32")


def test_a_head_that_is_not_used_may_lie_beside_an_encoder(models, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(models["encoder"], folder)
    weights = load_file(folder / "model.safetensors")
    more = {"pooler.dense.weight": torch.zeros(32, 32), "cls.predictions.bias": torch.zeros(3)}
    save_file(weights | more, folder / "model.safetensors", metadata={"format": "pt"})
    Encoder(folder, "", "float32")


def test_weights_that_are_no_numbers_are_not_trimmed(models, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(models["language model"], folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"model.norm.weight holds weights that are not finite"):
        trim(folder, tmp_path / "out", ["The cat"])
