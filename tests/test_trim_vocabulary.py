import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

import tiny
import tiny_comet
import tiny_hub
import tiny_marian
import trim_vocabulary
from mt.errors import InputError
from mt.files import sha256, write_json
from mt.lm import load_base
from mt.params import load, read_tree
from mt.segments import write_segments
from trim_vocabulary import Params, Paths, corpus, run

PRESET = Path(__file__).parents[1] / "presets" / "embedded.yaml"
TRAIN = [{"id": "t1", "src": "The cat sat on the mat.", "tgt": "猫が座っています。"}]
MONO = [{"id": "m1", "tgt": "彼女は東京に住んでいます。"}]
POOL = [{"id": "p1", "src": "The other cat sang.", "tgt": "私は東京で猫を見ました。"}]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(*(tmp_path / name for name in ("source", "train.jsonl", "mono.jsonl", "pool.jsonl", "base")))
    tiny.save_gemma(paths.source)
    write_json(paths.source / "provenance.json", {"name": "tiny", "license": "none", "revision": "r1", "files": {}})
    write_segments(paths.train, TRAIN)
    write_segments(paths.mono, MONO)
    write_segments(paths.pool, POOL)
    return paths


@pytest.fixture(params=["trimmed", "full"])
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def save_unigram(folder: Path) -> None:
    """The tiny Gemma with a tokenizer that is no byte-pair encoding."""
    tiny.save_gemma(folder)
    tiny_comet.save_encoder(folder / "other")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / "other" / name).replace(folder / name)
    shutil.rmtree(folder / "other")


def params(kind: str, tmp_path: Path) -> Params:
    tree = read_tree(PRESET)
    tree["base"]["vocabulary"] = kind
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps(tree), encoding="utf-8")
    return load(Params, file, {})


def provenance(folder: Path) -> Any:
    return json.loads((folder / "provenance.json").read_text(encoding="utf-8"))


def test_corpus_is_what_the_model_will_read(paths: Paths, tmp_path: Path) -> None:
    assert list(corpus(paths, params("trimmed", tmp_path))) == [
        "English: The cat sat on the mat.\nJapanese: 猫が座っています。\n",
        "Japanese: 猫が座っています。\nEnglish: The cat sat on the mat.\n",
        "English: The other cat sang.\nJapanese: 私は東京で猫を見ました。\n",
        "Japanese: 私は東京で猫を見ました。\nEnglish: The other cat sang.\n",
        "Japanese: 彼女は東京に住んでいます。\nEnglish:",
        " 彼女は東京に住んでいます。\n",
    ]


def test_trimmed_keeps_what_the_corpora_and_the_prompt_use(paths: Paths, tmp_path: Path) -> None:
    run(paths, params("trimmed", tmp_path))
    before, after = AutoTokenizer.from_pretrained(paths.source), AutoTokenizer.from_pretrained(paths.out)
    for text in corpus(paths, params("trimmed", tmp_path)):
        assert after.tokenize(text) == before.tokenize(text)
    for text in ("The rain in the north.", "雨が降っています。"):
        assert after.tokenize(text) != before.tokenize(text)
        assert after.decode(after(text).input_ids, skip_special_tokens=True) == text


def test_provenance_names_the_source_and_the_files(paths: Paths, tmp_path: Path, kind: str) -> None:
    run(paths, params(kind, tmp_path))
    told = provenance(paths.out)
    assert (told["name"], told["license"], told["revision"]) == ("tiny", "none", "r1")
    assert told["files"] == {p.name: sha256(p) for p in paths.out.iterdir() if p.name != "provenance.json"}
    rows = [len(AutoTokenizer.from_pretrained(folder)) for folder in (paths.source, paths.out)]
    assert told["vocabulary"] == {"kind": kind, "before": rows[0], "after": rows[1]}
    assert (rows[0] == rows[1]) == (kind == "full")


def test_full_copies_every_file(paths: Paths, tmp_path: Path) -> None:
    run(paths, params("full", tmp_path))
    for path in paths.source.iterdir():
        if path.name != "provenance.json":
            assert sha256(path) == sha256(paths.out / path.name)


def test_mono_and_pool_may_be_empty(paths: Paths, tmp_path: Path) -> None:
    paths.mono.write_text("")
    paths.pool.write_text("")
    run(paths, params("trimmed", tmp_path))
    assert provenance(paths.out)["vocabulary"]["kind"] == "trimmed"


def test_full_takes_a_model_in_parts_and_gives_it_padding(paths: Paths, tmp_path: Path) -> None:
    source = mistral(paths)
    run(paths, params("full", tmp_path))
    told = provenance(paths.out)
    changed = {"tokenizer_config.json", "special_tokens_map.json"}
    assert told["padding"] == "<unk>"
    assert set(told["files"]) == {path.name for path in source.iterdir()} - {"provenance.json"}
    for name, digest in told["files"].items():
        assert digest == sha256(paths.out / name)
        assert (digest == sha256(source / name)) == (name not in changed)
        assert paths.out.joinpath(name).samefile(source / name) == (name not in changed)
    model, tokenizer = load_base(paths.out, "float32")
    assert tokenizer.pad_token_id == 0
    assert model.get_input_embeddings().weight.shape[0] == told["vocabulary"]["after"]


def test_trimmed_takes_a_model_in_parts_too(paths: Paths, tmp_path: Path) -> None:
    source = mistral(paths)
    run(paths, params("trimmed", tmp_path))
    told = provenance(paths.out)
    assert (told["padding"], "model.safetensors" in told["files"]) == ("<unk>", True)
    assert told["vocabulary"]["after"] < told["vocabulary"]["before"]
    before, after = AutoTokenizer.from_pretrained(source), AutoTokenizer.from_pretrained(paths.out)
    for text in (*corpus(paths, params("trimmed", tmp_path)), "Köln, 龘"):
        assert after.decode(after(text).input_ids, skip_special_tokens=True) == text.removeprefix(" ")
    for text in corpus(paths, params("trimmed", tmp_path)):
        assert after.tokenize(text) == before.tokenize(text)


def mistral(paths: Paths) -> Path:
    """Put a Mistral in two shards, which has no padding token, in the place of the source model."""
    shutil.rmtree(paths.source)
    tiny_hub.save_mistral(paths.source)
    for name in ("consolidated.safetensors", "pytorch_model.bin", "modeling_mistral.py", "params.json", "README.md"):
        (paths.source / name).unlink()
    write_json(paths.source / "provenance.json", {"name": "m", "license": "none", "revision": "r1", "files": {}})
    return paths.source


@pytest.mark.parametrize(
    ("save", "vocabulary", "message"),
    [
        (tiny_marian.save_marian, "full", "marian is no causal language model; name one in models.source"),
        (tiny_marian.save_marian, "trimmed", "marian is no causal language model; name one in models.source"),
        (save_unigram, "trimmed", "its model is Unigram, not BPE; set base.vocabulary to full"),
    ],
    ids=["sequence to sequence", "sequence to sequence, trimmed", "unigram"],
)
def test_a_model_of_another_kind_is_refused(
    paths: Paths, tmp_path: Path, save: Any, vocabulary: str, message: str
) -> None:
    shutil.rmtree(paths.source)
    save(paths.source)
    write_json(paths.source / "provenance.json", {"name": "m", "license": "none", "revision": "r1", "files": {}})
    with pytest.raises(InputError, match=message):
        run(paths, params(vocabulary, tmp_path))
    assert not paths.out.exists()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        pytest.param(lambda paths: paths.train.write_text(""), "train.jsonl: holds no segment", id="no training text"),
        pytest.param(
            lambda paths: (paths.source / "provenance.json").unlink(), "provenance.json: not found", id="no provenance"
        ),
    ],
)
def test_bad_input_leaves_nothing(paths: Paths, tmp_path: Path, break_it: Any, message: str) -> None:
    break_it(paths)
    with pytest.raises(InputError, match=message):
        run(paths, params("trimmed", tmp_path))
    assert not paths.out.exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "5", '{"name": "m", "license": "none", "revision": "r1"}', '{"name": "m", "files": {}}'],
)
def test_a_provenance_of_another_form(paths: Paths, tmp_path: Path, kind: str, content: str) -> None:
    (paths.source / "provenance.json").write_text(content)
    with pytest.raises(InputError, match=r"source/provenance\.json: "):
        run(paths, params(kind, tmp_path))
    assert not paths.out.exists()


def test_broken_weights_are_not_taken(paths: Paths, tmp_path: Path, kind: str) -> None:
    tiny.seal(paths.source, name="m", license="none", revision="r1")
    with (paths.source / "model.safetensors").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\xff\xff\xff\xff")
    with pytest.raises(InputError, match=r"model\.safetensors: is not what provenance.json names; remove"):
        run(paths, params(kind, tmp_path))
    assert not paths.out.exists()


def test_a_full_disk_leaves_nothing(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trim_vocabulary, "write_json", full)
    with pytest.raises(InputError, match="the disk is full"):
        run(paths, params(kind, tmp_path))
    assert not paths.out.exists()
    assert not list(tmp_path.glob(".*"))


def test_refuses_another_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"base\.vocabulary: 'cut' is not one of trimmed, full"):
        params("cut", tmp_path)
