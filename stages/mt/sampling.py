"""Sampling that a row's neighbours have no part in: its draws follow from the seed and from its own text."""

import hashlib
from collections.abc import Sequence
from typing import Any


def draws(
    seed: int, texts: Sequence[str], numbers: int, start: int, temperature: float, top_p: float, device: Any
) -> Any:
    """A logits processor after which greedy search writes a sample.

    A row's token is the one at which the cumulative probability, in the order of the ids, passes a number between 0
    and 1; a row has such a number for each token to come. Nucleus sampling is that of Holtzman et al. (2020).

    Args:
        seed: of all draws.
        texts: what each row is asked for; rows with one text draw alike.
        numbers: how many tokens a row may draw.
        start: tokens that stand before the first draw.
        temperature: divides the logits.
        top_p: the share of probability from which a token is drawn.
        device: of the logits.
    """
    import torch
    from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

    warm, nucleus = TemperatureLogitsWarper(float(temperature)), TopPLogitsWarper(float(top_p))

    class Draws(LogitsProcessor):  # type: ignore[misc]
        def __init__(self) -> None:
            self._own = torch.stack([torch.rand(numbers, generator=_generator(seed, text)) for text in texts]).to(
                device
            )

        def keep(self, order: torch.Tensor) -> None:
            """Go on with these rows alone."""
            self._own = self._own[order]

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            kept = nucleus(input_ids, warm(input_ids, scores))
            passed = kept.softmax(-1, dtype=torch.float64).cumsum(-1)
            number = self._own[:, input_ids.shape[1] - start, None] * passed[:, -1:]
            chosen = (passed <= number).sum(-1, keepdim=True)
            return torch.full_like(scores, -torch.inf).scatter(-1, chosen, 0.0)

    return Draws()


def _generator(seed: int, text: str) -> Any:
    import torch

    digest = hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7]))
