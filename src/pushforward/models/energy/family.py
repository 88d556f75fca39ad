"""Energy-based models: p(x) = exp(-E(x)) / Z with a Z that no network gives.

    log p(x) = -E(x) - log Z                     d log p(x) / d theta = E_p[dE/d theta] - dE(x)/d theta

log Z is summed where that can be done, and estimated, with a standard error and a bracket, where it cannot. It belongs
to the weights that it was found for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...maths.chains import LogZ
from ...model import Model


class Energy(Model):
    """A model by its energy: what it says of an example is exact up to one constant, and its samples come from chains."""

    plates: ClassVar[Any] = "N{[x]}; theta -- x"
    kinds: ClassVar[dict[str, str]] = {
        "sample": "MCMC",
        "complete": "MCMC",
        "evidence": "annealed importance sampling",
    }
    why_not: ClassVar[dict[str, str]] = {
        "log_prob": "log Z has no closed form. energy(x) orders examples as log p does.",
        "bound": "log Z is enclosed from both sides instead: evidence(x), then evidence_['low'] and evidence_['high'].",
    }

    def judges(self) -> bool:
        # Early stopping needs exact nats: annealing at each validation would cost more than the training.
        return super().judges() and ("_space" not in self.__dict__ or self.unable("log_prob") is None)

    def log_z(self, rows: int, given: Tensor | None, how: Hashable, find: Callable[[Any], LogZ]) -> list[LogZ]:
        """log Z of each row's condition by `find(condition)`: once for each condition and each `how`, until the weights change."""
        weights = [p.detach() for p in self.parameters()]
        kept, found = self.__dict__.get("_log_z", ((), {}))
        if not (
            len(kept) == len(weights)
            and all(a.device == b.device and torch.equal(a, b) for a, b in zip(kept, weights, strict=True))
        ):
            found = {}
            self.__dict__["_log_z"] = ([w.clone() for w in weights], found)
        conditions = [None] * rows if given is None else [tuple(row) for row in given.tolist()]
        for i, condition in enumerate(conditions):
            if (how, condition) not in found:
                found[how, condition] = find(None if given is None else given[i])
        return [found[how, condition] for condition in conditions]
