"""What the workloads of flows share: rows to learn from, the loss, calls without a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Flow = tuple[nn.Module, Callable[[Tensor], Tensor], Callable[[int], Any]]  # a peer's module, log_prob(x), sample(n)

ROWS, STEP, DRAWN, RATE = 10_000, 256, 1_000, 1e-4  # to learn from, of a training step, drawn or scored, Adam's


def data(dims: int) -> Tensor:
    """Rows (n, D) with correlated variables, standardised."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, dims, generator=generator) @ torch.randn(dims, dims, generator=generator)
    x = x + 0.3 * x.roll(1, 1).abs()
    return (x - x.mean(0)) / x.std(0)


def minus(log_prob: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: -log_prob(x).mean()


def quietly(call: Callable[[Any], Any], x: Any) -> Callable[[], Any]:
    """Without a graph."""

    def work() -> Any:
        with torch.no_grad():
            return call(x)

    return work
