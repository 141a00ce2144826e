"""The language model: its weights, its tokenizer, and the mean log-probability that it gives a text."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mt.errors import InputError
from mt.files import digest_of, digests, read_object
from mt.loading import ADAPTER, SAFE, as_data, check_finite, check_names, check_weights, pretrained
from mt.memory import Memory
from mt.processes import device
from mt.recall import recalled_numbers

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bf32", "bfloat16", "float16"]
"""A type of torch, or see mt/bf32.py."""

BLOCK_BYTES = 1 << 20
DIGITS = 12
PLACES = 1024
"""So many log-probabilities are computed at once, or those of one text: over a vocabulary of 260,000, in 1 GB."""
ADAPTED = (ADAPTER, "adapter_model.safetensors")
"""Without the second, peft would open a pickle, or look for one on the hub."""


def load_base(base: Path, precision: Precision, quantization: Any = None) -> tuple[Any, Any]:
    """Load a causal language model, frozen, and its tokenizer, on this process's GPU where there is one.

    Args:
        base: a folder in Hugging Face form with weights in safetensors; nothing is fetched, and none of its code runs.
        precision: the type of the weights; with bf32, float32 but for the linear layers, see mt/bf32.py.
        quantization: how linear layers are held instead, as transformers' `quantization_config`; None for no other way.

    Raises:
        InputError: as `check_weights`, `as_data` and `pretrained`, or the tokenizer does not pad with a token of its
            own, so that padding would hide ends.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from mt.bf32 import hastened

    check_weights(base)
    place = device()
    with as_data(base):
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left", **SAFE)
        _check_padding(tokenizer, base)
        model = pretrained(
            AutoModelForCausalLM,
            base,
            (),
            dtype=held(precision),
            quantization_config=quantization,
            device_map={"": place} if quantization or place.type != "cpu" else None,
        )
    return hastened(model.eval().requires_grad_(False), precision), tokenizer


def held(precision: Precision) -> "torch.dtype":
    """The type in which weights are read."""
    import torch

    kind: torch.dtype = getattr(torch, "float32" if precision == "bf32" else precision)
    return kind


def computed(precision: Precision) -> Precision:
    """The precision that it comes to on this machine."""
    from mt.bf32 import available

    return "float32" if precision == "bf32" and not available() else precision


def _check_padding(tokenizer: Any, base: Path) -> None:
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise InputError(f"{base}/tokenizer_config.json: needs a pad_token other than the eos_token; name one there")


def load_adapted(base: Path, adapter: Path, precision: Precision) -> tuple[Any, Any]:
    """Load the base model with a LoRA adapter merged into its weights, ready to decode.

    Raises:
        InputError: as `load_base`, or the folder holds no adapter in safetensors, or one of another kind or model.
    """
    from peft import PeftModel

    from mt.bf32 import hastened

    if not all((adapter / name).is_file() for name in ADAPTED):
        raise InputError(f"{adapter}: holds no adapter; run `dvc repro finetune@{adapter.name}` to make it")
    model, tokenizer = load_base(base, "float32" if precision == "bf32" else precision)  # or it would round twice
    output = model.get_output_embeddings()  # before peft may put a layer of its own around it
    with as_data(adapter):
        _check_lora(adapter / ADAPTER)
        adapted = PeftModel.from_pretrained(model, adapter, local_files_only=True)
        _check_adapter(adapted, adapter)
        try:
            _merge(adapted, precision, output)
        except ValueError as error:
            mend = "write another precision in params.yaml, or train with a lower learning_rate"
            raise InputError(
                f"{adapter}: a weight is no finite number in {precision} once it is merged; {mend}"
            ) from error
        return hastened(adapted.unload().eval(), precision), tokenizer


def _merge(adapted: Any, precision: Precision, output: Any) -> None:
    """Merge an adapter layer by layer, into copies, as adding to a file's own weights would copy them 4 KB at a time.

    Where bf32 rounds, each layer is rounded at once, so that there is never more than one such copy in float32.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    from mt.bf32 import multiply_in_bf32

    for layer in adapted.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.merge(safe_merge=True)
            if precision == "bf32":
                multiply_in_bf32(layer.get_base_layer(), output)


def _check_lora(file: Path) -> None:
    config = read_object(file)
    again = "remove the adapter's folder and run `dvc repro`"
    if config.get("peft_type") != "LORA":
        raise InputError(f"{file}: peft_type is not LORA; {again}")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
        raise InputError(f"{file}: lora_alpha is no number above 0; {again}")


def _check_adapter(adapted: Any, adapter: Path) -> None:
    """Hold the file's weights to those that the adapted model has; peft would leave the others as they begin."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import load_file

    stored = load_file(adapter / ADAPTED[1])
    wanted = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    known = {**adapted.state_dict(), **wanted}  # embeddings may stand in the file too
    shapes = {name for name in stored.keys() & known.keys() if stored[name].shape != known[name].shape}
    check_names(adapter, wanted.keys() - stored.keys(), stored.keys() - known.keys(), shapes)
    check_finite(adapter, stored.items())


def revision(base: Path, adapter: Path | None) -> str:
    """Name the exact weights, base and adapter, by `digest`."""
    return f"base:{digest(base)}" + (f" adapter:{digest(adapter)}" if adapter else "")


def identity(base: Path, adapter: Path | None, precision: Precision) -> dict[str, Any]:
    """All of a model that a translation follows from: the SHA-256 of every file, and the precision."""
    folders = {"base": base} | ({"adapter": adapter} if adapter else {})
    return {
        "revision": revision(base, adapter),
        "precision": computed(precision),
        "files": {name: digests(folder) for name, folder in folders.items()},
    }


def digest(folder: Path) -> str:
    """The first twelve digits of the SHA-256 of a folder's weights; several files count as one, in the order of names.

    Raises:
        InputError: the folder holds no weights.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: holds no weights in safetensors; run `dvc repro` to make them")
    if len(files) == 1:
        return digest_of(files[0])[:DIGITS]
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                whole.update(block)
    return whole.hexdigest()[:DIGITS]


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


@contextmanager
def head_reads(model: Any, places: "torch.Tensor") -> Iterator[None]:
    """Let a model compute logits only where `places`, [rows, tokens], is true: they are [places, vocabulary].

    The vocabulary is most of a small multilingual model, so logits that nobody looks at would be most of the time.
    """
    handle = model.get_output_embeddings().register_forward_pre_hook(lambda _, given: (given[0][places],))
    try:
        yield
    finally:
        handle.remove()


def mean_logprobs(
    model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]], batch_tokens: int, memory: Memory | None
) -> list[float]:
    """Mean natural log-probability per token of each continuation after its prompt.

    Under a launcher the processes share the batches, and each gets all values.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        pairs: (prompt, continuation); the continuation holds at least its line end.
        batch_tokens: at most so many tokens in a batch, padding included.
        memory: see `mt.recall.recalled`.
    """
    import torch

    rows = [split_ids(tokenizer, prompt, continuation) for prompt, continuation in pairs]
    lengths = [len(prompt) + len(continuation) for prompt, continuation in rows]

    def score(batch: list[int]) -> list[float]:
        rows_at_once = max(1, PLACES // max(len(rows[i][1]) for i in batch))
        parts = (batch[at : at + rows_at_once] for at in range(0, len(batch), rows_at_once))
        return [value for part in parts for value in read(part)]

    def read(batch: list[int]) -> list[float]:
        ids = pad_left([rows[i][0] + rows[i][1] for i in batch], tokenizer.pad_token_id).to(model.device)
        mask = pad_left([[1] * lengths[i] for i in batch], 0).to(model.device)
        sizes = [len(rows[i][1]) for i in batch]
        places = pad_left([[1] * size + [0] for size in sizes], 0).bool().to(model.device)
        places = torch.nn.functional.pad(places, (ids.shape[1] - places.shape[1], 0))
        with torch.inference_mode(), head_reads(model, places):
            logits = model(input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False).logits
        targets = ids[:, 1:][places[:, :-1]]
        found = logits.float().log_softmax(-1).gather(-1, targets[:, None])[:, 0]
        return [float(row.mean()) for row in torch.split(found, sizes)]

    return recalled_numbers(memory, ["\0".join(pair) for pair in pairs], lengths, batch_tokens, score)
