"""Which files of a repository on the model hub make a model that transformers loads; weights are safetensors alone."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import read_json
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
MODULES = "modules.json"
SENTENCE_CONFIG = "sentence_bert_config.json"
"""These two are of sentence-transformers: what comes after the transformer, and how many tokens it reads."""
DENSE = "Dense"


def fetch_model(repo: str, revision: str, out: Path) -> dict[str, str]:
    """Put a causal, sequence-to-sequence or encoder model in Hugging Face form into the folder `out`.

    Returns:
        path → SHA-256 of every file.

    Raises:
        InputError: as `mt.hub.snapshot`; or a part is missing, the weights are pickles, or the model brings code.
    """
    first = (CONFIG, "generation_config.json", *TOKENIZER, INDEX, MODULES, SENTENCE_CONFIG)
    files = snapshot(repo, revision, first, out)
    check_form(repo, revision, files, out)
    weights = _shards(repo, out) if INDEX in files else [WEIGHTS]
    extras = []
    if MODULES in files:
        for path, kind in _modules(repo, out):
            extras.append(f"{path}/{CONFIG}")
            weights += [f"{path}/{WEIGHTS}"] if kind == DENSE else []
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
        config = read_json(folder / name) if name in files else {}
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
    index = read_json(folder / INDEX)
    named = index.get("weight_map") if isinstance(index, dict) else None
    names = sorted(set(named.values())) if isinstance(named, dict) else []
    if not names or not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors", name) for name in names):
        raise InputError(f"{repo}: {INDEX} does not map weights to files of safetensors; pin another revision")
    return names


def _modules(repo: str, folder: Path) -> Collection[tuple[str, str]]:
    """Path and kind of each of sentence-transformers' modules that stands in a folder of its own."""
    found = []
    for module in read_json(folder / MODULES):
        path, kind = module["path"], module["type"].rsplit(".", 1)[-1]
        if path and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", path):
            raise InputError(f"{repo}: {MODULES} names the folder {path!r}; pin another revision")
        if path:
            found.append((path, kind))
    return found
