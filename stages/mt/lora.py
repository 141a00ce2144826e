"""LoRA (Hu et al. 2021) through peft, on a frozen model that four bits may hold (QLoRA, Dettmers et al. 2023)."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mt.errors import InputError
from mt.files import read_json, write_json
from mt.lm import Precision, held, load_base

Weights = Literal["float32", "bfloat16", "float16", "nf4"]


@dataclass(frozen=True)
class Lora:
    """The names are those of peft's LoraConfig, `rank` its r (https://huggingface.co/docs/peft/package_reference/lora)."""

    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    rslora: bool
    dora: bool

    def __post_init__(self) -> None:
        for name in ("rank", "alpha"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
        if not self.target_modules:
            raise ValueError("target_modules is empty; name the linear layers to adapt, such as q_proj")


def load_frozen(base: Path, weights: Weights, precision: Precision) -> tuple[Any, Any]:
    """Load a base model to put an adapter on, and its tokenizer.

    Args:
        base: its folder.
        weights: the type in which its weights are held; with nf4, layers other than the linear ones are in float32.
        precision: the type in which a layer computes whose weights are held in nf4.

    Raises:
        InputError: as `load_base`, or nf4 is asked for without bitsandbytes.
    """
    if weights != "nf4":
        return load_base(base, weights)
    from peft import prepare_model_for_kbit_training
    from transformers import BitsAndBytesConfig

    _check_bitsandbytes()
    four_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=held(precision),
    )
    model, tokenizer = load_base(base, precision, four_bits)
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False), tokenizer


def _check_bitsandbytes() -> None:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        mend = "run pip install '.[qlora]', or write bfloat16"
        raise InputError(f"params.yaml: weights: nf4 needs bitsandbytes; {mend}") from error


def adapt(model: Any, lora: Lora) -> Any:
    """Put a fresh LoRA adapter on the model; its weights are float32, whatever those of the model are.

    Raises:
        InputError: a target module is not in the model.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from mt.layers import exchange
    from mt.lora_linear import LoraLinear
    from mt.rms_norm import RmsNorm
    from mt.rotary import Attention

    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if unknown := sorted(set(lora.target_modules) - names):
        raise InputError(f"params.yaml: lora.target_modules: this model has no {unknown[0]}; it has {sorted(names)}")
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        task_type="CAUSAL_LM",
    )
    if model.device.type == "cpu" and all(one.dtype == torch.float32 for one in model.parameters()):
        exchange(model, (RmsNorm, Attention))
        if not lora.dora:
            config._register_custom_module({torch.nn.Linear: LoraLinear})
    return get_peft_model(model, config, autocast_adapter_dtype=True)


def state(model: Any) -> str:
    """The SHA-256 of the adapter's weights as they are now."""
    from peft import get_peft_model_state_dict

    whole = hashlib.sha256()
    for name, weights in sorted(get_peft_model_state_dict(model).items()):
        whole.update(name.encode() + weights.detach().float().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()


def diverged(model: Any) -> bool:
    """Whether a weight of the adapter is no finite number any more."""
    from peft import get_peft_model_state_dict

    return not all(bool(weights.isfinite().all()) for weights in get_peft_model_state_dict(model).values())


def save(model: Any, folder: Path) -> None:
    """Write the adapter; peft lists the modules in the order of a set, which differs from run to run, so sort them."""
    model.save_pretrained(folder)
    config = read_json(folder / "adapter_config.json")
    write_json(folder / "adapter_config.json", config | {"target_modules": sorted(config["target_modules"])})
