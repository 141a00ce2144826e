"""The language model: its weights, its tokenizer, and the mean log-probability that it gives a text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mt.errors import InputError
from mt.files import sha256

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16", "float16"]


def load_base(base: Path, precision: Precision) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer, on the GPU where there is one.

    Args:
        base: a folder in Hugging Face form; nothing is fetched.
        precision: the type of the weights.

    Raises:
        InputError: the tokenizer pads with its end-of-sequence token, so that padding would hide ends.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, padding_side="left")
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise InputError(f"{base}/tokenizer_config.json: needs a pad_token other than the eos_token; name one there")
    model = AutoModelForCausalLM.from_pretrained(base, local_files_only=True, dtype=getattr(torch, precision))
    return model.to(device).eval(), tokenizer


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
    """Name the exact weights: the first twelve digits of their SHA-256, base and adapter."""
    named = "base:" + sha256(base / "model.safetensors")[:12]
    if adapter:
        named += " adapter:" + sha256(adapter / "adapter_model.safetensors")[:12]
    return named


def line_ends(tokenizer: Any) -> list[int]:
    """The ids of all tokens that end a line: end of sequence, and every piece that holds a line break."""
    breaks = [i for i in range(len(tokenizer)) if "\n" in tokenizer.decode([i])]
    return [tokenizer.eos_token_id, *breaks]


def pad_left(rows: Sequence[Sequence[int]], fill: int) -> "torch.Tensor":
    """Stack rows of ids that end together: [rows, longest], `fill` in front of the shorter ones."""
    import torch

    longest = max(map(len, rows))
    return torch.tensor([[fill] * (longest - len(row)) + list(row) for row in rows])


def positions(mask: "torch.Tensor") -> "torch.Tensor":
    """Position ids [rows, length] that count only what `mask` (1 for text, 0 for padding) shows."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def mean_logprobs(model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]], batch_tokens: int) -> list[float]:
    """Mean natural log-probability per token of each continuation after its prompt.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        pairs: (prompt, continuation); the continuation holds at least its line end.
        batch_tokens: at most so many tokens in a batch, padding included.
    """
    import torch

    rows = [(tokenizer(p).input_ids, tokenizer(c, add_special_tokens=False).input_ids) for p, c in pairs]
    found = [0.0] * len(rows)
    lengths = [len(prompt) + len(continuation) for prompt, continuation in rows]
    for batch in batches(lengths, batch_tokens):
        ids = pad_left([rows[i][0] + rows[i][1] for i in batch], tokenizer.pad_token_id).to(model.device)
        mask = pad_left([[1] * lengths[i] for i in batch], 0).to(model.device)
        keep = max(len(rows[i][1]) for i in batch) + 1
        with torch.inference_mode():
            logits = model(
                input_ids=ids, attention_mask=mask, position_ids=positions(mask), logits_to_keep=keep, use_cache=False
            ).logits
        spread = logits[:, :-1].float().log_softmax(-1).gather(-1, ids[:, -keep + 1 :, None])[..., 0]
        for row, i in zip(spread, batch, strict=True):
            found[i] = float(row[-len(rows[i][1]) :].mean())
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
