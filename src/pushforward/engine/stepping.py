"""What makes a step: the optimiser of a recipe, the schedule of its rate, weights exchanged for their average."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .recipe import Recipe


class Swapped:
    """Weights exchanged for others inside a `with`."""

    def __init__(self, weights: list[nn.Parameter], others: list[Tensor]):
        self.weights, self.others = weights, others

    def exchange(self) -> None:
        with torch.no_grad():
            for weight, other in zip(self.weights, self.others, strict=True):
                kept = weight.detach().clone()
                weight.copy_(other)
                other.copy_(kept)

    def __enter__(self) -> None:
        self.exchange()

    def __exit__(self, *error: Any) -> None:
        self.exchange()


def optimizer(recipe: Recipe, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    fused = all(
        w.device.type in ("cpu", "cuda") and w.is_floating_point() and not hasattr(w, "to_local") for w in weights
    )
    if recipe.optimizer in ("adam", "adamw"):
        kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
        return kind(
            weights, lr=recipe.lr, betas=(recipe.beta1, recipe.beta2), weight_decay=recipe.decay, fused=fused or None
        )
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(weights, lr=recipe.lr, alpha=0.99, weight_decay=recipe.decay, foreach=True)
    how = {"fused": True} if fused else {"foreach": True}
    return torch.optim.SGD(weights, lr=recipe.lr, momentum=recipe.beta1, weight_decay=recipe.decay, **how)


def schedule(recipe: Recipe, step: int, progress: float) -> float:
    """The learning rate's factor: linear warm-up, then constant, cosine or linear to zero.

    >>> schedule(Recipe(schedule="cosine"), 5, 0.5)
    0.5
    """
    warm = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    shape = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * progress)), "linear": 1 - progress}[
        recipe.schedule
    ]
    return warm * shape
