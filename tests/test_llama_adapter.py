"""An adapter of peft, written as GGUF and read again."""

import json

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from llama_adapter import write_gguf
from mt.errors import InputError


def adapter(folder, module="self_attn.q_proj", **config):
    """One layer's adapter, as peft writes it."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"lora_alpha": 32, "use_rslora": False, "use_dora": False} | config), encoding="utf-8"
    )
    shapes = {"lora_A": (2, 3), "lora_B": (5, 2)}
    tensors = {
        f"base_model.model.model.layers.0.{module}.{part}.weight": np.arange(rows * width, dtype=np.float32).reshape(
            rows, width
        )
        for part, (rows, width) in shapes.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_becomes_what_llama_cpp_reads(tmp_path):
    write_gguf(adapter(tmp_path / "ft"), gguf.MODEL_ARCH.GEMMA3, tmp_path / "ft.gguf")
    reader = gguf.GGUFReader(tmp_path / "ft.gguf")
    assert {one.name: one.data.tolist() for one in reader.tensors} == {
        "blk.0.attn_q.weight.lora_a": [[0, 1, 2], [3, 4, 5]],
        "blk.0.attn_q.weight.lora_b": [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]],
    }
    told = {name: field.contents() for name, field in reader.fields.items()}
    assert (told["general.architecture"], told["general.type"]) == ("gemma3", "adapter")
    assert (told["adapter.type"], told["adapter.lora.alpha"]) == ("lora", 32.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"use_rslora": True}, "train without them", id="another scale"),
        pytest.param({"module": "self_attn.x_proj"}, "has no tensor for base_model", id="another module"),
    ],
)
def test_an_adapter_that_llama_cpp_does_not_know_is_refused(change, expected, tmp_path):
    with pytest.raises(InputError, match=expected):
        write_gguf(adapter(tmp_path / "ft", **change), gguf.MODEL_ARCH.GEMMA3, tmp_path / "ft.gguf")
