import dataclasses
import math
import shutil
from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
import tiny_marian
from mt import batched, processes, seq2seq
from mt.decode import Decoding
from mt.errors import InputError
from mt.files import write_json
from mt.recall import open_memory
from mt.seq2seq import Seq2Seq, load

GREEDY = Decoding("greedy", 1, 1.0, 1.0, 1, 24, 1.5, 4, 400)
BEAM = dataclasses.replace(GREEDY, strategy="beam", beams=3)
SAMPLING = dataclasses.replace(GREEDY, strategy="sampling", temperature=1.5, top_p=0.9)
TEXTS = (*tiny_marian.JAPANESE, "雨", "猫と魚", "東京で雨が降っています。彼女は猫を見ました。")
SEGMENTS = [{"id": f"m{i}", "tgt": text} for i, text in enumerate(TEXTS)]


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """No translation memory, so that every translation is made anew."""
    monkeypatch.setattr(seq2seq, "open_memory", lambda *_: nullcontext())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_marian.save_marian(tmp_path_factory.mktemp("marian"))


@pytest.fixture(scope="module")
def loaded(folder):
    return load(folder, "float32")


def plain(loaded, text, decoding):
    """What `generate` alone gives for one sentence: no batch, no padding."""
    model, tokenizer = loaded
    ids = tokenizer(text, return_tensors="pt").input_ids.to(model.device)
    written = model.generate(
        ids,
        max_new_tokens=decoding.limit(ids.shape[1] - 1),
        num_beams=decoding.beams,
        do_sample=False,
        forced_eos_token_id=None,
        bad_words_ids=[[tokenizer.pad_token_id]],
        renormalize_logits=True,
    )
    return " ".join(tokenizer.decode(written[0], skip_special_tokens=True).split())


@pytest.mark.parametrize(
    "decoding",
    [
        pytest.param(GREEDY, id="greedy"),
        pytest.param(BEAM, id="beam"),
        pytest.param(dataclasses.replace(GREEDY, max_length_ratio=0.4, length_margin=0), id="greedy within limits"),
        pytest.param(dataclasses.replace(BEAM, max_length_ratio=0.4, length_margin=0), id="beam within limits"),
    ],
)
def test_batches_and_padding_change_nothing(folder, loaded, decoding):
    expected = [plain(loaded, text, decoding) for text in TEXTS]
    assert len(set(expected)) > 3
    for budget in (1, 60, 4000):
        model = Seq2Seq(folder, "float32", dataclasses.replace(decoding, batch_tokens=budget))
        assert model.translate(SEGMENTS) == expected


def test_sampling_follows_its_seed(folder):
    runs = [Seq2Seq(folder, "float32", dataclasses.replace(SAMPLING, seed=s)).translate(SEGMENTS) for s in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_translations_are_one_line_each_and_no_longer_than_the_limit(folder, loaded):
    _, tokenizer = loaded
    texts = Seq2Seq(folder, "float32", SAMPLING).translate(SEGMENTS)
    assert len(texts) == len(SEGMENTS)
    for segment, text in zip(SEGMENTS, texts, strict=True):
        assert text == " ".join(text.split())
        assert len(tokenizer(text_target=text).input_ids) - 1 <= SAMPLING.limit(
            len(tokenizer(segment["tgt"]).input_ids) - 1
        )


def test_logprobs_are_those_of_each_text_alone(folder, loaded):
    """Padding, which the model prefers, has no share; an empty text has its end."""
    model, tokenizer = loaded
    sources = ["The cat sat.", "", "It rains in the north.", "She", "cat", "the the the", "The other cat"]
    for budget in (1, 4000):
        whole = Seq2Seq(folder, "float32", dataclasses.replace(GREEDY, batch_tokens=budget))
        found = whole.logprobs(SEGMENTS, sources)
        for segment, source, value in zip(SEGMENTS, sources, found, strict=True):
            labels = tokenizer(text_target=source, return_tensors="pt").input_ids.to(model.device)
            assert labels[0, -1] == tokenizer.eos_token_id
            with torch.inference_mode():
                read = tokenizer(segment["tgt"], return_tensors="pt").input_ids.to(model.device)
                logits = model(input_ids=read, labels=labels).logits[0]
            kept = [i for i in range(logits.shape[-1]) if i != tokenizer.pad_token_id]
            spread = logits[:, kept].log_softmax(-1)
            steps = [float(spread[i, kept.index(token)]) for i, token in enumerate(labels[0].tolist())]
            assert value == pytest.approx(sum(steps) / len(steps), abs=1e-4)


def test_a_source_that_spells_padding_is_text_and_has_a_probability(folder):
    model = Seq2Seq(folder, "float32", GREEDY)
    found = model.logprobs(SEGMENTS[:2], ["The cat <pad> sat.", "<pad>"])
    assert all(map(math.isfinite, found))


def test_no_segments(folder):
    model = Seq2Seq(folder, "float32", GREEDY)
    assert model.translate([]) == []
    assert model.logprobs([], []) == []


def test_fewer_sources_than_segments_is_an_error(folder):
    with pytest.raises(ValueError, match="zip"):
        Seq2Seq(folder, "float32", GREEDY).logprobs(SEGMENTS, ["The cat."])


def test_work_that_other_processes_do_comes_back_in_order(folder, monkeypatch):
    model = Seq2Seq(folder, "float32", dataclasses.replace(GREEDY, batch_tokens=60))
    expected = model.translate(SEGMENTS)
    shared = []

    def two_processes(work, do):
        shared.append(len(work))
        done = {i: do(work[i]) for first in (1, 0) for i in range(first, len(work), 2)}
        return [done[i] for i in range(len(work))]

    monkeypatch.setattr(batched, "share", two_processes)
    assert model.translate(SEGMENTS) == expected
    assert shared[0] > 2
    assert processes.share is not two_processes


def test_two_models_do_not_share_what_they_remember(folder, tmp_path, monkeypatch, capsys):
    other = shutil.copytree(folder, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    save_file({name: -one for name, one in weights.items()}, other / "model.safetensors", {"format": "pt"})
    models = [Seq2Seq(place, "float32", GREEDY) for place in (folder, other)]
    expected = [model.translate(SEGMENTS) for model in models]
    assert expected[0] != expected[1]
    monkeypatch.setattr(seq2seq, "open_memory", open_memory)
    assert [model.translate(SEGMENTS) for model in models] == expected
    assert "in the memory" not in capsys.readouterr().out
    assert [model.translate(SEGMENTS) for model in models] == expected
    assert capsys.readouterr().out.count("7 translations: 7 from the memory, 0 new") == 2


def test_random_numbers_are_left_alone(folder):
    model = Seq2Seq(folder, "float32", SAMPLING)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    model.translate(SEGMENTS)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_out_of_memory_halves_the_batch(folder, monkeypatch):
    model = Seq2Seq(folder, "float32", dataclasses.replace(GREEDY, batch_tokens=4000))
    expected = model.translate(SEGMENTS)
    sizes = []
    whole = Seq2Seq._generate

    def scarce(self, texts, limits, asked):
        sizes.append(len(texts))
        if len(texts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, texts, limits, asked)

    monkeypatch.setattr(Seq2Seq, "_generate", scarce)
    assert model.translate(SEGMENTS) == expected
    assert sizes == [7, 3, 1, 2, 4, 2, 2]


def test_out_of_memory_at_one_segment_says_what_to_lower(folder, monkeypatch):
    def never(self, texts, targets):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Seq2Seq, "_score", never)
    with pytest.raises(InputError, match=r"lower prompt\.shots, decode\.beams or decode\.max_new_tokens"):
        Seq2Seq(folder, "float32", GREEDY).logprobs(SEGMENTS, ["cat"] * len(SEGMENTS))


def test_other_errors_stay_what_they_are(folder, monkeypatch):
    def broken(self, texts, limits, asked):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Seq2Seq, "_generate", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        Seq2Seq(folder, "float32", GREEDY).translate(SEGMENTS)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_weights_have_the_precision_asked_for(folder, precision):
    assert load(folder, precision)[0].dtype == getattr(torch, precision)


def test_a_text_that_is_too_long_is_named(folder):
    long = [{"id": "m0", "tgt": "雨"}, {"id": "m1", "tgt": "雨が降って" * 30}]
    with pytest.raises(InputError, match=r"prepare.max_chars: m1 has \d+ tokens, .* at most 48"):
        Seq2Seq(folder, "float32", GREEDY).translate(long)


def test_translations_longer_than_the_model_can_write(folder):
    with pytest.raises(InputError, match="max_new_tokens: 49 is more than the 48"):
        Seq2Seq(folder, "float32", dataclasses.replace(GREEDY, max_new_tokens=49))


def test_a_folder_without_a_model_says_which_keys_to_write(tmp_path):
    write_json(tmp_path / "provenance.json", {"name": "none", "format": "none"})
    with pytest.raises(InputError, match=r"models.reverse.name, license, format: hub, repo .* and revision"):
        load(tmp_path, "float32")


def test_a_model_of_another_kind_is_refused(tmp_path):
    tiny.save_llama(tmp_path)
    write_json(tmp_path / "provenance.json", {"name": "tiny", "format": "hub", "files": {}})
    with pytest.raises(InputError, match="llama is no sequence-to-sequence model"):
        load(tmp_path, "float32")


@pytest.mark.parametrize("name", ["source.spm", "target.spm", "vocab.json", "tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"\xff" * 500, b'{"a": '])
def test_a_damaged_file_is_an_input_error(folder, tmp_path, name, content):
    """Transformers gives False for a tokenizer that it cannot read."""
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(InputError, match=f"^{tmp_path}/model: .*; ") as told:
        load(tmp_path / "model", "float32")
    assert "\n" not in str(told.value)


def test_a_model_without_a_token_to_begin_with(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    write_json(tmp_path / "model" / "generation_config.json", {})
    with pytest.raises(InputError, match="no token to pad, to end or to begin"):
        load(tmp_path / "model", "float32")
