"""What the pages for users claim, held to the code: figures, commands, keys, links and the example of a reader."""

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

import mt.corpora
from corpus_requests import corpus, read, request
from mt.errors import InputError
from mt.lora import Lora, adapt
from mt.params import read_tree
from mt.reader import Reader
from mt.search import TOKENS
from pipeline import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MEMORY = ROOT / "docs" / "memory.md"
LORA = Lora(16, 32, 0.05, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), False, False)

HIDDEN, MLP, KEYS, LAYERS, VOCABULARY = 4096, 14336, 1024, 32, 32768
ROW, TARGETS = 512, 256
GB = 10**9
GIB = 2**30
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes a number: four bits, an 8-bit scale for each 64, a 32-bit one for each 256 of these."""

DECODING = {"keys and values, 16 bits": 2 * LAYERS * KEYS * 2, "reading the prompt": 2 * (2 * HIDDEN + 3 * MLP)}
"""Bytes a token of a batch."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def tables(page: Path) -> Iterator[list[str]]:
    """The cells of every row of every table."""
    for line in text(page).split("\n"):
        if line.startswith("| "):
            yield [cell.strip() for cell in line[1:].removesuffix("|").split("|")]


def row(label: str) -> list[str]:
    """The cells after the one row of docs/memory.md that begins with `label`."""
    (found,) = [cells for cells in tables(MEMORY) if cells[0] == label]
    return found[1:]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), flags=re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, list[str]]]:
    """The page and the words of every command that stands in an indented block."""
    return [
        (page.name, shlex.split(line, comments=True))
        for page in PAGES
        for line in text(page).split("\n")
        if line.startswith("    ")
    ]


@cache
def numbers() -> dict[str, int]:
    """How many numbers Mistral 7B v0.3 holds, by what is said of them; nothing is allocated."""
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=False,
        sliding_window=None,
    )
    with torch.device("meta"):
        model = MistralForCausalLM(config)
        whole = {name: parameter.numel() for name, parameter in model.named_parameters()}
        adapted = adapt(model, LORA)
    ends = sum(size for name, size in whole.items() if "embed_tokens" in name or "lm_head" in name)
    norms = sum(size for name, size in whole.items() if "norm" in name)
    return {
        "linear layers": sum(whole.values()) - ends - norms,
        "embedding and output": ends,
        "norms": norms,
        "model": sum(whole.values()),
        "adapter": sum(p.numel() for p in adapted.parameters() if p.requires_grad),
    }


def weights(kind: str) -> float:
    """Bytes of the frozen weights."""
    count = numbers()
    if kind == "nf4":
        return NF4 * count["linear layers"] + 4 * (count["model"] - count["linear layers"])
    return {"float32": 4, "bfloat16": 2, "float16": 2}[kind] * count["model"]


def activations(kind: str, checkpointing: bool) -> int:
    """Bytes a token of a micro batch; a layer's backward pass is taken to need as much as the layer keeps."""
    layer = kept_by_layer(HIDDEN, MLP, 15 if kind == "nf4" else 9)
    if not checkpointing:
        return (LAYERS + 1) * layer
    return LAYERS * HIDDEN * (4 if kind == "nf4" else 2) + 2 * layer


def kept_by_layer(hidden: int, mlp: int, wide: int) -> int:
    """Bytes a token that a layer keeps for its backward pass."""
    return 34 * hidden + wide * mlp


def gb(size: float) -> str:
    return f"{size / GB:.2f}"


@pytest.mark.parametrize("label", ["linear layers", "embedding and output", "norms", "model", "adapter"])
def test_counts(label: str) -> None:
    (found,) = [cells for cells in tables(MEMORY) if cells[0] == label and cells[-1].replace(",", "").isdigit()]
    assert found[-1] == f"{numbers()[label]:,}"


def test_the_comet_checkpoint_holds_as_many_numbers() -> None:
    from transformers import XLMRobertaConfig, XLMRobertaModel

    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    with torch.device("meta"):
        encoder = XLMRobertaModel(
            XLMRobertaConfig(vocab_size=250002, max_position_embeddings=514, type_vocab_size=1, **sizes),
            add_pooling_layer=False,
        )
        layers = [torch.nn.Linear(*ends) for ends in ((6144, 3072), (3072, 1024), (1024, 1))]
    found = sum(parameter.numel() for parameter in encoder.parameters())
    estimator = sum(parameter.numel() for layer in layers for parameter in layer.parameters())
    assert row("XLM-R large")[-1] == f"{found:,}"
    assert row("estimator 6144 → 3072 → 1024 → 1")[-1] == f"{estimator:,}"
    assert f"In float32 that is {gb(4 * (found + estimator))} GB" in text(MEMORY)
    assert f"{gb(25 * 1024 * 4 * 64 * 128)} GB for 64 texts of 128 tokens" in text(MEMORY)


@pytest.mark.parametrize(
    ("label", "size"),
    [
        ("`weights: float32`", lambda: weights("float32")),
        ("`weights: bfloat16` or `float16`", lambda: weights("float16")),
        ("`weights: nf4`", lambda: weights("nf4")),
        ("its gradients", lambda: 4 * numbers()["adapter"]),
        ("AdamW's two states", lambda: 8 * numbers()["adapter"]),
    ],
)
def test_what_is_always_there(label: str, size: Any) -> None:
    assert row(label)[-1] == gb(size())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("label", "kind"), [("16-bit weights", "float16"), ("nf4 weights", "nf4")])
def test_activations(label: str, kind: str, checkpointing: bool) -> None:
    found = row(label + ", `gradient_checkpointing: true`" * checkpointing)
    assert found[1:] == [gb(activations(kind, checkpointing) * rows * ROW) for rows in (1, 4, 8)]


def test_a_layer_keeps_what_the_formula_says() -> None:
    hidden, mlp, tokens = 256, 896, 64
    one, two = (kept(hidden, mlp, tokens, layers) for layers in (1, 2))
    masks = 6 * hidden + mlp  # of dropout, a byte each; other devices than a GPU keep other things
    assert (two - one) / tokens == pytest.approx(kept_by_layer(hidden, mlp, 9) - masks, rel=0.03)


def kept(hidden: int, mlp: int, tokens: int, layers: int) -> int:
    """Bytes that autograd keeps of a forward pass through an adapted model of 16 bits, parameters left out."""
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {"hidden_size": hidden, "intermediate_size": mlp, "num_hidden_layers": layers}
    config = MistralConfig(vocab_size=64, num_attention_heads=4, num_key_value_heads=2, sliding_window=None, **sizes)
    lora = replace(LORA, rank=1, dropout=0.0)
    model = adapt(MistralForCausalLM(config).to(torch.bfloat16), lora).train()
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    found: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            found[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        model(input_ids=torch.zeros((1, tokens), dtype=torch.long), logits_to_keep=1, use_cache=False)
    return sum(storage.nbytes() for storage in found.values())


def test_logits() -> None:
    assert row(f"logits of {TARGETS} targets a row")[1:] == [gb(12 * VOCABULARY * rows * TARGETS) for rows in (1, 4, 8)]


def decoded(label: str, batch_tokens: int) -> int:
    """Bytes while a batch of so many tokens is decoded."""
    return DECODING[label] * (min(batch_tokens, TOKENS) if label == "reading the prompt" else batch_tokens)


@pytest.mark.parametrize("label", list(DECODING))
def test_decoding(label: str) -> None:
    formula, *found = row(label)
    assert formula.endswith(f"= {DECODING[label]:,}")
    assert found == [gb(decoded(label, tokens)) for tokens in (16_384, 65_536)]


def test_the_recommended_settings_fit() -> None:
    sizes = [cells for cells in tables(MEMORY) if re.fullmatch(r"\d+ GB", cells[0])]
    assert {cells[0] for cells in sizes} == {"24 GB", "40 GB", "80 GB"}
    for gpu, kind, rows, checkpointing, tokens, training, decoding in sizes:
        peaks = expected(kind.strip("`"), int(rows), checkpointing == "true", int(tokens))
        assert (training, decoding) == tuple(f"{peak / GB:.1f}" for peak in peaks)
        assert max(peaks) < 0.9 * int(gpu.split()[0]) * GIB


def expected(kind: str, rows: int, checkpointing: bool, batch_tokens: int) -> tuple[float, float]:
    """Peaks of training and of development decoding, in bytes."""
    held = weights(kind) + 16 * numbers()["adapter"]
    training = rows * (activations(kind, checkpointing) * ROW + 12 * VOCABULARY * TARGETS)
    decoding = sum(decoded(label, batch_tokens) for label in DECODING) * (2 if kind == "nf4" else 1)
    return held + training, held + decoding


@pytest.mark.parametrize(("page", "words"), [pytest.param(*one, id=" ".join(one[1])) for one in commands()])
def test_commands_are_known(page: str, words: list[str]) -> None:
    if words[:1] == ["dvc"]:
        from dvc.cli import parse_args

        arguments = parse_args(words[1 : words.index("&&")] if "&&" in words else words[1:])
        for given in getattr(arguments, "set_param", []):
            inner: Any = read_tree(ROOT / "params.yaml")
            for part in given.partition("=")[0].split("."):
                inner = inner[part]
    if words[:1] == ["make"]:
        targets = re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), flags=re.MULTILINE)
        assert words[1] in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text(page)):
        assert "://" in target or (page.parent / target).exists()


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for path in re.findall(r"`((?:stages|tests|presets)/[\w/]+\.\w+)`", text(page)):
        assert (ROOT / path).exists() or path == "stages/mt/own_csv.py"


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_keys_that_are_shown_exist(page: Path) -> None:
    for block in blocks(page, "yaml"):
        hold(YAML(typ="safe", pure=True).load(block), read_tree(ROOT / "presets" / "embedded.yaml"))


def hold(shown: Any, known: Any) -> None:
    """Every key that is shown stands in the preset; items of a list are held to the first of the preset's."""
    if isinstance(shown, dict):
        for key, inner in shown.items():
            hold(inner, known[key])
    elif isinstance(shown, list) and known and isinstance(known[0], dict):
        for item in shown:
            assert item.keys() == known[0].keys()


def test_the_corpora_that_are_shown_are_valid() -> None:
    (block,) = [block for block in blocks(ROOT / "docs" / "adding.md", "yaml") if block.startswith("corpora:")]
    shown = YAML(typ="safe", pure=True).load(block)["corpora"]
    for entry in (shown["parallel"], shown["mono"], *shown["tests"]):
        keys = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
        corpus(str(keys.pop("source")), **{key: value for key, value in keys.items() if key != "name"})


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('src,tgt\n"Salt, please.",塩をください。\n', [("mine:1", "Salt, please.", "塩をください。")]),
        ("id,tgt,src\n7,水,Water\n", [("mine:1", "Water", "水")]),
        ("src,target\nWater,水\n", "mine.csv:1: has no column 'tgt'"),
    ],
    ids=["quoted", "in another order", "no such column"],
)
def test_the_example_of_a_reader_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, found: list[tuple[str, str, str]] | str
) -> None:
    (example,) = blocks(ROOT / "docs" / "adding.md", "python")
    (tmp_path / "own_csv.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_csv", raising=False)
    own_csv = importlib.import_module("own_csv")
    monkeypatch.setitem(mt.corpora.READERS, "csv", Reader(own_csv.read_csv, needs=("path",)))
    (tmp_path / "mine.csv").write_text(content, encoding="utf-8")
    asked = request(corpus("csv", path=str(tmp_path / "mine.csv")), tmp_path)
    if isinstance(found, str):
        with pytest.raises(InputError, match=found):
            read(asked)
    else:
        assert [(s["id"], s["src"], s["tgt"]) for s in read(asked)[0]] == found
