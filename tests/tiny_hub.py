"""A model hub's cache of small random checkpoints, each in the form in which its makers publish the real one.

With HF_HUB_CACHE naming the folder that `fill` wrote and HF_HUB_OFFLINE=1, the paper preset's own code runs on them.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    LlamaTokenizerFast,
    MistralConfig,
    MistralForCausalLM,
)

import tiny
import tiny_comet
import tiny_marian
from mt.comet import CHECKPOINT, HPARAMS
from mt.files import read_json, sha256, write_json
from mt.hub import MARK

MISTRAL = "mistralai/Mistral-7B-v0.3"
MARIAN = "Helsinki-NLP/opus-mt-ja-en"
LABSE = "sentence-transformers/LaBSE"
COMET = "Unbabel/wmt22-comet-da"
XLM_R = "FacebookAI/xlm-roberta-large"
HIDDEN = 32
GERMAN = ("Die Katze saß auf der Matte.", "In Köln fällt heute Regen.", "Über den Fluss führt eine Brücke.")
LETTERS = "".join(map(chr, range(0x21, 0x7F))) + "ÄÖÜäöüß、。" + "".join(map(chr, [*range(0x3041, 0x3097)]))
TRAP = b"cos\nsystem\n(S'touch trapped'\ntR."
"""A pickle that shows that it was opened."""


@dataclass(frozen=True)
class Pinned:
    """What pins a repository; `sha256` is that of a COMET checkpoint."""

    revision: str
    sha256: str | None


def fill(cache: Path) -> dict[str, Pinned]:
    """Write all repositories into the folder `cache`; the same revisions and the same bytes each time."""
    with tempfile.TemporaryDirectory() as place:
        folders = {repo: Path(place) / repo for repo in (MISTRAL, MARIAN, LABSE, COMET, XLM_R)}
        save_mistral(folders[MISTRAL])
        save_marian(folders[MARIAN])
        save_labse(folders[LABSE])
        save_xlm_r(folders[XLM_R])
        save_comet(folders[COMET], folders[XLM_R])
        return {repo: publish(cache, repo, folder) for repo, folder in folders.items()}


@contextmanager
def offline(cache: Path) -> Iterator[None]:
    """What HF_HUB_CACHE and HF_HUB_OFFLINE=1 mean to a new process, for this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        huggingface_hub.configure_http_backend()
        yield
    huggingface_hub.configure_http_backend()


def publish(cache: Path, repo: str, folder: Path) -> Pinned:
    """Put the files of `folder` into the cache as huggingface_hub does: blobs, and links to them by revision."""
    home = cache / f"models--{repo.replace('/', '--')}"
    revision = hashlib.sha256(repo.encode()).hexdigest()[:40]
    (folder / MARK).touch()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        blob = home / "blobs" / sha256(path)
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        shown = home / "snapshots" / revision / name
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.unlink(missing_ok=True)
        shown.symlink_to(Path(*[".."] * (len(name.parts) + 1), "blobs", blob.name))
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / "main").write_text(revision)
    checkpoint = folder / CHECKPOINT
    return Pinned(revision, sha256(checkpoint) if checkpoint.is_file() else None)


def save_mistral(folder: Path) -> None:
    """A causal language model: two shards, no padding token, and the weights once more in two forms of no use."""
    rows = save_llama_tokenizer(folder)
    torch.manual_seed(3)
    config = MistralConfig(
        vocab_size=rows,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        sliding_window=None,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    model = MistralForCausalLM(config).to(torch.bfloat16)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    half = sum(parameter.nbytes for parameter in model.parameters()) * 6 // 10
    model.save_pretrained(folder, max_shard_size=half)
    save_file({"norm.weight": torch.zeros(HIDDEN)}, folder / "consolidated.safetensors")
    (folder / "pytorch_model.bin").write_bytes(TRAP)
    (folder / "modeling_mistral.py").write_text("raise SystemExit('code of a repository was run')\n")
    write_json(folder / "params.json", {"dim": HIDDEN, "n_layers": 2})
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")


def save_llama_tokenizer(folder: Path) -> int:
    """A byte-pair encoding with byte fallback, as Llama and Mistral have it; how many tokens there are."""
    learner = Tokenizer(BPE())
    texts = [text.replace(" ", "▁") for text in (*tiny.TEXTS, *GERMAN)]
    trainer = trainers.BpeTrainer(vocab_size=260, initial_alphabet=list(LETTERS), show_progress=False)
    learner.train_from_iterator(texts, trainer)
    learned = json.loads(learner.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    vocabulary, merges = {piece: i for i, piece in enumerate(pieces)}, [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(BPE(vocabulary, merges, unk_token=names["unk_token"], fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    LlamaTokenizerFast(tokenizer_object=tokenizer, legacy=False, **names).save_pretrained(folder)
    return len(pieces)


def save_marian(folder: Path) -> None:
    """A sequence-to-sequence model, with the older form of the weights beside it."""
    tiny_marian.save_marian(folder)
    (folder / "provenance.json").unlink()
    for name, key in (
        ("config.json", "max_position_embeddings"),
        ("generation_config.json", "max_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        write_json(folder / name, read_json(folder / name) | {key: 512})
    (folder / "pytorch_model.bin").write_bytes(TRAP)


def save_labse(folder: Path) -> None:
    """A sentence encoder in sentence-transformers' layout: the first token, a linear layer and tanh, length 1."""
    letters = [*LETTERS, *sorted({char for text in tiny.TEXTS for char in text if char > "\u3100"})]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{char}" for char in letters)]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False, model_max_length=512)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(4)
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(pieces), max_position_embeddings=512, initializer_range=0.3, **sizes)
    BertModel(config).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(TRAP)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense", "3_Normalize": "Normalize"}
    modules: list[dict[str, Any]] = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 256, "do_lower_case": False})
    pooling = {f"pooling_mode_{mode}": mode == "cls_token" for mode in ("cls_token", "mean_tokens", "max_tokens")}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": HIDDEN, **pooling})
    activation = "torch.nn.modules.activation.Tanh"
    dense = {"in_features": HIDDEN, "out_features": HIDDEN, "bias": True, "activation_function": activation}
    write_json(folder / "2_Dense" / "config.json", dense)
    weights = {"linear.weight": torch.randn(HIDDEN, HIDDEN) * 0.2, "linear.bias": torch.randn(HIDDEN) * 0.2}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(TRAP)


def save_xlm_r(folder: Path) -> None:
    """The encoder that the COMET checkpoint was made from, with weights that nobody needs."""
    tiny_comet.save_encoder(folder)
    (folder / "provenance.json").unlink()
    (folder / "pytorch_model.bin").write_bytes(TRAP)


def save_comet(folder: Path, encoder: Path) -> None:
    """A checkpoint with the hyperparameters of wmt22-comet-da, but sizes and paths, and written as one of its time."""
    with tempfile.TemporaryDirectory() as place:
        made, _, _ = tiny_comet.save_comet(Path(place) / "comet", encoder)
        weights = torch.load(made / CHECKPOINT, weights_only=True)["state_dict"]
    positions = weights["encoder.model.embeddings.position_embeddings.weight"].shape[0]
    weights["encoder.model.embeddings.position_ids"] = torch.arange(positions)[None]
    hparams = {
        "activations": "Tanh",
        "batch_size": 4,
        "class_identifier": "regression_metric",
        "dropout": 0.1,
        "encoder_learning_rate": 1.0e-06,
        "encoder_model": "XLM-RoBERTa",
        "final_activation": None,
        "hidden_sizes": list(tiny_comet.TRAINING.hidden_sizes),
        "keep_embeddings_frozen": True,
        "layer": "mix",
        "layer_norm": False,
        "layer_transformation": "sparsemax",
        "layerwise_decay": 0.95,
        "learning_rate": 1.5e-05,
        "load_weights_from_checkpoint": None,
        "loss": "mse",
        "nr_frozen_epochs": 0.3,
        "optimizer": "AdamW",
        "pool": "avg",
        "pretrained_model": "xlm-roberta-large",
        "train_data": ["data/1720-da.csv"],
        "validation_data": ["data/wmt-ende-newstest2021.csv", "data/wmt-zhen-newstest2021.csv"],
    }
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    content = {
        "epoch": 1,
        "global_step": 100,
        "pytorch-lightning_version": "1.6.4",
        "state_dict": weights,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_loop.state_dict": {}}},
        "callbacks": {},
        "hparams_name": "kwargs",
        "hyper_parameters": hparams,
    }
    torch.save(content, folder / CHECKPOINT)
    YAML(typ="safe", pure=True).dump(hparams, folder / HPARAMS)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
