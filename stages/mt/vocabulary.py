"""Vocabulary trimming: a causal language model that keeps only the embedding rows which a corpus needs.

After Ushio et al. 2023, "An Efficient Multilingual Language Model Compression through Vocabulary Trimming", for
byte-pair encodings. A text that was counted is tokenized as before: each of its tokens is kept with every piece that is
joined on the way to it, and the merges that are left stand in their old order. Any other text still comes back whole,
since bytes stay.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.loading import SAFE, as_data, check_finite, check_weights, pretrained

CHUNK = 10_000
"""Texts that are tokenized at a time."""
RESERVED = re.compile(r"[<\[|]+(unused|reserved_special_token_|control_)\d+[>\]|]+")
"""Placeholders that Gemma, Llama and Mistral keep for later tokens: kept only where a text or the model names one."""
ID_LISTS = ("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias", "forced_decoder_ids")
"""Keys of a generation config that would need new ids inside lists."""

Definition = dict[str, Any]
"""What tokenizer.json holds."""


@dataclass(frozen=True)
class Sizes:
    """Rows of the embedding before and after."""

    before: int
    after: int


def trim(source: Path, out: Path, texts: Iterable[str]) -> Sizes:
    """Write the model in `source` with the rows that `texts` use.

    Args:
        source: a causal language model in Hugging Face form, with a byte-pair encoding as its tokenizer.
        out: a folder; gets the cut model, its tokenizer and its configs.
        texts: what shall be tokenized as before.

    Raises:
        InputError: the tokenizer is of another kind, or does not belong to the model; or as
            `mt.loading.as_data` and `pretrained`.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_weights(source)
    with as_data(source):
        tokenizer = AutoTokenizer.from_pretrained(source, **SAFE)
        definition = read_definition(tokenizer, source)
        model = pretrained(AutoModelForCausalLM, source, (), dtype="auto")
        check_finite(source, model.named_parameters())
    before = model.get_input_embeddings().weight.shape[0]
    if before < len(tokenizer):
        raise InputError(f"{source}: {len(tokenizer)} tokens but {before} embedding rows; give a matching tokenizer")
    required = named_ids(tokenizer, model, source)
    kept = kept_ids(definition, used_ids(tokenizer.backend_tokenizer, texts), required)
    out.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, cut_definition(definition, kept), out)
    cut_model(model, kept)
    # One file, whatever its size: the name of the weights is the digest of model.safetensors.
    model.save_pretrained(out, max_shard_size="1000GB")
    return Sizes(before, len(kept))


def read_definition(tokenizer: Any, source: Path) -> Definition:
    """Take tokenizer.json's content from a tokenizer, held to what can be trimmed.

    Raises:
        InputError: it is no plain byte-pair encoding of the `tokenizers` library.
    """
    mend = "set base.vocabulary to full, or take a model with a byte-pair encoding"
    if not tokenizer.is_fast:
        raise InputError(f"{source}: its tokenizer has no tokenizer.json; {mend}")
    definition: Definition = json.loads(tokenizer.backend_tokenizer.to_str())
    model = definition["model"]
    if model["type"] != "BPE":
        raise InputError(f"{source}/tokenizer.json: its model is {model['type']}, not BPE; {mend}")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model[key]:
            raise InputError(f"{source}/tokenizer.json: its model sets {key}; {mend}")
    return definition


def used_ids(tokenizer: Any, texts: Iterable[str]) -> set[int]:
    """The ids that a `tokenizers.Tokenizer` gives the texts, without what it puts around them."""
    used: set[int] = set()
    remaining = iter(texts)
    while chunk := list(islice(remaining, CHUNK)):
        for encoding in tokenizer.encode_batch_fast(chunk, add_special_tokens=False):
            used.update(encoding.ids)
    return used


def named_ids(tokenizer: Any, model: Any, source: Path) -> set[int]:
    """The ids that have a task: the tokenizer's own, what it puts around texts, and those of both configs.

    Raises:
        InputError: the generation config lists ids in a way that cannot be renumbered.
    """
    backend = tokenizer.backend_tokenizer
    named = {*tokenizer.all_special_ids, *backend.encode("").ids, *backend.encode("", "").ids}
    for config in _configs(model):
        for value in _token_ids(config).values():
            named.update(value if isinstance(value, list) else [value])
    for key in ID_LISTS:
        if getattr(model.generation_config, key, None):
            raise InputError(f"{source}/generation_config.json: {key} cannot be trimmed; take the key out")
    return {index for index in named if 0 <= index < len(tokenizer)}


def kept_ids(definition: Definition, used: set[int], required: set[int]) -> list[int]:
    """Choose the rows to keep, in ascending order.

    Those are: the used and the required ones; all pieces on the merge path of a used piece, its characters among them;
    all bytes (every piece of one character where the encoding has no byte fallback); and the added tokens that are no
    placeholder.
    """
    model = definition["model"]
    vocabulary: dict[str, int] = model["vocab"]
    added = {token["id"]: token["content"] for token in definition["added_tokens"]}
    bytes_of_text = {f"<0x{byte:02X}>" for byte in range(256)} if model["byte_fallback"] else set()
    ranks = {(left, right): rank for rank, (left, right) in enumerate(model["merges"])}
    kept = used | required | {index for index, token in added.items() if not RESERVED.fullmatch(token)}
    for piece, index in vocabulary.items():
        if piece in bytes_of_text or (not model["byte_fallback"] and len(piece) == 1) or piece == model["unk_token"]:
            kept.add(index)
        elif index in used and index not in added:
            kept.update(vocabulary[part] for part in merge_path(piece, ranks) if part in vocabulary)
    return sorted(kept)


def merge_path(piece: str, ranks: Mapping[tuple[str, str], int]) -> set[str]:
    """The characters of `piece` and all that is joined on the way from them to it.

    Args:
        piece: a piece of a byte-pair encoding.
        ranks: (left, right) → place of the merge; the lowest is joined first, at its leftmost place.
    """
    parts = list(piece)
    path = set(parts)
    while len(parts) > 1:
        rank, place = min((ranks.get(pair, len(ranks)), i) for i, pair in enumerate(pairwise(parts)))
        if rank == len(ranks):
            break
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
        path.add(parts[place])
    return path


def cut_definition(definition: Definition, kept: list[int]) -> Definition:
    """Renumber tokenizer.json's content: row `kept[i]` gets the id `i`, and what is not kept is gone."""
    new = {old: index for index, old in enumerate(kept)}
    model = definition["model"]
    vocabulary = {piece: new[index] for piece, index in model["vocab"].items() if index in new}
    merges = [pair for pair in model["merges"] if {*pair, "".join(pair)} <= vocabulary.keys()]
    return {
        **definition,
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {**token, "id": new[token["id"]]} for token in definition["added_tokens"] if token["id"] in new
        ],
        "post_processor": _renumbered(definition["post_processor"], new),
        "model": {**model, "vocab": vocabulary, "merges": merges},
    }


def save_tokenizer(tokenizer: Any, definition: Definition, out: Path) -> None:
    """Write `definition` in Hugging Face form, with the settings of `tokenizer`."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    cut = Tokenizer.from_str(json.dumps(definition, ensure_ascii=False))
    wrong = [t["content"] for t in definition["added_tokens"] if cut.token_to_id(t["content"]) != t["id"]]
    if wrong:
        raise RuntimeError(f"the tokenizers library renumbered the added tokens {wrong[:5]}")
    PreTrainedTokenizerFast(
        tokenizer_object=cut,
        chat_template=tokenizer.chat_template,
        clean_up_tokenization_spaces=tokenizer.clean_up_tokenization_spaces,
        model_input_names=tokenizer.model_input_names,
        model_max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        split_special_tokens=tokenizer.split_special_tokens,
        truncation_side=tokenizer.truncation_side,
        **tokenizer.special_tokens_map,
    ).save_pretrained(out)


def cut_model(model: Any, kept: list[int]) -> None:
    """Keep the rows `kept` of the input and the output embedding, tied or not, and renumber the configs' token ids."""
    import torch

    entry, exit_ = model.get_input_embeddings(), model.get_output_embeddings()
    tied = exit_.weight is entry.weight
    rows = torch.tensor(kept)

    def cut(values: Any) -> Any:
        return torch.nn.Parameter(values.detach()[rows].clone())

    entry.weight = cut(entry.weight)
    entry.num_embeddings = exit_.out_features = len(kept)
    exit_.weight = entry.weight if tied else cut(exit_.weight)
    if exit_.bias is not None:
        exit_.bias = cut(exit_.bias)
    new = {old: index for index, old in enumerate(kept)}
    for config in _configs(model):
        for key, value in _token_ids(config).items():
            setattr(config, key, [new[index] for index in value] if isinstance(value, list) else new.get(value))
    model.config.get_text_config().vocab_size = len(kept)


def _configs(model: Any) -> list[Any]:
    text = model.config.get_text_config()
    return [model.config, *([] if text is model.config else [text]), model.generation_config]


def _token_ids(config: Any) -> dict[str, int | list[int]]:
    return {key: value for key, value in vars(config).items() if key.endswith("_token_id") and value is not None}


def _renumbered(processor: Any, new: Mapping[int, int]) -> Any:
    if processor is None:
        return None
    changed = dict(processor)
    for part in ("sep", "cls"):
        if part in changed:
            token, index = changed[part]
            changed[part] = [token, new[index]]
    if "processors" in changed:
        changed["processors"] = [_renumbered(inner, new) for inner in changed["processors"]]
    if "special_tokens" in changed:
        changed["special_tokens"] = {
            name: {**token, "ids": [new[index] for index in token["ids"]]}
            for name, token in changed["special_tokens"].items()
        }
    return changed
