import inspect

import pytest
from peft import LoraConfig, get_peft_model

import tiny
from mt import translators
from mt.decode import Decoding, translate
from mt.errors import InputError
from mt.lm import load_adapted, load_base, mean_logprobs, revision
from mt.prompt import REVERSE, Languages, Prompter
from mt.seq2seq import Seq2Seq
from mt.translators import Causal, Translator

DECODING = Decoding("greedy", 1, 1.0, 1.0, 1, 8, 3.0, 4, 400)
TEMPLATE = "{src_language}: {src}\n{tgt_language}: {tgt}\n"
SHOTS = [{"id": "s", "src": "The mat.", "tgt": "雨が降っています。"}]
MONO = [
    {"id": f"m{i}", "tgt": text} for i, text in enumerate(["猫が座っています。", "雨", "彼女は東京に住んでいます。"])
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.save_gemma(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters") / "reverse"
    model, _ = load_base(base, "float32")
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).save_pretrained(folder)
    return folder


def prompter(shots=()):
    return Prompter(TEMPLATE, Languages("en", "ja"), REVERSE, shots)


@pytest.mark.parametrize("kind", [Causal, Seq2Seq])
def test_every_kind_has_the_methods_of_the_interface(kind):
    for name in ("translate", "logprobs"):
        asked = inspect.signature(getattr(Translator, name))
        assert inspect.signature(getattr(kind, name)) == asked


def test_with_an_adapter_it_is_the_adapted_model(base, adapter):
    model, tokenizer = load_adapted(base, adapter, "float32")
    found = Causal(base, adapter, prompter(), "float32", DECODING)
    assert found.translate(MONO) == translate(model, tokenizer, prompter(), MONO, DECODING, None)
    assert found.revision == revision(base, adapter)


def test_without_an_adapter_it_is_the_base_model_with_its_examples(base, adapter):
    model, tokenizer = load_base(base, "float32")
    found = Causal(base, None, prompter(SHOTS), "float32", DECODING)
    expected = translate(model, tokenizer, prompter(SHOTS), MONO, DECODING, None)
    assert found.translate(MONO) == expected
    assert found.revision == revision(base, None)
    sources = ["The cat.", "Rain.", "She"]
    adapted = Causal(base, adapter, prompter(SHOTS), "float32", DECODING)
    assert adapted.logprobs(MONO, sources) != found.logprobs(MONO, sources)


def test_two_models_do_not_share_what_they_remember(base, adapter, capsys):
    plain, adapted = load_base(base, "float32"), load_adapted(base, adapter, "float32")
    expected = [translate(*loaded, prompter(), MONO, DECODING, None) for loaded in (plain, adapted)]
    assert expected[0] != expected[1]
    capsys.readouterr()
    models = [Causal(base, place, prompter(), "float32", DECODING) for place in (None, adapter)]
    assert [model.translate(MONO) for model in models] == expected
    assert "in the memory" not in capsys.readouterr().out
    assert [model.translate(MONO) for model in models] == expected
    assert capsys.readouterr().out.count("3 translations: 3 from the memory, 0 new") == 2


def test_logprobs_are_of_the_english_after_the_prompt(base, monkeypatch):
    asked = []
    monkeypatch.setattr(
        translators,
        "mean_logprobs",
        lambda m, t, pairs, budget, memory: asked.extend(pairs) or mean_logprobs(m, t, pairs, budget, None),
    )
    found = Causal(base, None, prompter(SHOTS), "float32", DECODING).logprobs(MONO, ["The cat.", "", "She"])
    shot = "Japanese: 雨が降っています。\nEnglish: The mat.\n"
    assert asked[:2] == [
        (shot + "Japanese: 猫が座っています。\nEnglish:", " The cat.\n"),
        (shot + "Japanese: 雨\nEnglish:", " \n"),
    ]
    assert all(value < 0 for value in found)


def test_fewer_sources_than_segments_is_an_error(base):
    with pytest.raises(ValueError, match="zip"):
        Causal(base, None, prompter(), "float32", DECODING).logprobs(MONO, ["The cat."])


def test_an_untrained_adapter_says_what_to_write(base, tmp_path):
    (tmp_path / "README.md").write_text("Nothing was trained.")
    with pytest.raises(InputError, match=r"holds no adapter; .* 1 or more for reverse.finetune.epochs"):
        Causal(base, tmp_path, prompter(), "float32", DECODING)
