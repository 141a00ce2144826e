"""A Marian that knows four sentences, in the form of opus-mt: two SentencePiece models, one vocabulary."""

import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

from mt.files import write_json

ENGLISH = ("The cat sat on the mat.", "The other cat sang to the hat.", "It rains in the north.", "She lives in Tokyo.")
JAPANESE = ("猫が座っています。", "雨が降っています。", "彼女は東京に住んでいます。", "私は東京で猫を見ました。")
POSITIONS = 48
STEPS = 80


def save_marian(folder: Path) -> Path:
    """Write model, tokenizer and provenance; padding would win nearly every step if it were not excluded."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["</s>", "<unk>"]
    for file, texts in (("source.spm", JAPANESE), ("target.spm", ENGLISH)):
        learned = _pieces(texts)
        (folder / file).write_bytes(learned.serialized_model_proto())
        names += [learned.id_to_piece(i) for i in range(3, learned.vocab_size())]
    vocabulary = {name: i for i, name in enumerate(dict.fromkeys([*names, "<pad>"]))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = MarianTokenizer(
        *(str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")), model_max_length=POSITIONS
    )
    tokenizer.save_pretrained(folder)
    _model(tokenizer).save_pretrained(folder)
    write_json(folder / "provenance.json", {"name": "tiny-marian", "format": "hub", "revision": "0" * 40, "files": {}})
    return folder


def _pieces(texts: tuple[str, ...]) -> Any:
    packed = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=packed,
        vocab_size=60,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
        num_threads=1,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=packed.getvalue())


def _model(tokenizer: Any) -> Any:
    torch.manual_seed(1)
    pad = tokenizer.pad_token_id
    config = MarianConfig(
        vocab_size=pad + 1,
        d_model=24,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=POSITIONS,
        pad_token_id=pad,
        eos_token_id=0,
        bos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=None,
        init_std=0.2,
        dropout=0.0,
    )
    model = MarianMTModel(config).eval()
    _learn(model, tokenizer)
    model.final_logits_bias[0, pad] = 8.0
    # What published checkpoints advise for decoding; params.yaml decides instead.
    model.generation_config = GenerationConfig(
        bad_words_ids=[[pad]],
        bos_token_id=0,
        decoder_start_token_id=pad,
        eos_token_id=0,
        forced_eos_token_id=0,
        max_length=POSITIONS,
        num_beams=6,
        pad_token_id=pad,
    )
    return model


def _learn(model: Any, tokenizer: Any) -> None:
    """Sentences of unlike lengths, and their ends, which random weights hardly write."""
    batch = tokenizer(list(JAPANESE), text_target=list(ENGLISH), padding=True, return_tensors="pt")
    batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
