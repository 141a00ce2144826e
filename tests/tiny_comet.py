"""An XLM-RoBERTa encoder and a COMET checkpoint of a few kilobytes: random weights, one token a character."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

import tiny
from mt.estimator import Embeddings, Example, Training, embed, new_metric, save, train
from mt.files import write_json
from mt.loading import PROVENANCE

NOUNS = {"猫": "cat", "犬": "dog", "雨": "rain", "本": "book", "茶": "tea", "山": "hill", "海": "sea", "駅": "stop"}
NOUNS |= {"父": "dad", "歌": "song"}
VERBS = {"見る": "see", "好む": "like", "買う": "buy", "待つ": "await", "探す": "seek", "描く": "draw"}
PAIRS = [
    {"id": f"t:{noun}{verb}", "src": f"I {do} the {thing}.", "tgt": f"私はその{noun}を今日も{verb}。"}
    for noun, thing in NOUNS.items()
    for verb, do in VERBS.items()
]
TRAINING = Training(seed=1, epochs=3, batch_size=8, learning_rate=0.003, hidden_sizes=(16,))


def save_encoder(folder: Path) -> Path:
    """Write the encoder as a Hugging Face folder with provenance.json."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    characters = sorted({char for pair in PAIRS for char in pair["src"] + pair["tgt"]} - {" "})
    pieces = [*special, "▁", *characters, "<mask>"]
    tokenizer = Tokenizer(Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    XLMRobertaTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    torch.manual_seed(1)
    config = XLMRobertaConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=160,
        initializer_range=0.5,
    )
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    write_json(folder / PROVENANCE, {"name": "tiny", "license": "CC0", "revision": "1", "files": {}})
    return folder


def save_comet(folder: Path, encoder: Path) -> tuple[Path, object, Embeddings]:
    """Write a checkpoint named `tiny` that has learnt that a hypothesis like the reference is good."""
    metric = new_metric(encoder, TRAINING)
    refs = [pair["tgt"] for pair in PAIRS]
    others = refs[7:] + refs[:7]
    examples = []
    for pair, other in zip(PAIRS, others, strict=True):
        examples += [Example(pair["src"], pair["tgt"], pair["tgt"], 1.0), Example(pair["src"], other, pair["tgt"], 0.0)]
    embeddings = embed(metric.encoder, [*refs, *(pair["src"] for pair in PAIRS)], 16)
    train(metric, examples, embeddings, TRAINING)
    save(metric, encoder, folder, folder)
    tiny.seal(folder, name="tiny")
    return folder, metric, embeddings
