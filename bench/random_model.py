"""A model of Mistral's architecture with random weights, and a tokenizer to which random words are random ids."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from mt.processes import device

SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")


@dataclass(frozen=True)
class Shape:
    """MistralConfig's sizes; heads have hidden / heads dimensions."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int

    @property
    def layer_weights(self) -> int:
        """Weights of all matrices of all layers: queries and outputs, keys and values, and the three of the MLP."""
        kv = self.hidden * self.kv_heads // self.heads
        return self.layers * self.hidden * (2 * self.hidden + 2 * kv + 3 * self.intermediate)

    @property
    def head_weights(self) -> int:
        """Weights of the output matrix."""
        return self.hidden * self.vocabulary


# config.json of mistralai/Mistral-7B-v0.3
V03 = Shape(hidden=4096, intermediate=14336, layers=32, heads=32, kv_heads=8, vocabulary=32768)
TINY = Shape(hidden=32, intermediate=64, layers=2, heads=4, kv_heads=2, vocabulary=256)


def save(shape: Shape, folder: Path) -> None:
    """Write a model with random bfloat16 weights and its tokenizer."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

    words = [*SPECIAL, *(word(i) for i in range(len(SPECIAL), shape.vocabulary))]
    tokenizer = Tokenizer(WordLevel({name: i for i, name in enumerate(words)}, unk_token=SPECIAL[0]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    roles = dict(zip(("unk_token", "bos_token", "eos_token", "pad_token"), SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    config = MistralConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        vocab_size=shape.vocabulary,
        rope_theta=1e6,
        max_position_embeddings=32768,
        sliding_window=None,
        tie_word_embeddings=False,
        dtype=torch.bfloat16,
    )
    torch.manual_seed(1)
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device():
            MistralForCausalLM(config).save_pretrained(folder)
    finally:
        torch.set_default_dtype(previous)


def word(number: int) -> str:
    """The word whose id is `number`."""
    return f"w{number}"


def text(words: int, vocabulary: int, seed: int) -> str:
    """Random words, none of them a special one."""
    random = Random(seed)  # noqa: S311 (no secret)
    return " ".join(word(random.randrange(len(SPECIAL), vocabulary)) for _ in range(words))
