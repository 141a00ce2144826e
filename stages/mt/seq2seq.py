"""A sequence-to-sequence translation model as the reverse model.

Made for models of one language pair, such as Marian's (Junczys-Dowmunt et al. 2018; Tiedemann and Thottingal 2020),
which read the sentence alone, without prompt or examples. Models of many languages, which are told what to write by a
forced first token, are not served: no token is forced, and they write what language they like.
"""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mt.batched import halving
from mt.decode import Decoding, row_limits
from mt.errors import InputError
from mt.files import digests, read_object
from mt.lm import Precision, computed, digest, held
from mt.loading import PROVENANCE, SAFE, as_data, check_weights, pretrained
from mt.memory import Translation
from mt.processes import device
from mt.recall import open_memory, recalled, recalled_numbers
from mt.segments import Segment

if TYPE_CHECKING:
    import torch


def load(folder: Path, precision: Precision) -> tuple[Any, Any]:
    """Load a sequence-to-sequence model and its tokenizer, on the GPU where there is one.

    Args:
        folder: a folder in Hugging Face form with its provenance.json; nothing is fetched.
        precision: as of `mt.lm.load_base`.

    Raises:
        InputError: the folder holds no model, or one of another kind.
    """
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    from mt.bf32 import hastened

    if read_object(folder / PROVENANCE).get("format") == "none":
        raise InputError(
            f"{folder}: holds no model, and reverse.model is seq2seq; in params.yaml write models.reverse.name, "
            "license, format: hub, repo (such as Helsinki-NLP/opus-mt-ja-en) and revision, or reverse.model: lora"
        )
    check_weights(folder)
    with as_data(folder):
        config = AutoConfig.from_pretrained(folder, **SAFE)
    if not config.is_encoder_decoder:
        raise InputError(
            f"{folder}: {config.model_type} is no sequence-to-sequence model; in params.yaml name one in "
            "models.reverse, such as Helsinki-NLP/opus-mt-ja-en"
        )
    with as_data(folder), warnings.catch_warnings():
        # Marian's tokenizer asks for a normaliser of punctuation that it then never calls.
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        # A text that spells <pad> is text.
        tokenizer = AutoTokenizer.from_pretrained(folder, split_special_tokens=True, **SAFE)
        model = pretrained(AutoModelForSeq2SeqLM, folder, (), dtype=held(precision))
        if None in (tokenizer.pad_token_id, tokenizer.eos_token_id, model.generation_config.decoder_start_token_id):
            mend = "name another model in models.reverse"
            raise InputError(f"{folder}: has no token to pad, to end or to begin a translation with; {mend}")
    return hastened(model.eval().requires_grad_(False), precision).to(device()), tokenizer


class Seq2Seq:
    """A `mt.translators.Translator`.

    Args:
        folder: as for `load`.
        precision: as of `mt.lm.load_base`.
        decoding: how translations are searched for; what the model's makers advise for that is not followed. Lengths
            are counted in the model's tokens, the end of sequence of the source left out.

    Raises:
        InputError: as `load`, or the model cannot write `max_new_tokens` tokens.
    """

    def __init__(self, folder: Path, precision: Precision, decoding: Decoding) -> None:
        self._model, self._tokenizer = load(folder, precision)
        self._decoding = decoding
        self._pad = self._tokenizer.pad_token_id
        self._end = self._tokenizer.eos_token_id
        self._start = self._model.generation_config.decoder_start_token_id
        self._positions = getattr(self._model.config, "max_position_embeddings", None) or sys.maxsize
        self.revision = f"seq2seq:{digest(folder)}"
        files = {"seq2seq": digests(folder)}
        self._identity = {"revision": self.revision, "precision": computed(precision), "files": files}
        if decoding.max_new_tokens > self._positions:
            raise InputError(
                f"params.yaml: backtranslate.decode.max_new_tokens: {decoding.max_new_tokens} is more than the "
                f"{self._positions} tokens that {folder} can write; lower it"
            )

    def translate(self, segments: Sequence[Segment]) -> list[str]:
        """See `Translator.translate`."""
        texts = self._source_ids(segments)
        ends = self._tokenizer.num_special_tokens_to_add()
        limits = [self._decoding.limit(len(text) - ends) for text in texts]
        costs = [(len(text) + limit) * self._decoding.beams for text, limit in zip(texts, limits, strict=True)]

        asked = [segment["tgt"] for segment in segments]

        def write(rows: list[int]) -> list[Translation]:
            return self._generate([texts[i] for i in rows], [limits[i] for i in rows], [asked[i] for i in rows])

        with open_memory(self._identity, self._decoding) as memory:
            made = recalled(memory, asked, costs, self._decoding.batch_tokens, lambda rows: halving(write, rows))
        return [one.text for one in made]

    def logprobs(self, segments: Sequence[Segment], sources: Sequence[str]) -> list[float]:
        """See `Translator.logprobs`; padding, which is never written, gets no probability."""
        texts = self._source_ids(segments)
        written = self._tokenizer(text_target=list(sources)).input_ids if sources else []
        targets = [ids[: self._positions] for ids in written]
        costs = [2 * max(len(text), len(target)) for text, target in zip(texts, targets, strict=True)]

        def score(rows: list[int]) -> list[float]:
            return self._score([texts[i] for i in rows], [targets[i] for i in rows])

        asked = ["\0".join((segment["tgt"], source)) for segment, source in zip(segments, sources, strict=True)]
        with open_memory(self._identity, self._decoding) as memory:
            return recalled_numbers(
                memory, asked, costs, self._decoding.batch_tokens, lambda rows: halving(score, rows)
            )

    def _source_ids(self, segments: Sequence[Segment]) -> list[list[int]]:
        found: list[list[int]] = [self._tokenizer(segment["tgt"]).input_ids for segment in segments]
        for segment, ids in zip(segments, found, strict=True):
            if len(ids) > self._positions:
                raise InputError(
                    f"params.yaml: prepare.max_chars: {segment['id']} has {len(ids)} tokens, and the reverse model "
                    f"reads at most {self._positions}; lower it"
                )
        return found

    def _generate(self, texts: list[list[int]], limits: list[int], asked: list[str]) -> list[Translation]:
        import torch
        from transformers import GenerationConfig, StoppingCriteriaList

        decoding = self._decoding
        draws = decoding.draws(asked, max(limits), 1, self._model.device)
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=max(limits),
            num_beams=decoding.beams,
            suppress_tokens=[self._pad],
            renormalize_logits=True,
            eos_token_id=self._end,
            pad_token_id=self._pad,
            decoder_start_token_id=self._start,
        )
        with torch.inference_mode():
            written = self._model.generate(
                self._padded(texts, self._pad),
                attention_mask=self._padded([[1] * len(text) for text in texts], 0),
                generation_config=config,
                use_model_defaults=False,
                logits_processor=[draws] if draws else [],
                stopping_criteria=StoppingCriteriaList([row_limits(limits, 1)]),
            )
        return [self._made(row) for row in written[:, 1:].tolist()]

    def _score(self, texts: list[list[int]], targets: list[list[int]]) -> list[float]:
        import torch

        with torch.inference_mode():
            logits = self._model(
                input_ids=self._padded(texts, self._pad),
                attention_mask=self._padded([[1] * len(text) for text in texts], 0),
                decoder_input_ids=self._padded([[self._start, *target[:-1]] for target in targets], self._pad),
                use_cache=False,
            ).logits.float()
            logits[..., self._pad] = -torch.inf
            spread = logits.log_softmax(-1).gather(-1, self._padded(targets, self._end)[..., None])[..., 0]
        return [float(row[: len(target)].mean()) for row, target in zip(spread, targets, strict=True)]

    def _padded(self, rows: list[list[int]], fill: int) -> "torch.Tensor":
        """Stack rows of ids that begin together: [rows, longest]."""
        import torch

        longest = max(map(len, rows))
        return torch.tensor([row + [fill] * (longest - len(row)) for row in rows], device=self._model.device)

    def _made(self, ids: list[int]) -> Translation:
        ended = self._end in ids
        whole = ids[: ids.index(self._end)] if ended else ids
        return Translation(" ".join(self._tokenizer.decode(whole, skip_special_tokens=True).split()), cut=not ended)
