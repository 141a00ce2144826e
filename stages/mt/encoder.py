"""Sentence vectors for semantic similarity across languages, by multilingual e5, LaBSE and their like."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mt.errors import InputError
from mt.files import read_json, read_object
from mt.loading import SAFE, as_data, check_weights, pretrained
from mt.processes import device

Reading = Literal["float32", "bf32"]
"""The precision in which an encoder reads, see mt/bf32.py."""

MODULES = "modules.json"
LIMITS = "sentence_bert_config.json"
"""These two are of sentence-transformers: what comes after the transformer, and how many tokens it reads."""
_FOLDER = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)?")
ORDERS = (["Pooling"], ["Pooling", "Normalize"], ["Pooling", "Dense"], ["Pooling", "Dense", "Normalize"])
"""What may follow the transformer in a model of sentence-transformers; vectors are normalized in any case."""
POOLINGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
ACTIVATIONS = {"torch.nn.modules.activation.Tanh": "Tanh", "torch.nn.modules.linear.Identity": "Identity"}
HEADS = ("pooler", "cls", "lm_head")
"""What a checkpoint of an encoder may hold besides: the parts that it was trained with."""
MEND = "take another encoder in models.encoder"


@dataclass(frozen=True)
class Layout:
    """What makes a vector of the transformer's last hidden states."""

    pooling: str
    """`mean` over all tokens, or `cls`: the first."""
    dense: Path | None
    """The folder of a linear layer that comes next."""
    max_tokens: int | None
    """How many tokens of a text are read, where it is not the tokenizer that says it."""


def read_layout(folder: Path) -> Layout:
    """Read what sentence-transformers' files say; without them, as for multilingual e5, it is the mean.

    Raises:
        InputError: they ask for what is not done here.
    """
    if not (folder / MODULES).is_file():
        return Layout("mean", None, None)
    modules = read_modules(folder)
    kinds = [kind for kind, _ in modules]
    if kinds[:1] != ["Transformer"] or modules[0][1] or kinds[1:] not in ORDERS:
        raise InputError(
            f"{folder}/{MODULES}: {' > '.join(kinds)} is not Transformer > Pooling > Dense > Normalize, "
            f"the last two of which may be missing; {MEND}"
        )
    places = {kind: folder / path for kind, path in modules}
    limits = folder / LIMITS
    settings = read_object(limits) if limits.is_file() else {}
    if settings.get("do_lower_case"):
        raise InputError(f"{limits}: do_lower_case is not done here; {MEND}")
    most = settings.get("max_seq_length")
    if most is not None and (not isinstance(most, int) or most < 1):
        raise InputError(f"{limits}: max_seq_length is no number of tokens; {MEND}")
    return Layout(_pooling(places["Pooling"]), places.get("Dense"), most)


def read_modules(folder: Path) -> list[tuple[str, str]]:
    """Kind and folder (empty: `folder` itself) of each of sentence-transformers' modules, in their order.

    Raises:
        InputError: modules.json does not say them, or a folder stands elsewhere.
    """
    found = []
    listed = read_json(folder / MODULES)
    for module in listed if isinstance(listed, list) else [listed]:
        match module:
            case {"type": str(kind), "path": str(path)} if _FOLDER.fullmatch(path):
                found.append((kind.rsplit(".", 1)[-1], path))
            case _:
                raise InputError(f"{folder / MODULES}: does not list modules, each with a type and a folder; {MEND}")
    return found


class Encoder:
    """A sentence encoder: pooled last hidden states, perhaps through a linear layer, scaled to length 1.

    multilingual e5 (Wang et al. 2024) takes the mean; for texts that are compared with each other, rather than
    searched, its authors put "query: " before both sides. LaBSE (Feng et al. 2022) takes the first token, goes through
    a linear layer and tanh, and puts nothing before.
    """

    def __init__(self, folder: Path, prefix: str, precision: Reading) -> None:
        """Load model and tokenizer from a Hugging Face folder, on the GPU where there is one; no network is asked.

        Args:
            folder: with sentence-transformers' modules.json or without.
            prefix: put before every text.
            precision: the one to compute in; the weights are read in float32.

        Raises:
            InputError: there is no model in `folder`, it has parts that are not known here, or as `mt.loading.as_data`
                and `pretrained`.
        """
        from transformers import AutoModel, AutoTokenizer

        from mt.bf32 import hastened

        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: holds no model; run `dvc repro` to make it")
        self._prefix = prefix
        self._device = device()
        check_weights(folder)
        with as_data(folder):
            self._layout = read_layout(folder)
            # transformers 4.57 takes every local tokenizer for one of Mistral's, and warns, unless it is told.
            self._tokenizer = AutoTokenizer.from_pretrained(folder, fix_mistral_regex=False, **SAFE)
            model = pretrained(AutoModel, folder, HEADS, add_pooling_layer=False)
        self._model = hastened(model.eval().requires_grad_(False), precision).to(self._device)
        self._dense = _dense(self._layout.dense).to(self._device) if self._layout.dense else None
        self._width = self._dense[0].out_features if self._dense else model.config.hidden_size

    def embed(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        """Give each text's vector, in the order of `texts`.

        Args:
            texts: any text; what is past the model's maximum of tokens is left out.
            batch_size: texts a batch; batches are of like length.

        Returns:
            Shape [texts, units], float32, rows of length 1, so that a dot product is a cosine.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        padding = self._tokenizer.pad_token_id
        vectors = np.zeros((len(texts), self._width), np.float32)
        prefixed = [self._prefix + text for text in texts]
        most = self._layout.max_tokens
        ids = self._tokenizer(prefixed, truncation=True, max_length=most).input_ids if texts else []
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = pad_sequence([torch.tensor(ids[i]) for i in rows], batch_first=True, padding_value=padding)
            batch = batch.to(self._device)
            mask = batch != padding
            with torch.inference_mode():
                hidden = self._model(batch, attention_mask=mask.long()).last_hidden_state
                pooled = self._pool(hidden, mask.unsqueeze(-1))
            vectors[rows] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        return vectors

    def _pool(self, hidden: Any, mask: Any) -> Any:
        """From [texts, tokens, units] to [texts, units]."""
        pooled = hidden[:, 0] if self._layout.pooling == "cls" else (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return self._dense(pooled) if self._dense else pooled


def _pooling(folder: Path) -> str:
    config = read_object(folder / "config.json")
    modes = [key for key, value in config.items() if key.startswith("pooling_mode") and value is not False]
    if len(modes) != 1 or modes[0] not in POOLINGS or config.get("include_prompt") is False:
        asked = ", ".join(modes) or "none"
        raise InputError(f"{folder}/config.json: the pooling ({asked}) is neither cls nor mean of all tokens; {MEND}")
    return POOLINGS[modes[0]]


def _dense(folder: Path) -> Any:
    import torch
    from safetensors.torch import load_file

    config = read_object(folder / "config.json")
    activation = ACTIVATIONS.get(str(config.get("activation_function")))
    if activation is None:
        known = ", ".join(ACTIVATIONS)
        raise InputError(f"{folder}/config.json: activation_function is none of {known}; {MEND}")
    check_weights(folder)
    with as_data(folder):
        weights = load_file(folder / "model.safetensors")
    state = {name.removeprefix("linear."): weight for name, weight in weights.items()}
    sizes, bias = [config.get("out_features"), config.get("in_features")], bool(config.get("bias"))
    shapes = {"weight": sizes} | ({"bias": sizes[:1]} if bias else {})
    if {name: list(weight.shape) for name, weight in state.items()} != shapes:
        raise InputError(f"{folder}: its weights are not those of the layer that config.json states; {MEND}")
    n_out, n_in = state["weight"].shape
    layer = torch.nn.Linear(n_in, n_out, bias=bias)
    layer.load_state_dict(state)
    return torch.nn.Sequential(layer, getattr(torch.nn, activation)()).eval()
