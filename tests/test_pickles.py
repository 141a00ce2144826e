"""Model files are data: pickles and code are planted wherever one could come in, and none of them ever goes off."""

import contextlib
import dataclasses
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import finetune
import tiny
import tiny_comet
import tiny_hub
import tiny_marian
import translate
import trim_vocabulary
from corpus_requests import corpus, read, request
from launch import STAGES, call, flags, parameters
from mt.archives import Archive, member_bytes
from mt.checkpoints import Checkpoints
from mt.comet import CHECKPOINT, HPARAMS, Comet
from mt.decode import Decoding
from mt.e5 import convert as convert_e5
from mt.encoder import Encoder
from mt.errors import InputError
from mt.estimator import new_metric
from mt.files import read_json, sha256, write_json
from mt.gemma import convert as convert_gguf
from mt.lid import FILE as LID_FILE
from mt.lid import LanguageId
from mt.lm import load_base
from mt.loading import PROVENANCE
from mt.prompt import Languages, Prompt
from mt.segments import read_segments, write_segments
from mt.seq2seq import Seq2Seq
from mt.systems import System

DECODING = Decoding("greedy", 1, 1.0, 1.0, 1, 4, 3.0, 4, 400)
TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
LANGUAGES = Languages("en", "ja")
TEXTS = [("The cat sat.", "猫が座っています。"), ("It is raining.", "雨が降っています。"), ("A hat.", "猫")]
SEGMENTS = [{"id": str(i), "src": src, "tgt": tgt} for i, (src, tgt) in enumerate(TEXTS)]


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (self.path, 0o777, True)


def as_pickle(path: Path, trap: Trap) -> None:
    path.write_bytes(pickle.dumps(trap, protocol=0))


def as_torch(path: Path, trap: Trap) -> None:
    torch.save({"weight": trap}, path)


def as_old_torch(path: Path, trap: Trap) -> None:
    torch.save({"weight": trap}, path, _use_new_zipfile_serialization=False)


def as_numpy(path: Path, trap: Trap) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([trap], dtype=object), allow_pickle=True)


def open_torch(path: Path) -> Any:
    return torch.load(path, weights_only=False)


FORMS: dict[str, tuple[Callable[[Path, Trap], None], Callable[[Path], Any]]] = {
    "pickle": (as_pickle, lambda path: pickle.loads(path.read_bytes())),  # noqa: S301
    "torch": (as_torch, open_torch),
    "old torch": (as_old_torch, open_torch),
    "numpy": (as_numpy, lambda path: np.load(path, allow_pickle=True)),
}
EACH_FORM = pytest.mark.parametrize("plant", [plant for plant, _ in FORMS.values()], ids=FORMS)
PICKLES = (
    *("pytorch_model.bin", "model.pt", "model.ckpt", "weights.pth", "adapter_model.bin", "training_args.bin"),
    *("optimizer.pt", "scheduler.pt", "rng_state.pth", "vocab.pkl", "vocab.bin", "vectors.npy", "model.joblib"),
)
SCRIPTS = ("__init__.py", "modeling.py", "sitecustomize.py", "custom_generate/generate.py")


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """What is there once a trap has gone off."""
    return tmp_path / "sprung"


@pytest.fixture
def trap(sprung: Path) -> Iterator[Trap]:
    """A trap that must not have gone off when the test ends."""
    yield Trap(sprung)
    assert not sprung.exists()


def surround(folder: Path, trap: Trap) -> None:
    """Plant a pickle under every name that a library might look for, beside what is there."""
    for name in PICKLES:
        as_torch(folder / name, trap)


def script(trap: Trap) -> str:
    """Code that goes off, and then serves as a model of its own."""
    return f"import os\nos.makedirs({trap.path!r}, exist_ok=True)\nclass Config: pass\nclass Model: pass\n"


def coded(folder: Path, trap: Trap) -> None:
    """Let the configuration name code of the folder's own, for a model that transformers does not know."""
    auto = {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model", "AutoModelForCausalLM": "modeling.Model"}
    write_json(folder / "config.json", read_json(folder / "config.json") | {"model_type": "own", "auto_map": auto})


def own_tokenizer(folder: Path, trap: Trap) -> None:
    """Let the tokenizer be code of the folder's own."""
    auto = {"auto_map": {"AutoTokenizer": ["tokenization.Model", None]}, "tokenizer_class": "Own"}
    write_json(folder / "tokenizer_config.json", read_json(folder / "tokenizer_config.json") | auto)


def unpickled_tokenizer(folder: Path, trap: Trap) -> None:
    """Name the one tokenizer of transformers that unpickles its vocabulary."""
    for file in folder.glob("tokenizer*"):
        file.unlink()
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "TransfoXLTokenizer", "pad_token": "<pad>"})
    surround(folder, trap)
    as_pickle(folder / "vocab.pkl", trap)


def instead(folder: Path, trap: Trap) -> None:
    """Pickles alone."""
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    surround(folder, trap)


def under_its_name(folder: Path, trap: Trap) -> None:
    """A pickle that is called safetensors."""
    for file in folder.rglob("*.safetensors"):
        as_torch(file, trap)


def with_code(name: str) -> Callable[[Path, Trap], None]:
    """A script beside the weights."""

    def write(folder: Path, trap: Trap) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(script(trap))

    return write


def linked(folder: Path, trap: Trap) -> None:
    """A script behind a link to a folder."""
    with_code("generate.py")(folder.parent / "elsewhere", trap)
    (folder / "custom_generate").symlink_to(folder.parent / "elsewhere")


def redirected(folder: Path, trap: Trap) -> None:
    """An adapter that names another model as its own, with a script beside that one."""
    other = shutil.copytree(folder, folder.parent / "elsewhere")
    with_code("custom_generate/generate.py")(other, trap)
    asked = {"peft_type": "LORA", "base_model_name_or_path": str(other), "r": 2, "target_modules": ["q_proj"]}
    write_json(folder / "adapter_config.json", asked)


SPOILED: dict[str, tuple[Callable[[Path, Trap], None], str]] = {
    "instead of the weights": (instead, "holds no weights in safetensors"),
    "under the weights' name": (under_its_name, "its weights are no safetensors"),
    "code of the model's own": (coded, "needs code of its own, which never runs here"),
    "code of the tokenizer's own": (own_tokenizer, "needs code of its own, which never runs here"),
    "code behind a link": (linked, "is a link to a folder, so nothing here is opened"),
    "an adapter that names another model": (redirected, "an adapter beside a model would take its place"),
    **{name: (with_code(name), "code beside a model might be run, so nothing here is opened") for name in SCRIPTS},
}
EACH_WAY = pytest.mark.parametrize(("spoil", "says"), SPOILED.values(), ids=SPOILED)


@contextlib.contextmanager
def refused(says: str) -> Iterator[None]:
    """The user is told in one line."""
    with pytest.raises(InputError, match=says) as error:
        yield
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", FORMS)
def test_a_trap_goes_off_where_it_is_unpickled(form, sprung, tmp_path):
    plant, unpickle = FORMS[form]
    plant(tmp_path / "trap", Trap(sprung))
    assert not sprung.exists()
    unpickle(tmp_path / "trap")
    assert sprung.exists()


@pytest.mark.parametrize("spoil", [linked, redirected])
def test_a_trap_goes_off_where_transformers_follows_to_another_folder(spoil, models, sprung, tmp_path):
    folder = copy_of(models, "base", tmp_path)
    spoil(folder, Trap(sprung))
    with pytest.raises(AttributeError, match="has no attribute 'generate'"):  # the trap has been run by then
        AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    assert sprung.exists()


def test_code_goes_off_where_it_is_run(sprung):
    exec(script(Trap(sprung)))  # noqa: S102
    assert sprung.exists()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of every kind, clean."""
    place = tmp_path_factory.mktemp("models")
    tiny.save_gemma(place / "base")
    base, _ = load_base(place / "base", "float32")
    adapter = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapter.save_pretrained(place / "adapter")
    tiny_comet.save_comet(place / "comet", tiny_comet.save_encoder(place / "encoder"))
    tiny_hub.save_labse(place / "labse")
    for file in place.rglob("*.bin"):
        file.unlink()
    tiny_marian.save_marian(place / "reverse")
    write_json(place / "base" / PROVENANCE, {"name": "tiny", "license": "CC0", "revision": "1", "files": {}})
    return place


def copy_of(models: Path, name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models / name, tmp_path / name))


def translated(models: Path, tmp_path: Path, trained: bool, **paths: Path) -> list[str]:
    """What the stage `translate` writes."""
    for name in ("train", "test"):
        write_segments(tmp_path / f"{name}.jsonl", SEGMENTS)
    places = {"base": models / "base", "adapter": models / "adapter", "out": tmp_path / "hyps.jsonl"} | paths
    made = translate.Paths(test=tmp_path / "test.jsonl", train=tmp_path / "train.jsonl", **places)
    settings = translate.Translate("float32", DECODING)
    translate.run(made, translate.Params(LANGUAGES, Prompt(TEMPLATE, 1), System(trained, False), settings))
    return [row["hyp"] for row in read_segments(made.out, ())]


def test_a_base_model_among_traps_translates(models, trap, tmp_path):
    base = copy_of(models, "base", tmp_path)
    surround(base, trap)
    assert translated(models, tmp_path, False, base=base) == translated(models, tmp_path, False)


@EACH_WAY
def test_a_base_model_of_pickles_or_code(models, trap, tmp_path, spoil, says):
    base = copy_of(models, "base", tmp_path)
    spoil(base, trap)
    with refused(f"{base}.*: {says}"):
        translated(models, tmp_path, False, base=base)
    assert not (tmp_path / "hyps.jsonl").exists()


def test_a_tokenizer_that_would_be_unpickled(models, trap, tmp_path):
    base = copy_of(models, "base", tmp_path)
    unpickled_tokenizer(base, trap)
    with refused(f"{base}: needs (a package that is not installed|code of its own)"):
        translated(models, tmp_path, False, base=base)


def test_an_adapter_among_traps_translates(models, trap, tmp_path):
    adapter = copy_of(models, "adapter", tmp_path)
    surround(adapter, trap)
    assert translated(models, tmp_path, True, adapter=adapter) == translated(models, tmp_path, True)


@EACH_FORM
def test_a_pickle_instead_of_an_adapter(models, trap, tmp_path, plant):
    adapter = copy_of(models, "adapter", tmp_path)
    instead(adapter, trap)
    plant(adapter / "adapter_model.bin", trap)
    with refused(f"{adapter}: holds no adapter"):
        translated(models, tmp_path, True, adapter=adapter)


@pytest.mark.parametrize("name", SCRIPTS)
def test_code_beside_an_adapter(models, trap, tmp_path, name):
    adapter = copy_of(models, "adapter", tmp_path)
    with_code(name)(adapter, trap)
    with refused(f"{adapter}/{name}: code beside a model might be run"):
        translated(models, tmp_path, True, adapter=adapter)


def test_a_pickle_under_an_adapters_name(models, trap, tmp_path):
    adapter = copy_of(models, "adapter", tmp_path)
    under_its_name(adapter, trap)
    with refused(f"{adapter}: its weights are no safetensors"):
        translated(models, tmp_path, True, adapter=adapter)


def trimmed(source: Path, tmp_path: Path, vocabulary: Any) -> Path:
    """What the stage `base` writes."""
    for name in ("train", "mono", "pool"):
        write_segments(tmp_path / f"{name}.jsonl", SEGMENTS)
    texts = {name: tmp_path / f"{name}.jsonl" for name in ("train", "mono", "pool")}
    paths = trim_vocabulary.Paths(source=source, out=tmp_path / "out", **texts)
    trim_vocabulary.run(paths, trim_vocabulary.Params(LANGUAGES, TEMPLATE, trim_vocabulary.Base(vocabulary)))
    return paths.out


def test_nothing_of_a_source_model_but_itself_is_trimmed(models, trap, tmp_path):
    source = copy_of(models, "base", tmp_path)
    surround(source, trap)
    out = trimmed(source, tmp_path, "trimmed")
    assert not [path.name for path in out.rglob("*") if path.suffix not in (".json", ".safetensors")]


@EACH_WAY
def test_a_source_model_of_pickles_or_code(models, trap, tmp_path, spoil, says):
    source = copy_of(models, "base", tmp_path)
    spoil(source, trap)
    with refused(says):
        trimmed(source, tmp_path, "trimmed")
    assert not (tmp_path / "out").exists()


def test_a_source_model_that_is_kept_whole_and_has_a_tokenizer_of_its_own(models, trap, tmp_path):
    source = copy_of(models, "base", tmp_path)
    own_tokenizer(source, trap)
    with refused("needs code of its own, which never runs here"):
        trimmed(source, tmp_path, "full")


@pytest.mark.parametrize("name", ["encoder", "labse"])
def test_an_encoder_among_traps_embeds(models, trap, tmp_path, name):
    folder = copy_of(models, name, tmp_path)
    for place in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        surround(place, trap)
    expected = Encoder(models / name, "", "float32").embed(["猫"], 1)
    assert np.array_equal(Encoder(folder, "", "float32").embed(["猫"], 1), expected)


@EACH_WAY
def test_an_encoder_of_pickles_or_code(models, trap, tmp_path, spoil, says):
    folder = copy_of(models, "encoder", tmp_path)
    spoil(folder, trap)
    with refused(f"{folder}.*: {says}"):
        Encoder(folder, "", "float32")


@pytest.mark.parametrize("spoil", [instead, under_its_name])
def test_an_encoders_last_layer_of_pickles(models, trap, tmp_path, spoil):
    folder = copy_of(models, "labse", tmp_path)
    spoil(folder / "2_Dense", trap)
    with refused(f"{folder / '2_Dense'}: (holds no weights in|its weights are no) safetensors"):
        Encoder(folder, "", "float32")


@pytest.mark.parametrize("spoil", [instead, under_its_name])
def test_an_encoder_that_a_stand_in_is_built_on(models, trap, tmp_path, spoil):
    folder = copy_of(models, "encoder", tmp_path)
    spoil(folder, trap)
    with refused(f"{folder}: (holds no weights in|its weights are no) safetensors"):
        new_metric(folder, tiny_comet.TRAINING)


def test_a_sequence_to_sequence_model_among_traps_loads(models, trap, tmp_path):
    folder = copy_of(models, "reverse", tmp_path)
    surround(folder, trap)
    Seq2Seq(folder, "float32", DECODING)


@EACH_WAY
def test_a_sequence_to_sequence_model_of_pickles_or_code(models, trap, tmp_path, spoil, says):
    folder = copy_of(models, "reverse", tmp_path)
    spoil(folder, trap)
    with refused(f"{folder}.*: {says}"):
        Seq2Seq(folder, "float32", DECODING)


def test_a_comet_checkpoint_among_traps_loads(models, trap, tmp_path):
    folder = copy_of(models, "comet", tmp_path)
    for place in (folder, folder / "encoder", folder / "checkpoints"):
        for name in set(PICKLES) - {"model.ckpt"}:
            as_torch(place / name, trap)
    Comet(folder)


@EACH_FORM
def test_a_comet_checkpoint_whose_provenance_was_forged_too(models, trap, tmp_path, plant):
    folder = copy_of(models, "comet", tmp_path)
    plant(folder / CHECKPOINT, trap)
    tiny.seal(folder, name="tiny")
    with refused(
        r"comet(/checkpoints/model\.ckpt: holds more than weights and numbers|: unbabel-comet cannot load it)"
    ):
        Comet(folder)


def test_weights_of_comet_with_a_trap_among_them(models, trap, tmp_path, monkeypatch):
    folder = copy_of(models, "comet", tmp_path)
    content = torch.load(folder / CHECKPOINT, weights_only=True)
    torch.save(content | {"callbacks": trap}, folder / CHECKPOINT)
    tiny.seal(folder, name="tiny")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with refused(r"comet/checkpoints/model\.ckpt: holds more than weights and numbers"):
        Comet(folder)


def test_hyperparameters_of_comet_that_would_be_run(models, trap, tmp_path):
    folder = copy_of(models, "comet", tmp_path)
    with (folder / HPARAMS).open("a") as file:
        file.write(f"own: !!python/object/apply:os.makedirs [{trap.path}]\n")
    tiny.seal(folder, name="tiny")
    with refused(r"comet/hparams\.yaml: no plain YAML"):
        Comet(folder)


@EACH_FORM
def test_a_language_identifier(trap, tmp_path, plant):
    plant(tmp_path / LID_FILE, trap)
    tiny.seal(tmp_path)
    with refused(rf"{LID_FILE}: no fastText model"):
        LanguageId(tmp_path)


@EACH_FORM
@pytest.mark.parametrize("convert", [convert_gguf, convert_e5], ids=["gguf", "e5"])
def test_a_packed_model(trap, tmp_path, plant, convert):
    (tmp_path / "out").mkdir()
    packed = tmp_path / "out" / "packed"
    plant(packed, trap)
    surround(tmp_path / "out", trap)
    with_code("custom_generate/generate.py")(tmp_path / "out", trap)
    with refused("packed"):
        convert(packed, tmp_path / "out")


def test_code_in_an_archive_is_not_run(trap, tmp_path):
    file = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("setup.py", "a/__init__.py", "a.pth", "sitecustomize.py"):
            archive.writestr(name, script(trap))
        archive.writestr("a/member", pickle.dumps(trap))
    pinned = Archive("a", "1", file.name, sha256(file), "a/member")
    assert member_bytes(pinned, tmp_path) == pickle.dumps(trap)


def dataset(tmp_path: Path, file: str, card: str = "") -> Path:
    """A folder laid out as a dataset of the hub, its data in `file`."""
    folder = tmp_path / "dataset"
    (folder / "data").mkdir(parents=True)
    files = f"configs:\n- config_name: plain\n  data_files:\n  - {{split: train, path: data/{file}}}\n"
    (folder / "README.md").write_text(f"---\n{files}{card}---\n")
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    asked = corpus("hf", path=str(folder), config="plain", split="train", columns=("en", "ja"))
    return read(request(asked, folder.parent))[0]


@pytest.mark.parametrize(
    "file", ["train.pkl", "train.pickle", "train.npy", "train.bin", "train.arrow", "train.parquet"]
)
def test_a_dataset_of_pickles(trap, tmp_path, file):
    pytest.importorskip("datasets")
    folder = dataset(tmp_path, file)
    as_pickle(folder / "data" / file, trap)
    with refused("dataset: cannot be read; correct config, split, columns or the files"):
        rows_of(folder)


@pytest.mark.parametrize("name", ["dataset.py", "data/train.py"])
def test_a_dataset_with_a_script(trap, tmp_path, name):
    pytest.importorskip("datasets")
    folder = dataset(tmp_path, "train.*", "builder_name: pandas\n")
    (folder / name).write_text(script(trap))
    with refused("dataset: cannot be read; correct config, split, columns or the files"):
        rows_of(folder)


def test_a_dataset_of_tar_files_with_pickles(trap, tmp_path):
    pytest.importorskip("datasets")
    folder = dataset(tmp_path, "train.tar")
    with contextlib.chdir(tmp_path):
        for name in ("1.en", "1.ja", "1.pyd", "1.pickle", "1.pkl", "1.npy", "1.pth"):
            as_pickle(Path(name), trap)
        subprocess.run(["tar", "cf", folder / "data" / "train.tar", *Path().glob("1.*")], check=True)
    with refused("dataset"):
        rows_of(folder)


SCHEDULE = dataclasses.replace(
    tiny.SCHEDULE, epochs=1, warmup_steps=0, batch_size=1, micro_batch_size=1, group_by_length=True, save_steps=2
)
SETTINGS = finetune.Finetune(
    **dataclasses.asdict(SCHEDULE),
    weights="float32",
    direction="forward",
    patience=1,
    select_by="chrf",
    max_tokens=128,
    rejected_sample=2,
    comet_batch_size=8,
    decode=DECODING,
)
PARAMS = finetune.Params(LANGUAGES, TEMPLATE, tiny.LORA, SETTINGS)


class CutOffError(Exception):
    """What cuts a training off."""


@pytest.fixture(scope="module")
def cut_off(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, finetune.Paths]:
    """A training that was cut off after its second step of three: DVC's root with its checkpoint, and its paths."""
    place = tmp_path_factory.mktemp("cut off")
    for name in ("train", "dev"):
        write_segments(place / f"{name}.jsonl", SEGMENTS)
    files = {"train": place / "train.jsonl", "dev": place / "dev.jsonl", "comet": place / "none"}
    paths = finetune.Paths(base=models / "base", out=place / "out", history=place / "history", **files)
    keep = Checkpoints.keep

    def kept_and_cut_off(self: Checkpoints, step: int, complete: Callable[[Path], None]) -> None:
        keep(self, step, complete)
        raise CutOffError

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(place))
        patch.setattr(Checkpoints, "keep", kept_and_cut_off)
        with contextlib.suppress(CutOffError):
            finetune.run(paths, PARAMS)
    assert [folder.name for folder in place.glob(".cache/checkpoints/*/step-2/checkpoint-*")] == ["checkpoint-2"]
    return place, paths


def checkpoint(cut_off: tuple[Path, finetune.Paths], root: Path) -> tuple[Path, finetune.Paths]:
    """A copy of the checkpoint under another root of DVC's, and where the training writes there."""
    shutil.copytree(cut_off[0] / ".cache", root / ".cache")
    (folder,) = root.glob(".cache/checkpoints/*/step-2/checkpoint-2")
    return folder, replace(cut_off[1], out=root / "out", history=root / "history")


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "pytorch_model.bin"])
@EACH_FORM
def test_a_training_goes_on_from_no_pickle(cut_off, trap, tmp_path, monkeypatch, capsys, name, plant):
    folder, paths = checkpoint(cut_off, tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    plant(folder / name, trap)
    tiny.seal(folder.parent)
    with refused("step-2: holds more than weights and numbers, which is not unpickled; remove it"):
        finetune.run(paths, PARAMS)
    assert "going on from the checkpoint after step 2 of 3" in capsys.readouterr().out
    assert not paths.out.exists()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "garbage": lambda _: b"\xff" * 500,
    "cut short": lambda content: content[: len(content) // 2],
    "something else": lambda _: b'{"a": 1}',
}


@pytest.mark.parametrize("forged", [False, True], ids=["as it was", "forged"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize(
    "name", ["trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", "adapter_model.safetensors"]
)
def test_a_training_goes_on_from_nothing_damaged(cut_off, tmp_path, monkeypatch, name, damage, forged):
    """`forged`: the digests are those of what is damaged."""
    folder, paths = checkpoint(cut_off, tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    if forged:
        tiny.seal(folder.parent)
        says = "step-2: (cannot be loaded|its weights are no safetensors|holds more than weights and numbers)"
    else:
        says = f"checkpoint-2/{name}: is not what provenance.json names; remove .*step-2 and run `dvc repro`"
    with refused(says):
        finetune.run(paths, PARAMS)
    assert not paths.out.exists()


@pytest.mark.parametrize("content", ["a state", "nothing", *FORMS])
def test_a_training_on_the_cpu_has_no_scaler(cut_off, trap, tmp_path, monkeypatch, capsys, content):
    folder, paths = checkpoint(cut_off, tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (folder / "scaler.pt").touch()
    if content == "a state":
        torch.save({"scale": 1.0, "_growth_tracker": 0}, folder / "scaler.pt")
    elif content in FORMS:
        FORMS[content][0](folder / "scaler.pt", trap)
    finetune.run(paths, PARAMS)
    assert "going on from the checkpoint after step 2 of 3" in capsys.readouterr().out
    assert paths.out.exists()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_training_does_not_go_on_beside_code(cut_off, trap, tmp_path, monkeypatch, name):
    folder, paths = checkpoint(cut_off, tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with_code(name)(folder, trap)
    with refused(f"checkpoint-2/{name}: code beside a model might be run"):
        finetune.run(paths, PARAMS)


def test_a_training_goes_on_among_traps(cut_off, trap, tmp_path, monkeypatch, capsys):
    folder, paths = checkpoint(cut_off, tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    opened = {"optimizer.pt", "scheduler.pt", "rng_state.pth", "pytorch_model.bin"}
    for place in (folder, folder.parent, folder.parent.parent):
        for name in sorted(set(PICKLES) - opened):
            as_torch(place / name, trap)
    tiny.seal(folder.parent)
    finetune.run(paths, PARAMS)
    assert "going on from the checkpoint after step 2 of 3" in capsys.readouterr().out
    assert sorted(path.name for path in paths.out.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_a_pickled_adapter_in_a_checkpoint(cut_off, trap, tmp_path, monkeypatch):
    folder, paths = checkpoint(cut_off, tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (folder / "adapter_model.safetensors").unlink()
    as_torch(folder / "adapter_model.bin", trap)
    tiny.seal(folder.parent)
    with refused("step-2: holds more than weights and numbers"):
        finetune.run(paths, PARAMS)


@pytest.mark.slow
def test_no_switch_in_the_environment_lets_a_stage_unpickle(models, trap, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.setenv("TRUST_REMOTE_CODE", "1")
    base = copy_of(models, "base", tmp_path)
    unpickled_tokenizer(base, trap)
    for name in ("train", "test"):
        write_segments(tmp_path / f"{name}.jsonl", SEGMENTS)
    texts = {"test": tmp_path / "test.jsonl", "train": tmp_path / "train.jsonl"}
    paths = translate.Paths(base=base, adapter=tmp_path / "none", out=tmp_path / "hyps.jsonl", **texts)
    params = parameters(tmp_path, {"prompt.shots": 1})
    done = call(
        STAGES / "translate.py", "--params", params, "--at", "system=systems.baseline", *flags(paths), root=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.strip().split("\n")[-1].startswith(f"error: {base}: needs ")


@pytest.mark.slow
def test_no_switch_in_the_environment_lets_a_training_unpickle(models, trap, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    for name in ("train", "dev"):
        write_segments(tmp_path / f"{name}.jsonl", SEGMENTS)
    files = {"train": tmp_path / "train.jsonl", "dev": tmp_path / "dev.jsonl", "comet": tmp_path / "none"}
    paths = finetune.Paths(base=models / "base", out=tmp_path / "out", history=tmp_path / "history", **files)
    changes = {"save_steps": 2, "batch_size": 1, "micro_batch_size": 1, "epochs": 1, "select_by": "chrf"}
    params = parameters(tmp_path, {f"finetune.{key}": value for key, value in changes.items()})
    cut = tmp_path / "cut_off.py"
    cut.write_text(CUT_OFF.replace("TRAP", repr(trap.path)))
    line = ["--params", params, "--at", "lora=lora", "--at", "finetune=finetune", *flags(paths)]
    assert call(cut, *line, root=tmp_path).returncode == 3
    done = call(STAGES / "finetune.py", *line, root=tmp_path)
    assert done.returncode == 1, done.stderr
    assert re.search("error: .*step-2: holds more than weights and numbers", done.stderr)
    assert "Traceback" not in done.stderr


CUT_OFF = """
import os
import torch
import finetune
from mt.checkpoints import Checkpoints
from mt.cli import main
from mt.files import digests, write_json

class Trap:
    def __reduce__(self):
        return os.makedirs, (TRAP, 0o777, True)

keep = Checkpoints.keep

def keep_and_end(self, step, complete):
    keep(self, step, complete)
    folder = self.newest()[1] / f"checkpoint-{step}"
    torch.save(Trap(), folder / "rng_state.pth")
    (folder.parent / "provenance.json").unlink()
    write_json(folder.parent / "provenance.json", {"files": digests(folder.parent)})
    os._exit(3)

Checkpoints.keep = keep_and_end
main(finetune.run, finetune.Paths, finetune.Params)
"""


@pytest.mark.slow
@EACH_FORM
def test_an_object_in_dvcs_cache(models, trap, tmp_path, plant):
    adapter = copy_of(models, "adapter", tmp_path)
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}

    def dvc(*words: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=tmp_path, env=env, check=True, capture_output=True)

    dvc("init", "--no-scm")
    dvc("config", "cache.type", "hardlink,copy")
    dvc("add", "adapter")
    digest = sha256(adapter / "adapter_model.safetensors")
    objects = [path for path in (tmp_path / ".dvc" / "cache").rglob("*") if path.is_file() and sha256(path) == digest]
    shutil.rmtree(adapter)
    for path in objects:
        path.unlink()
        plant(path, trap)
        path.chmod(0o444)
    assert objects
    with contextlib.suppress(subprocess.CalledProcessError):
        dvc("checkout")
    with refused(f"{adapter}: (its weights are no safetensors|holds no adapter)"):
        translated(models, tmp_path, True, adapter=adapter)
