"""Layers of a model that others take the places of, which hold the same and compute it faster."""

from collections.abc import Collection

import torch


def exchange(model: torch.nn.Module, kinds: Collection[type[torch.nn.Module]]) -> None:
    """Let every layer of the very class that one of `kinds` is derived from be one of that kind."""
    faster = {kind.__base__: kind for kind in kinds}
    for layer in model.modules():
        layer.__class__ = faster.get(type(layer), type(layer))
