"""The language model: its weights, its tokenizer, and the mean log-probability that it gives a text."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mt.errors import InputError
from mt.processes import device, share

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16", "float16"]

BLOCK_BYTES = 1 << 20


def load_base(base: Path, precision: Precision, quantization: Any = None) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer, on this process's GPU where there is one.

    Args:
        base: a folder in Hugging Face form with weights in safetensors; nothing is fetched, and none of its code runs.
        precision: the type of the weights.
        quantization: how linear layers are held instead, as transformers' `quantization_config`; None for no other way.

    Raises:
        InputError: the weights are not in safetensors, the model needs code of its own, or its tokenizer does not pad
            with a token of its own, so that padding would hide ends.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not any(base.glob("*.safetensors")):
        raise InputError(f"{base}: holds no weights in safetensors; name a model or a revision that has them")
    place = device()
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left", **safe)
        _check_padding(tokenizer, base)
        model = AutoModelForCausalLM.from_pretrained(
            base,
            use_safetensors=True,
            dtype=getattr(torch, precision),
            quantization_config=quantization,
            device_map={"": place} if quantization or place.type != "cpu" else None,
            **safe,
        )
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise InputError(f"{base}: needs code of its own, which never runs here; name another model") from error
    return model.eval(), tokenizer


def _check_padding(tokenizer: Any, base: Path) -> None:
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise InputError(f"{base}/tokenizer_config.json: needs a pad_token other than the eos_token; name one there")


def load_adapted(base: Path, adapter: Path, precision: Precision) -> tuple[Any, Any]:
    """Load the base model with a LoRA adapter merged into its weights, ready to decode.

    Raises:
        InputError: the folder holds no adapter.
    """
    from peft import PeftModel

    if not (adapter / "adapter_config.json").is_file():
        raise InputError(f"{adapter}: holds no adapter; run `dvc repro finetune@{adapter.name}` to make it")
    model, tokenizer = load_base(base, precision)
    return PeftModel.from_pretrained(model, adapter, local_files_only=True).merge_and_unload().eval(), tokenizer


def revision(base: Path, adapter: Path | None) -> str:
    """Name the exact weights, base and adapter, by `digest`."""
    return f"base:{digest(base)}" + (f" adapter:{digest(adapter)}" if adapter else "")


def digest(folder: Path) -> str:
    """The first twelve digits of the SHA-256 of a folder's weights; several files count as one, in the order of names.

    Raises:
        InputError: the folder holds no weights.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: holds no weights in safetensors; run `dvc repro` to make them")
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                whole.update(block)
    return whole.hexdigest()[:12]


def line_ends(tokenizer: Any) -> list[int]:
    """The ids of all tokens that end a line: end of sequence, and every piece that holds a line break."""
    breaks = [i for i in range(len(tokenizer)) if "\n" in tokenizer.decode([i])]
    return [tokenizer.eos_token_id, *breaks]


def split_ids(tokenizer: Any, prompt: str, continuation: str) -> tuple[list[int], list[int]]:
    """The ids of a prompt, and of what follows it, as they stand in the whole text.

    Alone, a text may get another beginning: Llama's tokenizer puts a piece before each. Only where the whole text does
    not begin with the prompt's ids is the continuation taken alone.
    """
    head: list[int] = tokenizer(prompt).input_ids
    whole: list[int] = tokenizer(prompt + continuation).input_ids
    if whole[: len(head)] == head:
        return head, whole[len(head) :]
    return head, tokenizer(continuation, add_special_tokens=False).input_ids


def pad_left(rows: Sequence[Sequence[int]], fill: int) -> "torch.Tensor":
    """Stack rows of ids that end together: [rows, longest], `fill` in front of the shorter ones."""
    import torch

    longest = max(map(len, rows))
    return torch.tensor([[fill] * (longest - len(row)) + list(row) for row in rows], dtype=torch.long)


def positions(mask: "torch.Tensor") -> "torch.Tensor":
    """Position ids [rows, length] that count only what `mask` (1 for text, 0 for padding) shows."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def mean_logprobs(model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]], batch_tokens: int) -> list[float]:
    """Mean natural log-probability per token of each continuation after its prompt.

    Under a launcher the processes share the batches, and each gets all values.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        pairs: (prompt, continuation); the continuation holds at least its line end.
        batch_tokens: at most so many tokens in a batch, padding included.
    """
    import torch

    rows = [split_ids(tokenizer, prompt, continuation) for prompt, continuation in pairs]
    lengths = [len(prompt) + len(continuation) for prompt, continuation in rows]

    def score(batch: list[int]) -> list[float]:
        ids = pad_left([rows[i][0] + rows[i][1] for i in batch], tokenizer.pad_token_id).to(model.device)
        mask = pad_left([[1] * lengths[i] for i in batch], 0).to(model.device)
        keep = max(len(rows[i][1]) for i in batch) + 1
        with torch.inference_mode():
            logits = model(
                input_ids=ids, attention_mask=mask, position_ids=positions(mask), logits_to_keep=keep, use_cache=False
            ).logits
        spread = logits[:, :-1].float().log_softmax(-1).gather(-1, ids[:, -keep + 1 :, None])[..., 0]
        return [float(row[-len(rows[i][1]) :].mean()) for row, i in zip(spread, batch, strict=True)]

    grouped = batches(lengths, batch_tokens)
    found = [0.0] * len(rows)
    for batch, values in zip(grouped, share(grouped, score), strict=True):
        for i, value in zip(batch, values, strict=True):
            found[i] = value
    return found


def batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Group row numbers by length, the longest first, so that rows × longest row stays within `batch_tokens`.

    A row that is longer than the budget stands alone. Each row number comes exactly once.
    """
    grouped: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if grouped and (len(grouped[-1]) + 1) * lengths[grouped[-1][0]] <= batch_tokens:
            grouped[-1].append(i)
        else:
            grouped.append([i])
    return grouped
