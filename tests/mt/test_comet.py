"""mt.comet and mt.estimator on a tiny checkpoint: what unbabel-comet loads, and how it scores."""

import gc
import logging
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from comet import load_from_checkpoint

import tiny
import tiny_comet
from mt.comet import CHECKPOINT, HPARAMS, Comet
from mt.errors import InputError
from mt.estimator import Embeddings, Example, embed, estimates, new_metric
from mt.files import read_json, sha256, write_json

SRC, REF = tiny_comet.PAIRS[0]["src"], tiny_comet.PAIRS[0]["tgt"]
HYPS = [REF, "", "私は。", "the cat", REF * 3, tiny_comet.PAIRS[40]["tgt"], ""]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object, Embeddings]:
    """The folder, the metric as it was trained, and its embeddings."""
    path = tmp_path_factory.mktemp("with space")
    return tiny_comet.save_comet(path / "comet", tiny_comet.save_encoder(path / "encoder"))


@pytest.fixture(scope="module")
def comet(made) -> Comet:
    return Comet(made[0])


def test_unbabel_comet_alone_loads_it_and_scores_alike(made, comet):
    model = load_from_checkpoint(str(made[0] / CHECKPOINT), local_files_only=True)
    samples = [{"src": SRC, "mt": hyp, "ref": REF} for hyp in HYPS]
    theirs = model.predict(samples, batch_size=3, gpus=0, num_workers=0, progress_bar=False).scores
    assert comet.score([SRC] * 7, HYPS, [REF] * 7, 3) == pytest.approx(theirs, abs=1e-5)


def test_estimates_are_what_the_checkpoint_predicts(made, comet):
    _, metric, embeddings = made
    rows = tiny_comet.PAIRS[:20]
    others = [pair["tgt"] for pair in tiny_comet.PAIRS[20:40]]
    examples = [Example(row["src"], hyp, row["tgt"], 0) for row, hyp in zip(rows, others, strict=True)]
    expected = comet.score([row["src"] for row in rows], others, [row["tgt"] for row in rows], 7)
    assert estimates(metric, examples, embeddings, 6) == pytest.approx(expected, abs=1e-5)


def test_it_has_learnt(comet):
    srcs, refs = [pair["src"] for pair in tiny_comet.PAIRS], [pair["tgt"] for pair in tiny_comet.PAIRS]
    right = comet.score(srcs, refs, refs, 16)
    wrong = comet.score(srcs, refs[30:] + refs[:30], refs, 16)
    assert sum(one > two for one, two in zip(right, wrong, strict=True)) > 0.9 * len(refs)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_order_does_not_depend_on_batches_and_doubles_score_alike(comet, batch_size):
    alone = [comet.score([SRC], [hyp], [REF], 1)[0] for hyp in HYPS]
    together = comet.score([SRC] * 7, HYPS, [REF] * 7, batch_size)
    assert together == pytest.approx(alone, abs=1e-5)
    assert together[1] == together[6]
    assert len({round(score, 4) for score in together}) == 6


def test_texts_that_are_read_apart_score_as_predict_scores_them(comet, monkeypatch):
    srcs, refs = [SRC, REF] * 3 + [SRC], [REF] * 6 + [SRC]
    apart = comet.score(srcs, HYPS, refs, 2)
    read: list[int] = []
    monkeypatch.setattr(comet._model.encoder, "prepare_sample", counting(comet._model.encoder.prepare_sample, read))
    assert comet.score(srcs, HYPS, refs, 2) == apart
    assert sum(read) == len({*srcs, *HYPS, *refs})
    monkeypatch.setattr(comet, "_apart", False)
    assert apart == pytest.approx(comet.score(srcs, HYPS, refs, 2), abs=1e-5)


def counting(do, numbers):
    def counted(texts):
        numbers.append(len(texts))
        return do(texts)

    return counted


def test_nothing_to_score(comet):
    assert comet.score([], [], [], 4) == []


def test_unlike_numbers_are_an_error(comet):
    with pytest.raises(ValueError, match="zip"):
        comet.score([SRC], [REF, REF], [REF], 4)


def test_name_revision_and_signature(made, comet):
    digest = sha256(made[0] / CHECKPOINT)
    assert (comet.name, comet.key, comet.revision) == ("tiny", "comet_tiny", digest[:12])
    assert comet.signature == f"nrefs:1|checkpoint:tiny|revision:{digest[:12]}|unbabel-comet:2.2.7"


def test_loading_and_scoring_says_nothing_but_a_progress_bar(made, capfd, caplog):
    before = logging.getLogger().level, list(logging.getLogger().handlers)
    Comet(made[0]).score([SRC], [REF], [REF], 4)
    out, err = capfd.readouterr()
    assert out.strip() == ""
    assert [line for line in err.replace("\r", "\n").split("\n") if line.strip() and "Predicting" not in line] == []
    assert caplog.records == []
    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before


def test_nothing_is_held_after_scoring(made):
    comet = Comet(made[0])
    model = weakref.ref(comet._model)
    comet.score([SRC], [REF], [REF], 4)
    assert not comet._model._trainer
    del comet
    gc.collect()
    assert model() is None


def test_no_tensor_stays_after_scoring(made):
    comet = Comet(made[0])
    comet.score([SRC], [REF], [REF], 4)
    before = tensors()
    comet.score([SRC] * 7, HYPS, [REF] * 7, 3)
    assert tensors() - before == set()
    assert not comet._model._trainer


def tensors() -> set[int]:
    gc.collect()
    return {id(one) for one in gc.get_objects() if isinstance(one, torch.Tensor)}


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_a_gpu_is_used_and_given_back(comet, monkeypatch, gpu, fails):
    asked, emptied = {}, []

    def predict(samples, **how):
        asked.update(how)
        if fails:
            raise torch.OutOfMemoryError
        return {"scores": [0.5] * len(samples)}

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    monkeypatch.setattr(comet._model, "predict", predict)
    monkeypatch.setattr(comet, "_apart", False)
    if fails:
        with pytest.raises(torch.OutOfMemoryError):
            comet.score([SRC], [REF], [REF], 4)
    else:
        assert comet.score([SRC], [REF], [REF], 4) == [0.5]
    assert (asked["gpus"], asked["devices"]) == ((1, [3]) if gpu else (0, None))
    assert emptied == ([1] if gpu else [])


def test_it_scores_alone_under_a_launcher(made, comet, monkeypatch):
    expected = comet.score([SRC], [REF], [REF], 4)
    launched = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}
    for key, value in launched.items():
        monkeypatch.setenv(key, value)
    assert torch.distributed.is_torchelastic_launched()
    assert Comet(made[0]).score([SRC], [REF], [REF], 4) == expected


def spoiled(made: Path, folder: Path, spoil: Callable[[dict[str, Any]], object]) -> Path:
    """A copy whose checkpoint is changed, and whose provenance says so."""
    shutil.copytree(made, folder)
    content = torch.load(folder / CHECKPOINT, weights_only=True)
    spoil(content)
    torch.save(content, folder / CHECKPOINT)
    return tiny.seal(folder, name="x")


def test_what_older_transformers_kept_among_the_weights_is_passed_over(made, comet, tmp_path):
    ids = {"encoder.model.embeddings.position_ids": torch.arange(160)[None]}
    older = Comet(spoiled(made[0], tmp_path / "comet", lambda c: c["state_dict"].update(ids)))
    assert older.score([SRC], [REF], [REF], 4) == comet.score([SRC], [REF], [REF], 4)


def through(*kinds: torch.dtype) -> Callable[[Any], None]:
    """Turns the weights into one type after another."""

    def spoil(content: Any) -> None:
        for kind in kinds:
            content["state_dict"] = {name: values.to(kind) for name, values in content["state_dict"].items()}

    return spoil


def test_weights_of_fewer_bits_are_computed_with_in_float32(made, tmp_path):
    halved = Comet(spoiled(made[0], tmp_path / "comet", through(torch.float16)))
    whole = Comet(spoiled(made[0], tmp_path / "same values", through(torch.float16, torch.float32)))
    asked = [SRC] * 7, HYPS, [REF] * 7, 4
    assert halved.score(*asked) == whole.score(*asked)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what is mapped")
def test_weights_stay_in_the_file_until_they_are_used(made):
    fresh = Comet(made[0])
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8")
    assert f"{(made[0] / CHECKPOINT).resolve()}\n" in mapped
    assert fresh.score([SRC], [REF], [REF], 4)


def test_what_only_unpickling_could_read_is_refused(made, tmp_path):
    with pytest.raises(InputError, match=r"model\.ckpt: holds more than weights and numbers"):
        Comet(spoiled(made[0], tmp_path / "comet", lambda c: c.update({"callbacks": {Path: Path("a")}})))


def test_a_checkpoint_that_was_written_anew_is_named_as_it_was_published(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "comet")
    file = tmp_path / "comet" / "provenance.json"
    write_json(file, read_json(file) | {"sha256": "0123456789abcdef"})
    assert Comet(tmp_path / "comet").revision == "0123456789ab"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda c: c["state_dict"].pop("estimator.ff.0.weight"),
            r"does not fit hparams.yaml and encoder/ \(see estimator.ff.0.weight",
        ),
        (
            lambda c: c["state_dict"].update({"more": torch.zeros(1)}),
            r"does not fit hparams.yaml and encoder/ \(see more\)",
        ),
        (lambda c: c["state_dict"].update({"estimator.ff.0.bias": torch.zeros(3)}), "unbabel-comet cannot load it"),
        (lambda c: c.pop("state_dict"), "unbabel-comet cannot load it"),
    ],
    ids=["missing", "more", "another size", "no weights"],
)
def test_a_checkpoint_that_does_not_fit_is_an_input_error(made, tmp_path, spoil, says):
    with pytest.raises(InputError, match=says) as error:
        Comet(spoiled(made[0], tmp_path / "comet", spoil))
    assert "\n" not in str(error.value)


def test_it_moves_with_its_folder(made, comet, tmp_path, monkeypatch):
    moved = tmp_path / "moved"
    moved.symlink_to(made[0])
    monkeypatch.chdir(tmp_path)
    assert Comet(Path("moved")).score([SRC], [REF], [REF], 4) == comet.score([SRC], [REF], [REF], 4)


def test_a_changed_checkpoint_is_refused_before_it_is_opened(made, tmp_path):
    folder = tmp_path / "comet"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "provenance.json").write_bytes((made[0] / "provenance.json").read_bytes())
    (folder / CHECKPOINT).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(InputError, match=r"model.ckpt: is not what provenance.json names; remove .*comet and run"):
        Comet(folder)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "hparams.yaml cut": lambda folder: (folder / HPARAMS).write_text((folder / HPARAMS).read_text()[:25]),
    "hparams.yaml empty": lambda folder: (folder / HPARAMS).write_text(""),
    "hparams.yaml a list": lambda folder: (folder / HPARAMS).write_text("[]"),
    "hparams.yaml a number": lambda folder: (folder / HPARAMS).write_text("5"),
    "hparams.yaml garbage": lambda folder: (folder / HPARAMS).write_bytes(b"\xff" * 500),
    "hparams.yaml gone": lambda folder: (folder / HPARAMS).unlink(),
    "checkpoint cut": lambda folder: (folder / CHECKPOINT).write_bytes((folder / CHECKPOINT).read_bytes()[:5000]),
    "checkpoint empty": lambda folder: (folder / CHECKPOINT).write_bytes(b""),
    "tokenizer cut": lambda folder: (folder / "encoder/tokenizer.json").write_text('{"model": '),
    "tokenizer a list": lambda folder: (folder / "encoder/tokenizer.json").write_text("[]"),
    "encoder's configuration gone": lambda folder: (folder / "encoder/config.json").unlink(),
    "encoder's configuration a number": lambda folder: (folder / "encoder/config.json").write_text("5"),
}


@pytest.mark.parametrize("forged", [False, True], ids=["as it was", "forged"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_an_input_error(made, tmp_path, damage, forged):
    folder = tmp_path / "comet"
    shutil.copytree(made[0], folder)
    damage(folder)
    says = "is not what provenance.json names"
    if forged:
        tiny.seal(folder, name="tiny")
        says = ""
    with pytest.raises(InputError, match=f"^{folder}.*{says}.*; .") as error:
        Comet(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["{}", "[]", "5", '{"files": {}}', '{"name": "x", "files": {}}'])
def test_a_provenance_of_another_form_is_an_input_error(made, tmp_path, content):
    folder = tmp_path / "comet"
    shutil.copytree(made[0], folder)
    (folder / "provenance.json").write_text(content)
    with pytest.raises(InputError, match=r"provenance\.json: .*; remove"):
        Comet(folder)


@pytest.mark.parametrize("missing", ["provenance.json", CHECKPOINT])
def test_a_missing_file_is_an_input_error(made, tmp_path, missing):
    folder = tmp_path / "comet"
    folder.mkdir()
    if missing != "provenance.json":
        (folder / "provenance.json").write_bytes((made[0] / "provenance.json").read_bytes())
    with pytest.raises(InputError, match=f"{missing}: (not found|is not what provenance.json names); .*`dvc repro`"):
        Comet(folder)


def test_embeddings_are_the_sentence_embeddings_of_each_layer(tmp_path):
    metric = new_metric(tiny_comet.save_encoder(tmp_path / "encoder"), tiny_comet.TRAINING)
    found = embed(metric.encoder, ["猫", "私はその犬。", "猫"], 1).joined(embed(metric.encoder, [REF, ""], 2))
    for text in ("猫", "私はその犬。", REF, ""):
        inputs = metric.encoder.prepare_sample([text])
        with torch.no_grad():
            expected = metric.compute_sentence_embedding(inputs["input_ids"], inputs["attention_mask"])
            mixed = metric.layerwise_attention(found.vectors[found.rows[text]].unbind(dim=0))
        torch.testing.assert_close(mixed, expected[0])


def test_nearest_is_another_text():
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.0], [-0.9, -0.2]])[:, None]
    embeddings = Embeddings(vectors, {text: row for row, text in enumerate("abcde")})
    assert embeddings.nearest(["a", "b", "d", "e"]) == [1, 0, 3, 2]
    assert embeddings.nearest(["a", "a", "b"]) == [2, 2, 0]
