"""The comet stage: a checkpoint built on a tiny encoder, with figures that can be trusted, or one of a tiny hub."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from comet import load_from_checkpoint
from safetensors.torch import load_file

import comet_model
import tiny_comet
import tiny_hub
from mt.comet import CHECKPOINT, Comet
from mt.errors import InputError
from mt.files import read_json, sha256, write_json
from mt.params import load
from mt.prompt import Languages
from mt.segments import write_segments

PARAMS = comet_model.Params(
    languages=Languages("en", "ja"),
    comet=comet_model.CometModel(
        name="tiny",
        checkpoint="build",
        repo=None,
        revision=None,
        sha256=None,
        encoder_repo=None,
        encoder_revision=None,
        precision="float32",
        seed=1,
        held_out=12,
        severities=4,
        epochs=8,
        batch_size=16,
        learning_rate=0.003,
        hidden_sizes=(32, 8),
    ),
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_comet.save_encoder(tmp_path_factory.mktemp("models") / "encoder")


def paths(folder: Path, encoder: Path) -> comet_model.Paths:
    pairs = folder / "comet.jsonl"
    write_segments(pairs, tiny_comet.PAIRS)
    return comet_model.Paths(pairs, encoder, folder / "comet", folder / "metrics.json")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> comet_model.Paths:
    made = paths(tmp_path_factory.mktemp("built"), encoder)
    comet_model.run(made, PARAMS)
    return made


def test_layout_and_provenance(built, encoder):
    files = {path.relative_to(built.out).as_posix() for path in built.out.rglob("*") if path.is_file()}
    tokenizer = {path.name for path in encoder.iterdir()} - {"model.safetensors", "provenance.json"}
    assert files == {"hparams.yaml", CHECKPOINT, "provenance.json", *(f"encoder/{name}" for name in tokenizer)}
    found = json.loads((built.out / "provenance.json").read_text())
    assert found["files"] == {name: sha256(built.out / name) for name in sorted(files - {"provenance.json"})}
    assert found["revision"] == sha256(built.out / CHECKPOINT)[:12]
    assert (found["name"], found["license"], found["encoder"]) == ("tiny", "CC0", {"name": "tiny", "revision": "1"})


def test_unbabel_comet_loads_it_alone_with_the_encoder_untouched(built, encoder):
    model = load_from_checkpoint(str(built.out / CHECKPOINT), strict=True, local_files_only=True)
    weights = load_file(encoder / "model.safetensors")
    state = model.encoder.model.state_dict()
    assert set(weights) == set(state)
    assert all((state[name] == weight).all() for name, weight in weights.items())


def test_metrics(built):
    found = json.loads(built.metrics.read_text())
    assert (found["pairs"], found["held_out"]) == (48, 12)
    assert found["ranking_accuracy"] > 0.8  # 0.5 is chance
    assert found["pearson"] > 0.5
    assert found["examples"] > 48 * 8
    assert found["score_by_kind"]["untouched"] > found["score_by_kind"]["neighbour"] > found["score_by_kind"]["empty"]


def test_metrics_are_of_what_the_checkpoint_predicts(built):
    held_out = tiny_comet.PAIRS[-12:]
    refs = [pair["tgt"] for pair in held_out]
    scores = Comet(built.out).score([pair["src"] for pair in held_out], refs, refs, 5)
    found = json.loads(built.metrics.read_text())["score_by_kind"]["untouched"]
    assert found == pytest.approx(sum(scores) / 12, abs=1e-5)


def test_the_same_bytes_again(built):
    before = {
        path: path.read_bytes() for path in (built.metrics, built.out / CHECKPOINT, built.out / "provenance.json")
    }
    comet_model.run(built, PARAMS)
    assert {path: path.read_bytes() for path in before} == before


def test_too_few_pairs(tmp_path, encoder):
    made = paths(tmp_path, encoder)
    write_segments(made.pairs, tiny_comet.PAIRS[:14])
    with pytest.raises(InputError, match=r"comet\.jsonl: 14 pairs are too few to hold 12 out; raise prepare\.comet"):
        comet_model.run(made, PARAMS)
    assert not made.out.exists()
    assert not made.metrics.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name: '' must be"),
        ({"name": "a b"}, "name: 'a b' must be"),
        ({"repo": "Unbabel/wmt22-comet-da"}, "repo, revision, .* must be null where the checkpoint is built"),
        ({"encoder_revision": "0" * 40}, "encoder_revision: must be null where the checkpoint is built"),
        ({"sha256": "0" * 64}, "must be null where the checkpoint is built"),
        ({"held_out": 2}, "held_out: must be at least 3, not 2"),
        ({"severities": 2}, "severities: must be at least 3, not 2"),
        ({"epochs": 0}, "epochs: must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size: must be at least 1, not 0"),
        ({"learning_rate": 0.0}, "learning_rate: must be above 0"),
        ({"hidden_sizes": ()}, "hidden_sizes: must list"),
        ({"hidden_sizes": (8, 0)}, "hidden_sizes: must list"),
    ],
    ids=str,
)
def test_params_that_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PARAMS.comet, **change)


@pytest.mark.parametrize(("preset", "name"), [("embedded", "mini"), ("paper", "wmt22-comet-da")])
def test_the_presets_are_fine(preset, name):
    file = Path(__file__).parents[1] / "presets" / f"{preset}.yaml"
    assert load(comet_model.Params, file, {}).comet.name == name


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, comet_model.CometModel]:
    """A cache with a published checkpoint and its encoder, and what pins them."""
    place = tmp_path_factory.mktemp("hub")
    tiny_hub.save_xlm_r(place / "encoder")
    tiny_hub.save_comet(place / "comet", place / "encoder")
    pin = tiny_hub.publish(place / "cache", tiny_hub.COMET, place / "comet")
    encoder = tiny_hub.publish(place / "cache", tiny_hub.XLM_R, place / "encoder")
    comet = replace(
        PARAMS.comet,
        name="wmt22-comet-da",
        checkpoint="hub",
        repo=tiny_hub.COMET,
        revision=pin.revision,
        sha256=pin.sha256,
        encoder_repo=tiny_hub.XLM_R,
        encoder_revision=encoder.revision,
    )
    return place / "cache", comet


def take(place: Path, cache: Path, comet: comet_model.CometModel) -> comet_model.Paths:
    paths = comet_model.Paths(*(place / name for name in ("no pairs", "no encoder", "models/comet", "metrics.json")))
    with tiny_hub.offline(cache):
        comet_model.run(paths, replace(PARAMS, comet=comet))
    return paths


def test_a_published_checkpoint_scores_by_itself(hub, tmp_path):
    cache, comet = hub
    paths = take(tmp_path, cache, comet)
    files = {path.relative_to(paths.out).as_posix() for path in paths.out.rglob("*") if path.is_file()}
    told = json.loads((paths.out / "provenance.json").read_text())
    assert told == {
        "name": "wmt22-comet-da",
        "repo": tiny_hub.COMET,
        "revision": comet.revision,
        "sha256": comet.sha256,
        "encoder": {"name": tiny_hub.XLM_R, "revision": comet.encoder_revision},
        "files": {name: sha256(paths.out / name) for name in sorted(files - {"provenance.json"})},
    }
    assert json.loads(paths.metrics.read_text()) == {
        "checkpoint": "wmt22-comet-da",
        "repo": tiny_hub.COMET,
        "revision": comet.revision,
        "sha256": comet.sha256,
    }
    loaded = Comet(paths.out)
    assert (loaded.key, loaded.revision) == ("comet_wmt22-comet-da", comet.sha256[:12])
    srcs, refs = ([pair[side] for pair in tiny_comet.PAIRS] for side in ("src", "tgt"))
    right, wrong = loaded.score(srcs, refs, refs, 16), loaded.score(srcs, refs[30:] + refs[:30], refs, 16)
    assert sum(one > two for one, two in zip(right, wrong, strict=True)) > 0.9 * len(refs)


def test_a_checkpoint_of_another_digest_leaves_nothing(hub, tmp_path):
    cache, comet = hub
    with pytest.raises(InputError, match="it is a pickle, and was not opened"):
        take(tmp_path, cache, replace(comet, sha256="0" * 64))
    assert not (tmp_path / "metrics.json").exists()
    assert list((tmp_path / "models").iterdir()) == []


def test_an_encoder_that_does_not_fit_is_found_at_once(hub, tmp_path):
    cache, comet = hub
    other = tmp_path / "other"
    tiny_hub.save_xlm_r(other)
    write_json(other / "config.json", read_json(other / "config.json") | {"hidden_size": 16})
    tiny_hub.publish(tmp_path / "cache", tiny_hub.XLM_R, other)
    shutil.copytree(
        cache / "models--Unbabel--wmt22-comet-da", tmp_path / "cache" / "models--Unbabel--wmt22-comet-da", symlinks=True
    )
    with pytest.raises(InputError, match=r"unbabel-comet cannot load it .*; in params.yaml pin a revision") as error:
        take(tmp_path, tmp_path / "cache", comet)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"repo": None}, "^repo: None must be"),
        ({"revision": "main"}, "^revision: 'main' must be the 40 hexadecimal digits"),
        ({"sha256": None}, "^sha256: None must be the 64 .* a pickle that is not opened without them"),
        ({"sha256": "0" * 63}, "^sha256: "),
        ({"encoder_repo": "xlm-roberta-large"}, "^encoder_repo: 'xlm-roberta-large' must be"),
        ({"encoder_revision": None}, "^encoder_revision: None must be"),
        ({"held_out": 2}, "held_out: must be at least 3"),
    ],
    ids=str,
)
def test_a_published_checkpoint_must_be_pinned(hub, change, message):
    with pytest.raises(ValueError, match=message):
        replace(hub[1], **change)
