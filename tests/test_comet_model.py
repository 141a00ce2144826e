"""The comet stage on a tiny encoder: a checkpoint that unbabel-comet loads, and figures that can be trusted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from comet import load_from_checkpoint
from safetensors.torch import load_file

import comet_model
import tiny_comet
from mt.comet import CHECKPOINT, Comet
from mt.errors import InputError
from mt.files import sha256
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


def test_held_out_references_teach_nothing(built, tmp_path, encoder):
    learnt, held_out = comet_model.split(tiny_comet.PAIRS, 12, tmp_path)
    assert learnt + held_out == tiny_comet.PAIRS
    found = comet_model.perturbed(learnt, [1, *[0] * 47], "ja", 4, 1)
    assert not {pair["tgt"] for pair in held_out} & {one.text for _, one in found}
    assert {pair["tgt"] for pair in learnt} <= {one.text for _, one in found}


def test_each_segment_is_perturbed_by_its_id_and_the_seed():
    pairs = tiny_comet.PAIRS[:10]
    nearest = [9, *range(9)]
    first = comet_model.perturbed(pairs, nearest, "ja", 4, 1)
    assert first == comet_model.perturbed(pairs, nearest, "ja", 4, 1)
    assert first != comet_model.perturbed(pairs, nearest, "ja", 4, 2)
    by_kind = {(segment["id"], one.kind): one.text for segment, one in first}
    assert by_kind[pairs[3]["id"], "neighbour"] == pairs[2]["tgt"]
    others = {id_: text for (id_, kind), text in by_kind.items() if kind == "other"}
    assert len(others) > 5
    for pair in pairs:
        assert others.get(pair["id"]) in {None, *(one["tgt"] for one in pairs if one != pair)}


def test_examples_aim_from_1_to_0():
    found = comet_model.perturbed(tiny_comet.PAIRS[:10], [9, *range(9)], "ja", 5, 1)
    aims = {one.level: example.score for (_, one), example in zip(found, comet_model.examples(found, 5), strict=True)}
    assert aims == {0: 1, 1: 0.75, 2: 0.5, 3: 0.25, 4: 0}


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
        ({"repo": "Unbabel/wmt22-comet-da"}, "repo and revision: must be null"),
        ({"revision": "main"}, "repo and revision: must be null"),
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


def test_the_embedded_preset_is_fine():
    preset = Path(__file__).parents[1] / "presets" / "embedded.yaml"
    assert load(comet_model.Params, preset, {}).comet.name == "mini"
