"""A LoRA adapter of peft as a GGUF file, which llama.cpp applies to the GGUF of the model that it adapts.

Source: what llama.cpp reads (https://github.com/ggml-org/llama.cpp, src/llama-adapter.cpp): a tensor's name is that of
the weight with `.lora_a`, [rank, inputs], or `.lora_b`, [outputs, rank].
"""

import re
from pathlib import Path

from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFType, GGUFWriter, Keys, get_tensor_name_map
from safetensors.numpy import load_file

from mt.errors import InputError
from mt.files import read_object

NAME = re.compile(r"base_model\.model\.(model\.layers\.(\d+)\..+)\.lora_([AB])\.weight")


def write_gguf(adapter: Path, arch: MODEL_ARCH, path: Path) -> None:
    """Write the adapter in a folder as GGUF.

    Raises:
        InputError: it is scaled as llama.cpp does not scale, or holds a tensor that it does not know.
    """
    config = read_object(adapter / "adapter_config.json")
    if config["use_rslora"] or config["use_dora"]:
        raise InputError(f"{adapter}: llama.cpp knows neither rslora nor dora; train without them")
    tensors = load_file(adapter / "adapter_model.safetensors")
    found = {name: NAME.fullmatch(name) for name in tensors}
    layers = 1 + max((int(match[2]) for match in found.values() if match), default=0)
    known = get_tensor_name_map(arch, layers)
    writer = GGUFWriter(path, MODEL_ARCH_NAMES[arch])
    writer.add_type(GGUFType.ADAPTER)
    writer.add_string(Keys.Adapter.TYPE, "lora")
    writer.add_float32(Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
    for name, match in found.items():
        own = known.get_name(match[1]) if match else None
        if match is None or own is None:
            raise InputError(f"{adapter}: llama.cpp has no tensor for {name}")
        writer.add_tensor(f"{own}.weight.lora_{match[3].lower()}", tensors[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
