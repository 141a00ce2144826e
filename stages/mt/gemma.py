"""Gemma 3 from one GGUF file to a Hugging Face folder: weights through transformers, the tokenizer rebuilt.

transformers 4.57 reads the weights rightly (it takes off the 1 that llama.cpp's converter adds to the weights of the
norms, and its defaults fill in what the file does not say: every sixth layer attends to all, the others rotate with
base 10,000) but makes a Unigram of the tokenizer, whose ids are not those that the model learned: see `mt.gguf_bpe`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.gguf_bpe import Pieces, build, read_pieces
from mt.gguf_header import check, value

ARCHITECTURE = "gemma3"
SIZES = (
    *("context_length", "embedding_length", "block_count", "feed_forward_length"),
    *("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length"),
    "attention.sliding_window",
)
UNREAD = ("tokenizer.ggml.scores", "tokenizer.ggml.token_type")
"""Long lists that transformers would parse twice and then not look at."""
FLOATS = ("attention.layer_norm_rms_epsilon", "rope.freq_base")


def convert(gguf: Path, out: Path) -> None:
    """Write a GGUF file of Gemma 3 (text only) as float32 safetensors with its tokenizer.

    Args:
        gguf: the file.
        out: a folder; gets config.json, generation_config.json, model.safetensors, tokenizer.json,
            tokenizer_config.json and special_tokens_map.json, the same bytes on every run.

    Raises:
        InputError: the file is no GGUF, or holds another architecture or another kind of tokenizer.
    """
    reader, pieces, context_length = described(gguf)
    out.mkdir(parents=True, exist_ok=True)
    save_tokenizer(pieces, out, context_length)
    save_model(gguf, reader, out)


def described(gguf: Path) -> tuple[Any, Pieces, int]:
    """A reader, the vocabulary and the context's length of a file whose tensors are those that its header promises.

    Raises:
        InputError: as `convert`; nothing of the file is believed before it is checked.
    """
    shapes = check(gguf)
    reader = opened(gguf)
    architecture = value(reader, "general.architecture", str, gguf)
    if architecture != ARCHITECTURE:
        raise InputError(f"{gguf}: its architecture is {architecture!r:.100}; give a file of {ARCHITECTURE!r}")
    pieces = read_pieces(reader, gguf)
    for name in FLOATS:
        if not 0 < value(reader, f"{ARCHITECTURE}.{name}", float, gguf) < math.inf:
            raise InputError(f"{gguf}: its {name} is no number above 0; take a file that llama.cpp's converter wrote")
    stated = reader.fields.get(f"{ARCHITECTURE}.vocab_size")
    if stated is not None and stated.contents() != len(pieces.tokens):
        raise InputError(
            f"{gguf}: its vocab_size is not the {len(pieces.tokens)} of its tokens; take a file that llama.cpp's "
            "converter wrote whole"
        )
    sizes = {name: value(reader, f"{ARCHITECTURE}.{name}", int, gguf) for name in SIZES}
    heads, groups = sizes["attention.head_count"], sizes["attention.head_count_kv"]
    one_width = sizes["attention.key_length"] == sizes["attention.value_length"]
    if min(sizes.values()) < 1 or heads % groups or not one_width or sizes["block_count"] > len(shapes):
        raise InputError(f"{gguf}: impossible sizes {sizes}; take a file that llama.cpp's converter wrote whole")
    wanted = _shapes(sizes, len(pieces.tokens))
    for name in sorted(wanted.keys() | shapes.keys()):
        if shapes.get(name) != wanted.get(name):
            raise InputError(
                f"{gguf}: its tensor {name!r:.100} has the shape {shapes.get(name)}, where its sizes ask for "
                f"{wanted.get(name)}; take a file that llama.cpp's converter wrote whole"
            )
    return reader, pieces, sizes["context_length"]


def opened(gguf: Path) -> Any:
    """The reader of gguf, with plain arrays for parts: of the millions that it makes, those of a `memmap` take long."""
    import numpy as np
    from gguf import GGUFReader

    class Reader(GGUFReader):  # type: ignore[misc]
        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = np.asarray(mapped)

    return Reader(gguf)


def _shapes(sizes: dict[str, int], rows: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a Gemma 3, by the names that llama.cpp gives them, input before output."""
    width, wide, head = sizes["embedding_length"], sizes["feed_forward_length"], sizes["attention.key_length"]
    queries, keys = sizes["attention.head_count"] * head, sizes["attention.head_count_kv"] * head
    block: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"), (width,)),
        **dict.fromkeys(("attn_q_norm", "attn_k_norm"), (head,)),
        **dict.fromkeys(("attn_k", "attn_v"), (width, keys)),
        "attn_q": (width, queries),
        "attn_output": (queries, width),
        **dict.fromkeys(("ffn_gate", "ffn_up"), (width, wide)),
        "ffn_down": (wide, width),
    }
    blocks = range(sizes["block_count"])
    return {
        "token_embd.weight": (width, rows),
        "output_norm.weight": (width,),
        **{f"blk.{number}.{name}.weight": shape for number in blocks for name, shape in block.items()},
    }


def save_tokenizer(pieces: Pieces, out: Path, context_length: int) -> None:
    """Write the tokenizer so that `AutoTokenizer` reads it.

    The text of a control token, such as `<eos>` in a sentence, is plain text to it and comes back whole, as in
    llama.cpp with `special=False`; the tokens themselves are reached by their ids.
    """
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=build(pieces),
        pad_token=pieces.tokens[pieces.pad],
        bos_token=pieces.tokens[pieces.bos],
        eos_token=pieces.tokens[pieces.eos],
        unk_token=pieces.tokens[pieces.unk],
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=context_length,
    ).save_pretrained(out)


@contextmanager
def read_once(reader: Any) -> Iterator[None]:
    """Give transformers the reader that is there, less `UNREAD`; it would read the header twice more."""
    import gguf

    for name in UNREAD:
        del reader.fields[name]
    usual = gguf.GGUFReader
    gguf.GGUFReader = lambda _: reader
    try:
        yield
    finally:
        gguf.GGUFReader = usual


def save_model(gguf: Path, reader: Any, out: Path) -> None:
    """Write the weights, dequantized to float32, and the configs, with the ids that the file gives to tasks.

    Raises:
        InputError: the weights are of a type that cannot be dequantized.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with read_once(reader):
            model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    except NotImplementedError as error:
        raise InputError(f"{gguf}: its weights cannot be read ({error}); take a file of another type") from error
    model.save_pretrained(out)
