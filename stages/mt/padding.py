"""A padding token for tokenizers that come without one of their own."""

from pathlib import Path

from mt.errors import InputError
from mt.files import read_object, write_json
from mt.loading import SAFE, as_data

FILES = ("tokenizer_config.json", "special_tokens_map.json")


def give_padding(folder: Path, name: str) -> str | None:
    """Name a padding token in a tokenizer's files where there is none, or where it is the end of sequence.

    It is the unknown token: one that no text holds where the encoding falls back to bytes, so that padding can be told
    from text and from its end. No token changes its id, and texts are tokenized as before.

    Args:
        folder: a model in Hugging Face form; its files are replaced, not written into.
        name: what the user calls the model.

    Returns:
        The token, or None where the tokenizer had one.

    Raises:
        InputError: there is no unknown token that could be taken, or the tokenizer needs code of its own.
    """
    from transformers import AutoTokenizer

    with as_data(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, fix_mistral_regex=False, **SAFE)
    ends = (None, tokenizer.eos_token_id)
    if tokenizer.pad_token_id not in ends:
        return None
    if tokenizer.unk_token_id in ends:
        raise InputError(
            f"{name}: its tokenizer has neither a pad_token other than its eos_token {tokenizer.eos_token!r} nor an "
            "unk_token to pad with; name a model in models.source whose tokenizer_config.json has a pad_token"
        )
    token = str(tokenizer.unk_token)
    for file in (folder / one for one in FILES):
        if file.is_file() or file.name == FILES[0]:
            content = read_object(file) if file.is_file() else {}
            write_json(file, content | {"pad_token": token})
    return token
