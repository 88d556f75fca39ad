"""How a model is trained: the same knobs for every system."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from math import nan
from numbers import Integral, Real
from sys import float_info
from typing import Any

from ..errors import Usage, did_you_mean


@dataclass(frozen=True)
class Recipe:
    """The knobs of training. A system carries its paper's values; keywords of `fit` change them.

    >>> Recipe(steps=100).change(lr=0.01, time="2m").seconds
    120.0
    """

    steps: int = 2000  # optimiser steps at most
    epochs: float = 0.0  # passes over the examples; where set, it decides instead of steps
    time: str | float | None = (
        None  # "90s", "2m", "1h": stop there; learning-rate schedule and warm-ups follow the clock
    )
    batch: int = 128  # examples a step, over all processes
    lr: float = 1e-3
    optimizer: str = "adam"  # adam, adamw, sgd, rmsprop
    beta1: float = 0.9
    beta2: float = 0.999
    decay: float = 0.0  # weight decay (decoupled with adamw)
    warmup: int = 0  # steps of linear warm-up
    schedule: str = "constant"  # constant, cosine, linear
    clip: float = 0.0  # largest norm of the gradient; 0: none
    accumulate: int = 1  # parts of a batch whose gradients are added before a step
    ema: float = 0.0  # decay of the averaged weights that are used in the end; 0: none
    precision: str = "auto"  # auto, float32, float64, bfloat16 (autocast)
    seed: int = 0
    valid: float = 0.1  # share of the examples held out for early stopping
    every: int = 0  # steps between validations; 0: about once an epoch
    patience: int = 10  # validations without a better one before stopping; 0: never
    keep: float = 60.0  # seconds between checkpoints of a fit with an output folder
    compile: bool = False  # torch.compile of the networks

    def __post_init__(self):
        for name, (least, most) in LIMITS.items():
            value, whole = getattr(self, name), name in WHOLE
            number = isinstance(value, Real) and not isinstance(value, bool)
            plain = nan if not number else int(value) if isinstance(value, Integral) else float(value)
            if not least <= plain <= most or (whole and plain != int(plain)):
                kind = f"a {'whole ' * whole}number{f' of at least {least}' * (least > -LARGE)}{f', at most {most},' * (most < LARGE)}"
                raise Usage(f"{name}={value!r}: {kind} is awaited.")
            object.__setattr__(self, name, int(plain) if whole else plain)  # NumPy's numbers are not JSON's
        if not isinstance(self.compile, bool):
            raise Usage(f"compile={self.compile!r}: True or False is awaited.")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise Usage(
                    f"{name}={getattr(self, name)!r} is not one of {', '.join(known)}."
                    + did_you_mean(getattr(self, name), known)
                )
        _ = self.seconds  # a malformed time is an error now, not after an hour

    @property
    def seconds(self) -> float:
        """The time limit in seconds; infinity where there is none."""
        if self.time is None:
            return float("inf")
        found = re.fullmatch(r"\s*([0-9.]+)\s*(s|sec|m|min|h|d)?\s*", str(self.time))
        try:
            number = float(found[1])  # type: ignore[index]
        except (TypeError, ValueError):
            number = 0.0
        if not number:
            raise Usage(f"time={self.time!r} is not a time. Write '90s', '2m', '1.5h' or a number of seconds.")
        return number * {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}[found[2] or "s"]  # type: ignore[index]

    def change(self, **changes: Any) -> Recipe:
        """A copy with some knobs turned."""
        known = [f.name for f in fields(self)]
        for name in changes:
            if name not in known:
                raise Usage(
                    f"{name!r} is not a setting of training. Known: {', '.join(known)}.{did_you_mean(name, known)}"
                )
        if "steps" in changes and "epochs" not in changes:
            changes["epochs"] = 0.0
        return replace(self, **changes)

    def total(self, examples: int) -> int:
        """How many steps this recipe takes over so many examples."""
        if self.epochs:
            return max(1, round(self.epochs * examples / min(self.batch, examples)))
        return self.steps


LARGE = float_info.max
WHOLE = ("steps", "batch", "warmup", "accumulate", "every", "patience", "seed")
LIMITS = {  # the least and the most of each number
    **dict.fromkeys(("steps", "warmup", "every", "patience", "epochs", "lr", "decay", "clip", "keep"), (0, LARGE)),
    **dict.fromkeys(("batch", "accumulate"), (1, LARGE)),
    **dict.fromkeys(("beta1", "beta2", "ema"), (0, 0.999999999)),
    "valid": (0, 0.9),
    "seed": (-LARGE, LARGE),
}
CHOICES = {
    "optimizer": ("adam", "adamw", "sgd", "rmsprop"),
    "schedule": ("constant", "cosine", "linear"),
    "precision": ("auto", "float32", "float64", "bfloat16"),
}
