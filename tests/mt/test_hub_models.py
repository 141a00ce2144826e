"""mt.hub_models on a cache of tiny models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer

import tiny_hub
from mt.errors import InputError
from mt.files import read_json, sha256, write_json
from mt.hub_models import fetch_model
from tiny_hub import LABSE, MARIAN, MISTRAL, Pinned, offline, publish

REPO = "an-owner/a.model"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Pinned]]:
    """A cache with all that the paper preset names."""
    cache = tmp_path_factory.mktemp("hub")
    return cache, tiny_hub.fill(cache)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("repo", "expected"),
    [
        (
            MISTRAL,
            {
                "config.json",
                "generation_config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
            },
        ),
        (
            MARIAN,
            {
                "config.json",
                "generation_config.json",
                "model.safetensors",
                "source.spm",
                "special_tokens_map.json",
                "target.spm",
                "tokenizer_config.json",
                "vocab.json",
            },
        ),
        (
            LABSE,
            {
                "1_Pooling/config.json",
                "2_Dense/config.json",
                "2_Dense/model.safetensors",
                "config.json",
                "model.safetensors",
                "modules.json",
                "sentence_bert_config.json",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "vocab.txt",
            },
        ),
    ],
)
def test_a_model_comes_whole_and_without_what_is_of_no_use(full, tmp_path, repo, expected):
    cache, pins = full
    with offline(cache):
        found = fetch_model(repo, pins[repo].revision, tmp_path / "out")
    assert found == {name: sha256(tmp_path / "out" / name) for name in sorted(expected)}
    assert set(names(tmp_path / "out")) == expected


def test_the_cache_is_the_same_again(full, tmp_path):
    cache, pins = full
    assert tiny_hub.fill(tmp_path) == pins
    assert names(tmp_path) == names(cache)


def without(*dropped: str) -> Callable[[Path], None]:
    def drop(folder: Path) -> None:
        for name in dropped:
            (folder / name).unlink()

    return drop


def changed(name: str, **values: Any) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / name, read_json(folder / name) | values)


@pytest.mark.parametrize(
    ("save", "spoil", "says"),
    [
        (tiny_hub.save_marian, without("model.safetensors"), "has no model.safetensors.*pickled weights are not"),
        (tiny_hub.save_mistral, without("model-00002-of-00002.safetensors"), "has no model-00002-of-00002.safetensors"),
        (tiny_hub.save_labse, without("2_Dense/model.safetensors"), "has no 2_Dense/model.safetensors"),
        (tiny_hub.save_labse, without("config.json"), "has no config.json.*HF_HUB_OFFLINE is set; name a repository"),
        (tiny_hub.save_mistral, without("tokenizer.json"), "has no tokenizer,"),
        (
            tiny_hub.save_mistral,
            changed("config.json", model_type="own", auto_map={"AutoModel": "x.Y"}),
            "config.json has auto_map",
        ),
        (
            tiny_hub.save_mistral,
            changed("tokenizer_config.json", tokenizer_class="Own", auto_map={}),
            "tokenizer_config.json has auto_map",
        ),
        (
            tiny_hub.save_mistral,
            changed("model.safetensors.index.json", weight_map={"a": "../../a.safetensors"}),
            "does not map weights to files of safetensors",
        ),
        (
            tiny_hub.save_mistral,
            changed("model.safetensors.index.json", weight_map={"a": "pytorch_model.bin"}),
            "does not map weights to files of safetensors",
        ),
    ],
    ids=["pickle alone", "shard", "dense", "config", "tokenizer", "code", "tokenizer's code", "path", "pickled shard"],
)
def test_a_repository_that_cannot_be_used_is_refused(tmp_path, monkeypatch, save, spoil, says):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "folder")
    spoil(tmp_path / "folder")
    pin = publish(tmp_path / "cache", REPO, tmp_path / "folder")
    with offline(tmp_path / "cache"), pytest.raises(InputError, match=says) as error:
        fetch_model(REPO, pin.revision, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "trapped").exists()
    assert not any(name.endswith((".bin", ".py")) for name in names(tmp_path / "out"))


def test_a_model_that_transformers_knows_may_name_code_which_is_left_alone(tmp_path):
    tiny_hub.save_mistral(tmp_path / "folder")
    changed("config.json", auto_map={"AutoModelForCausalLM": "x.Y"})(tmp_path / "folder")
    changed("tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y", None]})(tmp_path / "folder")
    pin = publish(tmp_path / "cache", REPO, tmp_path / "folder")
    with offline(tmp_path / "cache"):
        fetch_model(REPO, pin.revision, tmp_path / "out")
    assert AutoConfig.from_pretrained(tmp_path / "out", trust_remote_code=False).model_type == "mistral"
    assert AutoTokenizer.from_pretrained(tmp_path / "out", trust_remote_code=False)("a").input_ids
