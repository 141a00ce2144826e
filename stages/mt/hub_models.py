"""Which files of a repository on the model hub make a model that transformers loads; weights are safetensors alone."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mt.encoder import LIMITS, MODULES, read_modules
from mt.errors import InputError
from mt.files import read_object
from mt.hub import absent, complete, snapshot

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER = (
    TOKENIZER_CONFIG,
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "vocab*",
    "*.model",
    "*.spm",
)
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
DENSE = "Dense"
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")


def fetch_model(repo: str, revision: str, out: Path) -> dict[str, str]:
    """Put a causal, sequence-to-sequence or encoder model in Hugging Face form into the folder `out`.

    Returns:
        path → SHA-256 of every file.

    Raises:
        InputError: as `mt.hub.snapshot`; or a part is missing, the weights are pickles, or the model brings code.
    """
    first = (CONFIG, "generation_config.json", *TOKENIZER, INDEX, MODULES, LIMITS)
    files = snapshot(repo, revision, first, out)
    check_form(repo, revision, files, out)
    weights = _shards(repo, out) if INDEX in files else [WEIGHTS]
    extras = []
    if MODULES in files:
        for kind, path in read_modules(out):
            extras += [f"{path}/{CONFIG}"] if path else []
            weights += [f"{path}/{WEIGHTS}"] if path and kind == DENSE else []
    files |= snapshot(repo, revision, [*weights, *extras], out)
    for name in weights:
        if name not in files:
            mend = (
                "pickled weights are not opened, so pin a revision with safetensors, such as the commit of a pull "
                "request that converts them"
            )
            raise absent(repo, revision, name, mend)
    complete(repo, revision)
    return dict(sorted(files.items()))


def check_form(repo: str, revision: str, files: Mapping[str, str], folder: Path) -> None:
    """Hold the files that came to a configuration and a tokenizer.

    Raises:
        InputError: one is missing, or needs code of the repository's own.
    """
    if CONFIG not in files:
        raise absent(repo, revision, CONFIG, "name a repository of a model in Hugging Face form")
    if not any(_is_vocabulary(name) for name in files):
        raise absent(repo, revision, "tokenizer", "name a repository that holds the model's tokenizer too")
    for name, known in ((CONFIG, _is_known_model), (TOKENIZER_CONFIG, _is_known_tokenizer)):
        config = read_object(folder / name) if name in files else {}
        if "auto_map" in config and not known(config):
            raise InputError(
                f"{repo}: {name} has auto_map, which means code from the repository, and such code is never run; "
                "take a model that transformers knows by itself"
            )


def _is_known_model(config: Mapping[str, Any]) -> bool:
    from transformers import CONFIG_MAPPING

    return config.get("model_type") in CONFIG_MAPPING


def _is_known_tokenizer(config: Mapping[str, Any]) -> bool:
    import transformers

    name = config.get("tokenizer_class")
    return isinstance(name, str) and hasattr(transformers, name)


def _is_vocabulary(name: str) -> bool:
    return name == "tokenizer.json" or name.startswith("vocab") or name.endswith((".model", ".spm"))


def _shards(repo: str, folder: Path) -> list[str]:
    named = read_object(folder / INDEX).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    if not names or not all(isinstance(name, str) and _SHARD.fullmatch(name) for name in names):
        raise InputError(f"{repo}: {INDEX} does not map weights to files of safetensors; pin another revision")
    return sorted(set(names))
