"""mt.hub_comet on a cache with a tiny checkpoint."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny_hub
from mt.comet import CHECKPOINT, HPARAMS
from mt.errors import InputError
from mt.files import sha256
from mt.hub_comet import fetch_comet
from tiny_hub import COMET, XLM_R, offline, publish


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A cache with a checkpoint and its encoder, and what pins them."""
    place = tmp_path_factory.mktemp("hub")
    tiny_hub.save_xlm_r(place / "encoder")
    tiny_hub.save_comet(place / "comet", place / "encoder")
    pin = publish(place / "cache", COMET, place / "comet")
    encoder = publish(place / "cache", XLM_R, place / "encoder")
    pins = {"repo": COMET, "revision": pin.revision, "sha256": pin.sha256}
    return place / "cache", pins | {"encoder_repo": XLM_R, "encoder_revision": encoder.revision}


def test_a_checkpoint_comes_with_its_encoders_files(full, tmp_path):
    cache, pins = full
    with offline(cache):
        found = fetch_comet(**pins, out=tmp_path / "out")
    assert found == {name: sha256(tmp_path / "out" / name) for name in found}
    assert {path for path in (tmp_path / "out").rglob("*") if path.is_file()} == {
        tmp_path / "out" / one for one in found
    }
    assert set(found) == {
        HPARAMS,
        CHECKPOINT,
        "encoder/config.json",
        "encoder/special_tokens_map.json",
        "encoder/tokenizer.json",
        "encoder/tokenizer_config.json",
    }
    assert found[CHECKPOINT] == pins["sha256"]


def test_what_older_lightning_put_beside_the_weights_is_left_out(full, tmp_path):
    published = tmp_path / "published"
    tiny_hub.save_xlm_r(tmp_path / "encoder")
    tiny_hub.save_comet(published, tmp_path / "encoder")
    whole = torch.load(published / CHECKPOINT, weights_only=True)
    torch.save(whole | {"callbacks": {Path: Path("a")}}, published / CHECKPOINT)
    publish(tmp_path / "cache", XLM_R, tmp_path / "encoder")
    pin = publish(tmp_path / "cache", COMET, published)
    pins = full[1] | {"revision": pin.revision, "sha256": pin.sha256}
    with offline(tmp_path / "cache"):
        found = [fetch_comet(**pins, out=tmp_path / out) for out in ("one", "two")]
    plain = torch.load(tmp_path / "one" / CHECKPOINT, weights_only=True)
    assert all(torch.equal(plain["state_dict"][name], weight) for name, weight in whole["state_dict"].items())
    assert found[0] == found[1]
    assert found[0][CHECKPOINT] == sha256(tmp_path / "one" / CHECKPOINT) != pin.sha256
    assert sha256(published / CHECKPOINT) == pin.sha256 == sha256(next((tmp_path / "cache").rglob(CHECKPOINT)))


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_of_another_digest_is_never_opened(full, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # so that opening it would do what the pickle says
    trap, trapped = tmp_path / "published" / CHECKPOINT, tmp_path / "trapped"
    trap.parent.mkdir(parents=True)
    torch.save(Trap(trapped), trap)
    torch.load(trap)
    assert trapped.exists()
    trapped.unlink()
    (tmp_path / "published" / HPARAMS).write_text("pretrained_model: xlm-roberta-large\n")
    pins = full[1] | {"revision": publish(tmp_path / "cache", COMET, tmp_path / "published").revision}
    says = f"not {pins['sha256']}; it is a pickle, and was not opened"
    with offline(tmp_path / "cache"), pytest.raises(InputError, match=says):
        fetch_comet(**pins, out=tmp_path / "out")
    assert not trapped.exists()


@pytest.mark.parametrize(
    ("hparams", "encoder", "says"),
    [
        (
            "pretrained_model: microsoft/infoxlm-large\n",
            XLM_R,
            "names the encoder microsoft/infoxlm-large, not Facebook",
        ),
        ("pretrained_model: !!python/object/apply:os.system [touch trapped]\n", XLM_R, "is no plain YAML"),
        ("- 1\n", XLM_R, "holds no keys"),
        (None, XLM_R, "has no hparams.yaml"),
        ("at: 2022-13-45\n", XLM_R, "is no plain YAML"),
        ("[" * 3000, XLM_R, "is no plain YAML"),
        ("a: !!int x\n", XLM_R, "is no plain YAML"),
        ("a: !!bool x\n", XLM_R, "is no plain YAML"),
    ],
    ids=["another encoder", "code", "no keys", "missing", "no date", "deep", "no number", "no truth"],
)
def test_hparams_that_cannot_be_used(tmp_path, monkeypatch, hparams, encoder, says):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "published"
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    (folder / CHECKPOINT).write_bytes(b"a checkpoint")
    if hparams:
        (folder / HPARAMS).write_text(hparams)
    revision = publish(tmp_path / "cache", COMET, folder).revision
    digest = hashlib.sha256(b"a checkpoint").hexdigest()
    with offline(tmp_path / "cache"), pytest.raises(InputError, match=says) as error:
        fetch_comet(COMET, revision, digest, encoder, "d" * 40, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "trapped").exists()
