import dataclasses

import pytest
import torch

import tiny
from mt import decode, search
from mt.decode import Decoding, translate, translations
from mt.errors import InputError
from mt.lm import load_base
from mt.prompt import FORWARD, Languages, Prompter

GREEDY = Decoding("greedy", 1, 1.0, 1.0, 1, 12, 3.0, 4, 400)
BEAM = dataclasses.replace(GREEDY, strategy="beam", beams=3)
SAMPLING = dataclasses.replace(GREEDY, strategy="sampling", temperature=0.8, top_p=0.9)
TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
SOURCES = ("The cat sat on the mat.", "A hat.", "The other cat that sat there sang to the other hat.", "東京", "x")
SEGMENTS = [{"id": str(i), "src": src, "tgt": "猫"} for i, src in enumerate(SOURCES)]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A Gemma whose sliding window is shorter than its prompts."""
    return load_base(tiny.save_gemma(tmp_path_factory.mktemp("gemma")), "float32")


@pytest.fixture(scope="module")
def windowless(tmp_path_factory):
    """A Llama, which sees all of its text."""
    return load_base(tiny.save_llama(tmp_path_factory.mktemp("llama")), "float32")


def prompter(shots=0):
    examples = [{"id": "s", "src": "The mat.", "tgt": "雨が降っています。"}] * shots
    return Prompter(TEMPLATE, Languages("en", "ja"), FORWARD, examples)


def plain(loaded, prompter, segment, decoding):
    """What `generate` alone gives for one segment, no batch, no padding, no shared prefix."""
    model, tokenizer = loaded
    ids = tokenizer(prompter.prompt(segment), return_tensors="pt").input_ids.to(model.device)
    source = tokenizer(segment["src"], add_special_tokens=False).input_ids
    written = model.generate(
        ids,
        max_new_tokens=decoding.limit(len(source)),
        num_beams=decoding.beams,
        do_sample=False,
        eos_token_id=[i for i in range(len(tokenizer)) if "\n" in tokenizer.decode([i])] + [tokenizer.eos_token_id],
        pad_token_id=tokenizer.pad_token_id,
    )[0, ids.shape[1] :]
    return " ".join(tokenizer.decode(written, skip_special_tokens=True).partition("\n")[0].split())


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("decoding", [GREEDY, BEAM], ids=["greedy", "beam"])
@pytest.mark.parametrize("name", ["loaded", "windowless"])
def test_batches_padding_and_the_shared_prefix_change_nothing(request, name, shots, decoding):
    model = request.getfixturevalue(name)
    asker = prompter(shots)
    expected = [plain(model, asker, segment, decoding) for segment in SEGMENTS]
    for budget in (1, 200, 4000):
        assert (
            translate(model[0], model[1], asker, SEGMENTS, dataclasses.replace(decoding, batch_tokens=budget), None)
            == expected
        )


def test_a_shared_prefix_is_read_once(windowless, monkeypatch):
    model, tokenizer = windowless
    asker = prompter(2)
    prefixes = []
    whole = search.Batch._read_prefix
    monkeypatch.setattr(
        search.Batch, "_read_prefix", lambda self, prefix: prefixes.append(len(prefix)) or whole(self, prefix)
    )
    translate(model, tokenizer, asker, SEGMENTS, dataclasses.replace(GREEDY, batch_tokens=4000), None)
    assert len(prefixes) == 1
    assert prefixes[0] > len(tokenizer(asker.prompt(SEGMENTS[0])).input_ids) / 2


def test_sampling_follows_its_seed(loaded):
    runs = [
        translate(loaded[0], loaded[1], prompter(), SEGMENTS, dataclasses.replace(SAMPLING, seed=s), None)
        for s in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_sample_is_the_same_whatever_stands_beside_it(loaded):
    runs = [
        translate(loaded[0], loaded[1], prompter(), SEGMENTS, dataclasses.replace(SAMPLING, batch_tokens=budget), None)
        for budget in (1, 4000)
    ]
    assert runs[0] == runs[1]


def test_decoding_leaves_the_random_numbers_of_training_alone(loaded):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    translate(loaded[0], loaded[1], prompter(), SEGMENTS, SAMPLING, None)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_segments_no_translations(loaded):
    assert translate(loaded[0], loaded[1], prompter(), [], GREEDY, None) == []


@pytest.mark.parametrize(
    ("source_tokens", "expected"),
    [pytest.param(0, 4, id="margin"), pytest.param(2, 10, id="ratio"), pytest.param(50, 12, id="max_new_tokens")],
)
def test_limit(source_tokens, expected):
    assert GREEDY.limit(source_tokens) == expected


def test_a_translation_ends_with_its_line(loaded):
    model, tokenizer = loaded
    engine = decode._Engine(model, tokenizer, GREEDY)
    ids = tokenizer("The cat\nsat", add_special_tokens=False).input_ids
    assert engine._made(ids) == ("The cat", False)
    assert engine._made(ids[:1])[1]
    assert engine._made([*ids[:2], tokenizer.eos_token_id, *ids[2:]]) == (tokenizer.decode(ids[:2]).strip(), False)


@pytest.mark.parametrize("decoding", [GREEDY, BEAM], ids=["greedy", "beam"])
@pytest.mark.parametrize("name", ["loaded", "windowless"])
def test_what_the_limit_ends_is_cut(request, monkeypatch, name, decoding):
    model, tokenizer = request.getfixturevalue(name)
    seen = set()
    for every in (9, 31, 1000):
        stops = [i for i in range(len(tokenizer)) if i % every == 0]
        monkeypatch.setattr(decode, "line_ends", lambda _, stops=stops: stops)
        expected = []
        for segment in SEGMENTS:
            ids = tokenizer(prompter().prompt(segment), return_tensors="pt").input_ids
            limit = decoding.limit(len(tokenizer(segment["src"], add_special_tokens=False).input_ids))
            ways = {"max_new_tokens": limit, "num_beams": decoding.beams, "pad_token_id": tokenizer.pad_token_id}
            written = model.generate(ids, do_sample=False, eos_token_id=stops, **ways)[0, ids.shape[1] :]
            expected.append(not set(stops) & set(written.tolist()))
        made = translations(
            model, tokenizer, prompter(), SEGMENTS, dataclasses.replace(decoding, batch_tokens=4000), None
        )
        assert [one.cut for one in made] == expected
        seen.update(expected)
    assert seen == {False, True}


def test_out_of_memory_halves_the_batch(loaded, monkeypatch):
    expected = translate(loaded[0], loaded[1], prompter(), SEGMENTS, GREEDY, None)
    sizes = []
    whole = decode._Engine.generate

    def scarce(self, prompts, limits, asked):
        sizes.append(len(prompts))
        if len(prompts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, prompts, limits, asked)

    monkeypatch.setattr(decode._Engine, "generate", scarce)
    assert (
        translate(loaded[0], loaded[1], prompter(), SEGMENTS, dataclasses.replace(GREEDY, batch_tokens=4000), None)
        == expected
    )
    assert sizes == [5, 2, 3, 1, 2]


def test_out_of_memory_at_one_segment_says_what_to_lower(loaded, monkeypatch):
    def never(self, prompts, limits, asked):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(decode._Engine, "generate", never)
    with pytest.raises(InputError, match=r"lower prompt\.shots, decode\.beams or decode\.max_new_tokens"):
        translate(loaded[0], loaded[1], prompter(), SEGMENTS, GREEDY, None)


def test_other_errors_stay_what_they_are(loaded, monkeypatch):
    def broken(self, prompts, limits, asked):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(decode._Engine, "generate", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        translate(loaded[0], loaded[1], prompter(), SEGMENTS, GREEDY, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "beam"}, "beams must be at least 2"),
        ({"beams": 3}, "beams must be 1"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"top_p": 0.0}, "top_p must lie in"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"batch_tokens": 0}, "batch_tokens must be at least 1"),
        ({"max_length_ratio": -1.0}, "must not be negative"),
        ({"max_length_ratio": 0.0, "length_margin": 0}, "not both 0"),
    ],
)
def test_refused_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(GREEDY, **changes)
