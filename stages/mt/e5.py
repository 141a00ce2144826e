"""multilingual-e5-small from its packed 4-bit file, as a Hugging Face XLM-RoBERTa."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mt.e5_packed import BLOCK, BLOCK_BYTES, BOS, EOS, MASK, PAD, SPECIAL, UNK, Packed, Sizes, Vocabulary, read
from mt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SHIFT = PAD + 1
"""XLM-RoBERTa counts positions from the padding id + 1 on."""
DENSE = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


def convert(packed: Path, out: Path) -> None:
    """Write an XLMRobertaModel without pooler (safetensors, float32) and its fast tokenizer into the folder `out`.

    `AutoModel`, `AutoTokenizer` and unbabel-comet's XLM-RoBERTa encoder load it. The same file gives the same bytes.

    Raises:
        InputError: `packed` is not such a file.
    """
    import torch
    from transformers import XLMRobertaModel

    content = read(packed)
    try:
        weights = _weights(content)
    except ValueError as error:
        raise InputError(f"{packed}: {error}; take the file from the pinned archive") from error
    with torch.device("meta"):
        model = XLMRobertaModel(_config(content.sizes, content.epsilon), add_pooling_layer=False)
    model.load_state_dict(weights, strict=True, assign=True)
    model.save_pretrained(out, safe_serialization=True, max_shard_size="100GB")
    _save_tokenizer(content.vocabulary, content.sizes.positions, out)


def _config(sizes: Sizes, epsilon: float) -> Any:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=sizes.rows,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.feed_forward,
        max_position_embeddings=sizes.positions + SHIFT,
        type_vocab_size=sizes.types,
        layer_norm_eps=epsilon,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )


def _weights(packed: Packed) -> "dict[str, Tensor]":
    """The state of an XLMRobertaModel; ValueError names a tensor that is missing or of another type or size."""
    from torch import from_numpy

    sizes, hidden, wide = packed.sizes, packed.sizes.hidden, packed.sizes.feed_forward
    positions = _floats(packed, "emb.pos", (sizes.positions, hidden))
    arrays = {
        "embeddings.word_embeddings.weight": _matrix(packed, "emb.word", (sizes.rows, hidden)),
        "embeddings.position_embeddings.weight": np.pad(positions, ((SHIFT, 0), (0, 0))),
        "embeddings.token_type_embeddings.weight": _floats(packed, "emb.type", (sizes.types, hidden)),
        "embeddings.LayerNorm.weight": _floats(packed, "emb.ln.w", (hidden,)),
        "embeddings.LayerNorm.bias": _floats(packed, "emb.ln.b", (hidden,)),
    }
    for layer in range(sizes.layers):
        for short, name in DENSE.items():
            n_out, n_in = wide if short == "fi" else hidden, wide if short == "fo" else hidden
            there = f"encoder.layer.{layer}.{name}"
            arrays[f"{there}.weight"] = _matrix(packed, f"l{layer}.{short}.w", (n_out, n_in))
            arrays[f"{there}.bias"] = _floats(packed, f"l{layer}.{short}.b", (n_out,))
        for short, name in NORMS.items():
            there = f"encoder.layer.{layer}.{name}"
            arrays[f"{there}.weight"] = _floats(packed, f"l{layer}.{short}.w", (hidden,))
            arrays[f"{there}.bias"] = _floats(packed, f"l{layer}.{short}.b", (hidden,))
    return {name: from_numpy(array) for name, array in arrays.items()}


def _floats(packed: Packed, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return _tensor(packed, name, np.float32, shape).copy()


def _matrix(packed: Packed, name: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    blocks = _tensor(packed, name, np.uint8, (shape[0], shape[1] // BLOCK * BLOCK_BYTES))
    values: NDArray[np.float32] = dequantize(blocks, GGMLQuantizationType.Q4_0)
    return values


def _tensor(packed: Packed, name: str, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    values = packed.tensors.get(name)
    if values is None:
        raise ValueError(f"there is no tensor {name}")
    if values.dtype != dtype or values.size != np.prod(shape, dtype=object):
        raise ValueError(f"tensor {name} holds {values.size} {values.dtype}, not {shape} {np.dtype(dtype)}")
    return values.reshape(shape)


def _save_tokenizer(vocabulary: Vocabulary, positions: int, out: Path) -> None:
    """Write the tokenizer as transformers converts XLM-RoBERTa's, with the file's own rewrites as its normalizer."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram
    from transformers import XLMRobertaTokenizerFast

    bos, pad, eos, unk = SPECIAL
    tokenizer = Tokenizer(Unigram(vocabulary.pieces, unk_id=UNK, byte_fallback=False))
    tokenizer.normalizer = normalizers.Precompiled(_charsmap(vocabulary.rewrites))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, BOS), (eos, EOS)],
    )
    XLMRobertaTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=positions,
        bos_token=bos,
        eos_token=eos,
        sep_token=eos,
        cls_token=bos,
        unk_token=unk,
        pad_token=pad,
        mask_token=MASK,
    ).save_pretrained(out)


def _charsmap(rewrites: dict[str, str]) -> bytes:
    """SentencePiece's compiled form of a normalization table, which `tokenizers` takes."""
    import sentencepiece

    sentencepiece.set_min_log_level(2)
    normalizer = sentencepiece.SentencePieceNormalizer(norm_map=sorted(rewrites.items()))
    # The map is the first field of a protocol buffer: its tag, its length in groups of seven bits, its bytes.
    message = normalizer.serialized_normalizer_spec()
    length = 0
    for at, group in enumerate(message[1:]):
        length |= (group & 0x7F) << (7 * at)
        if group < 0x80:
            return bytes(message[at + 2 : at + 2 + length])
    raise AssertionError("a length ends")
