"""Gemma 3 from one GGUF file to a Hugging Face folder: weights through transformers, the tokenizer rebuilt.

transformers 4.57 reads the weights rightly (it takes off the 1 that llama.cpp's converter adds to the weights of the
norms, and its defaults fill in what the file does not say: every sixth layer attends to all, the others rotate with
base 10,000) but makes a Unigram of the tokenizer, whose ids are not those that the model learned: see `mt.gguf_bpe`.
"""

from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.gguf_bpe import Pieces, build, read_pieces

ARCHITECTURE = "gemma3"


def convert(gguf: Path, out: Path) -> None:
    """Write a GGUF file of Gemma 3 (text only) as float32 safetensors with its tokenizer.

    Args:
        gguf: the file.
        out: a folder; gets config.json, generation_config.json, model.safetensors, tokenizer.json,
            tokenizer_config.json and special_tokens_map.json, the same bytes on every run.

    Raises:
        InputError: the file is no GGUF, or holds another architecture or another kind of tokenizer.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf)
    except ValueError as error:
        raise InputError(f"{gguf}: not a GGUF file ({error}); fetch it again") from error
    architecture = reader.fields["general.architecture"].contents()
    if architecture != ARCHITECTURE:
        raise InputError(f"{gguf}: its architecture is {architecture!r}; give a file of {ARCHITECTURE!r}")
    pieces = read_pieces(reader, gguf)
    out.mkdir(parents=True, exist_ok=True)
    save_tokenizer(pieces, out, reader.fields[f"{ARCHITECTURE}.context_length"].contents())
    save_model(gguf, out)


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


def save_model(gguf: Path, out: Path) -> None:
    """Write the weights, dequantized to float32, and the configs, with the ids that the file gives to tasks."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    model.save_pretrained(out)
