"""Language models and GGUF files small enough to make in a test: real code, random weights, a few lines of text."""

from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from mt.files import digests, write_json
from mt.gemma import save_tokenizer
from mt.gguf_bpe import Pieces, TokenType
from mt.loading import PROVENANCE
from mt.lora import Lora
from mt.schedule import Schedule

TEXTS = (
    "The cat sat on the mat.",
    "The other cat that sat there sang to the other hat.",
    "English: The rain in the north.",
    "Japanese: 雨が降っています。",
    "猫が座っています。",
    "彼女は東京に住んでいます。",
    "私は東京で猫を見ました。",
)
CONTROL = ("<unk>", "<pad>", "<bos>", "<eos>", "<unused0>", "<unused1>", "<start_of_turn>")
USER_DEFINED = ("\n", "\n\n", "  ", "   ", "<b>", "</b>")

SCHEDULE = Schedule(
    seed=1,
    epochs=2,
    learning_rate=0.01,
    schedule="cosine",
    warmup_steps=2,
    weight_decay=0.01,
    max_grad_norm=1.0,
    batch_size=4,
    micro_batch_size=4,
    micro_batch_tokens=4096,
    precision="float32",
    gradient_checkpointing=False,
    group_by_length=False,
    save_steps=1000,
)
"""A training of two short epochs."""

LORA = Lora(rank=2, alpha=4, dropout=0.0, target_modules=("q_proj", "v_proj"), rslora=False, dora=False)


def seal(folder: Path, **told: str) -> Path:
    """Write provenance.json, with the digest of every file that is now in the folder."""
    (folder / PROVENANCE).unlink(missing_ok=True)
    write_json(folder / PROVENANCE, {**told, "files": digests(folder)})
    return folder


def pieces() -> Pieces:
    """A vocabulary like Gemma's: control and user-defined tokens, bytes, joined pieces by score, then characters."""
    learner = Tokenizer(BPE())
    learner.train_from_iterator(
        [text.replace(" ", "▁") for text in TEXTS],
        trainers.BpeTrainer(vocab_size=160, show_progress=False),
    )
    learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    normal = [piece for piece, _ in learned if len(piece) > 1] + [piece for piece, _ in learned if len(piece) == 1]
    rows = [(token, -1000.0, TokenType.CONTROL) for token in CONTROL]
    rows += [(token, -1000.0, TokenType.USER_DEFINED) for token in USER_DEFINED]
    rows += [(f"<0x{byte:02X}>", 0.0, TokenType.BYTE) for byte in range(256)]
    rows += [(piece, -float(rank), TokenType.NORMAL) for rank, piece in enumerate(normal)]
    tokens, scores, types = zip(*rows, strict=True)
    return Pieces(tokens, scores, tuple(int(kind) for kind in types), pad=1, eos=3, bos=2, unk=0)


def gemma(rows: int) -> Any:
    """A Gemma 3 of six layers, the last of which sees all, with every weight random."""
    torch.manual_seed(1)
    model = Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=rows,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=6,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=256,
            sliding_window=4,
            max_position_embeddings=128,
            pad_token_id=1,
            eos_token_id=3,
            bos_token_id=2,
        )
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def windowed(rows: int, window: int) -> Any:
    """The same with another window."""
    model = gemma(rows)
    model.config.sliding_window = window
    for layer in model.model.layers:
        layer.self_attn.sliding_window = window if layer.self_attn.is_sliding else None
    return model


def save_gemma(folder: Path) -> Path:
    """Write the tiny Gemma with its tokenizer: byte fallback, tied embeddings."""
    vocabulary = pieces()
    gemma(len(vocabulary.tokens)).save_pretrained(folder)
    save_tokenizer(vocabulary, folder, 128)
    return folder


def save_llama(folder: Path) -> Path:
    """Write a tiny Llama: byte-level pieces, added tokens beyond them, untied embeddings with rows to spare."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, show_progress=False)
    )
    names = ("<|begin|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|end|>", "<|pad|>")
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    begin = ("<|begin|>", tokenizer.token_to_id("<|begin|>"))
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[begin]),
        ]
    )
    roles = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|pad|>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    torch.manual_seed(2)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size() + 3,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=128,
            bos_token_id=begin[1],
            eos_token_id=[tokenizer.token_to_id("<|end|>")],
            tie_word_embeddings=False,
        )
    )
    model.save_pretrained(folder)
    return folder


def write_gguf(
    path: Path, model: Any, vocabulary: Pieces, architecture: str = "gemma3", change: tuple[str, Any] | None = None
) -> Path:
    """Write a Gemma 3 as llama.cpp's converter does: 1 added to the norms, names of its own.

    `change` is a key and its value, or None to leave it out.
    """
    writer = gguf.GGUFWriter(path, architecture)
    config = model.config
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_sliding_window(config.sliding_window)
    add_tokenizer(writer, vocabulary)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            shifted = tensor + 1 if name.endswith("norm.weight") else tensor
            writer.add_tensor(names.get_name(name.removesuffix(".weight")) + ".weight", shifted.numpy())
    if change is not None:
        key, value = change
        held = writer.kv_data[0].pop(key, None)
        if isinstance(value, list):
            writer.add_array(key, value)
        elif value is not None:
            kind = held.type if held and isinstance(value, type(held.value)) else gguf.GGUFValueType.get_type(value)
            writer.add_key_value(key, value, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tokenizer(writer: Any, vocabulary: Pieces) -> None:
    """Add the keys `tokenizer.ggml.*`."""
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_scores(list(vocabulary.scores))
    writer.add_token_types(list(vocabulary.types))
    writer.add_pad_token_id(vocabulary.pad)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_unk_token_id(vocabulary.unk)
