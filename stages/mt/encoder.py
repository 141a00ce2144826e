"""Sentence vectors of multilingual e5, for semantic similarity across languages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mt.errors import InputError

PREFIX = "query: "


class Encoder:
    """multilingual e5 (Wang et al. 2024): the mean of the last hidden states, scaled to length 1.

    For texts that are compared with each other, rather than searched, its authors put "query: " before both sides.
    """

    def __init__(self, folder: Path) -> None:
        """Load model and tokenizer from a Hugging Face folder; no network is asked.

        Raises:
            InputError: there is no model in `folder`.
        """
        from transformers import AutoModel, AutoTokenizer

        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: holds no model; run `dvc repro` to make it")
        # transformers 4.57 takes every local tokenizer for one of Mistral's, and warns, unless it is told.
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, fix_mistral_regex=False)
        self._model = AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()

    def embed(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        """Give each text's vector, in the order of `texts`.

        Args:
            texts: any text; what is past the model's maximum of tokens is left out.
            batch_size: texts a batch; batches are of like length.

        Returns:
            Shape [texts, hidden size], float32, rows of length 1, so that a dot product is a cosine.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        padding = self._tokenizer.pad_token_id
        vectors = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        ids = self._tokenizer([PREFIX + text for text in texts], truncation=True).input_ids if texts else []
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = pad_sequence([torch.tensor(ids[i]) for i in rows], batch_first=True, padding_value=padding)
            mask = batch != padding
            with torch.inference_mode():
                hidden = self._model(batch, attention_mask=mask.long()).last_hidden_state
            mask = mask.unsqueeze(-1)
            means = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            vectors[rows] = torch.nn.functional.normalize(means, dim=1).numpy()
        return vectors
