"""The clocks of training: of `fit` from inside, and of the loop that the other arms share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn

SKIP, STEPS = 5, 20  # steps of `fit` before the clock starts, and under it


class Clock:
    """A callback of `fit`: the seconds that one step of the real loop takes, once the first few are over."""

    def __init__(self, skip: int):
        self.skip, self.seconds, self.began = skip, 0.0, 0.0

    def __call__(self, moment: Any) -> None:
        if moment.event != "step":
            return
        if moment.step == self.skip:
            self.began = time.perf_counter()
        elif moment.step > self.skip:
            self.seconds = (time.perf_counter() - self.began) / (moment.step - self.skip)


def fit_step(
    make: Callable[[], Any], x: Any, skip: int = SKIP, steps: int = STEPS, **recipe: Any
) -> Callable[[], float]:
    """Seconds of a step of `fit`: taking the batch, the chart, loss, backward, optimiser, journal; making the model is left out."""

    def work() -> float:
        clock = Clock(skip)
        fitted(make(), x, steps=skip + steps, callbacks=[clock], **recipe)
        return clock.seconds

    return work


def fitted(model: Any, x: Any, **recipe: Any) -> Any:
    """The model after a few steps with nothing held out, clipped, averaged or scheduled: what every arm does, and no more."""
    plain = {
        "valid": 0.0,
        "clip": 0.0,
        "schedule": "constant",
        "warmup": 0,
        "ema": 0.0,
        "optimizer": "adam",
        "quiet": True,
        "device": "cpu",
    }
    return model.fit(x, **(plain | recipe))


def loop_step(
    weights: Iterable[nn.Parameter],
    loss: Callable[[Tensor], Tensor],
    batches: Sequence[Tensor],
    lr: float,
    mask: Callable[[], None] | None = None,
) -> Callable[[], None]:
    """One step of a loop by hand: loss, backward, fused Adam; `mask` may act on the gradients in between."""
    optimizer = torch.optim.Adam(list(weights), lr=lr, fused=True)
    turns = cycle(batches)

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(next(turns)).backward()
        if mask is not None:
            mask()
        optimizer.step()

    return work


def count(weights: Iterable[Tensor]) -> int:
    """How many numbers are learned."""
    return sum(w.numel() for w in weights)
