"""Three laws that are known in full, bases of a pushforward and truths to hold an estimate against, and one way to ask any other.

    Finite     P(x) = p_x, on finitely many outcomes
    Normal     log N(x; m, S) = -1/2 |L^-1 (x - m)|^2 - log |det L| - D/2 log 2 pi,   S = L L'
    Uniform    1 / volume, on a box

n draws of D numbers:   x (n, D) float64   m (D,)   S, L (D, D)   log_prob (n,)
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import fsum, log, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Usage, did_you_mean


class Finite:
    """Probabilities of finitely many outcomes, as a dict or, for the outcomes 0, 1, 2 …, as a vector.

    >>> coin = Finite({"heads": 0.5, "tails": 0.5})
    >>> coin.log_prob(["heads", "edge"]).exp().tolist()
    [0.5, 0.0]
    """

    def __init__(self, table: Mapping[Any, float] | Iterable[float]):
        pairs = table.items() if isinstance(table, Mapping) else enumerate(numbers(table).flatten().tolist())
        self.table: dict[Hashable, float] = {plain(outcome): float(p) for outcome, p in pairs}
        if not self.table:
            raise BadData("The table is empty: it has no outcome. At least one outcome with its probability is needed.")
        wrong = next((o for o, p in self.table.items() if not 0 <= p < np.inf), None)
        if wrong is not None:
            raise BadData(
                f"The table gives {wrong!r} the probability {self.table[wrong]}. Probabilities are at least 0."
            )
        if abs((total := fsum(self.table.values())) - 1) > 1e-6:
            raise BadData(f"The probabilities sum to {total:.6g}; 1 is awaited. Divide them by their sum.")

    def __repr__(self) -> str:
        return f"Finite({len(self.table)} outcomes)"

    def sample(self, n: int = 1, seed: int | None = None) -> list[Hashable]:
        outcomes = list(self.table)
        steps = torch.tensor(list(self.table.values()), dtype=torch.float64).cumsum(0)
        with noise.stream(fresh(seed), dtype=torch.float64):
            found = torch.searchsorted(steps, noise.uniform(n) * steps[-1], right=True)
        return [outcomes[i] for i in found.tolist()]

    def log_prob(self, x: Iterable[Any]) -> Tensor:
        chances = torch.tensor([self.table.get(plain(o), 0.0) for o in x], dtype=torch.float64)
        return chances.log()


class Normal:
    """N(mean, covariance). A covariance that is one number or one a variable holds variances.

    >>> Normal(0.0, 4.0).log_prob(torch.zeros(1, 1)).exp().round(decimals=4).item()
    0.1995
    """

    def __init__(self, mean: Any = 0.0, covariance: Any = 1.0):
        self.mean = numbers(mean).reshape(-1)
        given = numbers(covariance)
        d = len(self.mean) if given.ndim == 0 else len(given)
        self.mean = self.mean.expand(d) if len(self.mean) == 1 else self.mean
        self.covariance = given if given.ndim == 2 else torch.diag(given.expand(d))
        if self.covariance.shape != (len(self.mean), len(self.mean)):
            raise BadData(
                f"A mean of {len(self.mean)} variables and a covariance of shape {tuple(self.covariance.shape)} do not belong together."
            )
        self.triangle, wrong = torch.linalg.cholesky_ex(self.covariance)
        if int(wrong) or not bool(torch.isfinite(self.triangle).all()):
            raise BadData(
                "The covariance is not positive definite, so there is no density. Leave out what is constant."
            )

    def __repr__(self) -> str:
        return f"Normal(mean={self.mean.tolist()}, covariance={self.covariance.tolist()})"

    @property
    def size(self) -> int:
        return len(self.mean)

    def sample(self, n: int = 1, seed: int | None = None) -> Tensor:
        with noise.stream(fresh(seed), dtype=torch.float64):
            return self.mean + noise.normal(n, self.size) @ self.triangle.T

    def log_prob(self, x: Any) -> Tensor:
        z = torch.linalg.solve_triangular(self.triangle, (rows(x, self.size) - self.mean).T, upper=False)
        return -0.5 * (z**2).sum(0) - self.triangle.diagonal().log().sum() - 0.5 * self.size * log(2 * pi)

    def cdf(self, x: Any) -> Tensor:
        """P(X <= x) of one variable."""
        return torch.special.ndtr((rows(x, self.size)[:, 0] - self.mean) / self.triangle[0, 0])


class Uniform:
    """Every point of the box [low, high] alike.

    >>> Uniform(0.0, 2.0).log_prob(torch.tensor([[1.0], [3.0]])).exp().tolist()
    [0.5, 0.0]
    """

    def __init__(self, low: Any = 0.0, high: Any = 1.0):
        self.low, self.high = torch.broadcast_tensors(numbers(low).reshape(-1), numbers(high).reshape(-1))
        if not bool((self.low < self.high).all()):
            raise BadData(
                f"A box from {self.low.tolist()} to {self.high.tolist()}: each low end is to be below its high one."
            )

    def __repr__(self) -> str:
        return f"Uniform(low={self.low.tolist()}, high={self.high.tolist()})"

    @property
    def size(self) -> int:
        return len(self.low)

    def sample(self, n: int = 1, seed: int | None = None) -> Tensor:
        with noise.stream(fresh(seed), dtype=torch.float64):
            return self.low + (self.high - self.low) * noise.uniform(n, self.size)

    def log_prob(self, x: Any) -> Tensor:
        x = rows(x, self.size)
        inside = ((x >= self.low) & (x <= self.high)).all(1)
        return torch.where(inside, -(self.high - self.low).log().sum(), -torch.inf)

    def cdf(self, x: Any) -> Tensor:
        """P(X <= x) of one variable."""
        return ((rows(x, self.size)[:, 0] - self.low) / (self.high - self.low)).clamp(0, 1)


@dataclass(frozen=True)
class Law:
    """What can be asked of something that is no law of this file: `sample(n, seed)`, `log_prob(x)`, or only one of them."""

    name: str
    sample: Callable[..., Any] | None
    log_prob: Callable[..., Any] | None

    def __repr__(self) -> str:
        return self.name


NAMED: dict[str, Callable[[], Any]] = {"uniform": Uniform, "normal": Normal}


def law_of(thing: Any) -> Any:
    """A law by name, a table, a distribution of torch or scipy, a model: whatever can `sample` or has a `log_prob`."""
    if isinstance(thing, Finite | Normal | Uniform | Law):
        return thing
    if isinstance(thing, str):
        if thing not in NAMED:
            raise Usage(f"There is no law {thing!r}.{did_you_mean(thing, NAMED)} There are: {', '.join(NAMED)}.")
        return NAMED[thing]()
    if isinstance(thing, Mapping):
        return Finite(thing)
    if isinstance(thing, torch.distributions.Distribution):
        return of_torch(thing)
    density = getattr(thing, "logpdf", None) or getattr(thing, "logpmf", None)
    if density is not None and getattr(thing, "rvs", None) is not None:

        def rvs(n: int, seed: int | None = None) -> Tensor:
            return numbers(thing.rvs(size=n, random_state=noise.mix(fresh(seed)) >> 31)).reshape(n, -1)

        return Law("a distribution of scipy", rvs, partial(of_scipy, density))
    sample, log_prob = getattr(thing, "sample", None), getattr(thing, "log_prob", None)
    if sample is None and log_prob is None:
        raise Usage(f"A {type(thing).__name__} can neither sample nor say log_prob, so it is no law that can be asked.")
    return Law(type(thing).__name__, None if sample is None else partial(drawn, sample), log_prob)


def drawn(sample: Callable[..., Any], n: int, seed: int | None = None) -> Any:
    """Draws of something else's `sample`, with the seed where it takes one; else torch's global generator is lent and put back."""
    if "seed" in inspect.signature(sample).parameters:
        return sample(n, seed=fresh(seed))
    with noise.initialisation(fresh(seed)):
        return sample(n)


def of_torch(d: torch.distributions.Distribution) -> Any:
    if len(d.batch_shape) + len(d.event_shape) > 1:
        raise Usage(
            f"A distribution of batch {tuple(d.batch_shape)} and event {tuple(d.event_shape)} is many laws, or has no rows. Pass one."
        )
    if isinstance(d, torch.distributions.MultivariateNormal) and not d.batch_shape:
        return Normal(d.loc, d.covariance_matrix)
    if isinstance(d, torch.distributions.Normal):
        return Normal(d.loc, d.scale.double() ** 2)
    flat = not d.batch_shape and not d.event_shape

    def sample(n: int, seed: int | None = None) -> Tensor:
        with noise.initialisation(fresh(seed)):
            return column(d.sample((n,)))

    def log_prob(x: Any) -> Tensor:
        x = numbers(x)[:, 0] if flat else numbers(x)
        inside = d.support.check(x)  # type: ignore[union-attr]
        inside = inside.reshape(len(x), -1).all(1)  # torch refuses what lies outside
        nats = d.log_prob(x[inside]).double().reshape(int(inside.sum()), -1).sum(1)
        return torch.full((len(x),), -torch.inf, dtype=torch.float64).masked_scatter(inside, nats)

    return Law(type(d).__name__, sample, log_prob)


def of_scipy(density: Callable[..., Any], x: Any) -> Tensor:
    x = numbers(x).numpy()
    return numbers(density(x[:, 0] if x.shape[1] == 1 else x)).reshape(len(x))


def fresh(seed: int | None) -> int:
    return secrets.randbits(62) if seed is None else int(seed)


def numbers(x: Any) -> Tensor:
    """Anything that holds numbers -> a float64 tensor."""
    if isinstance(x, Tensor):
        return x.double()
    if hasattr(x, "to_numpy"):
        x = x.to_numpy()
    return torch.from_numpy(np.require(x, np.float64, "W"))


def column(x: Any) -> Tensor:
    """(n,) or (n, D) -> (n, D)."""
    x = numbers(x)
    return x[:, None] if x.ndim == 1 else x.flatten(1)


def rows(x: Any, size: int) -> Tensor:
    """(n, D), or (n,) of one variable, as (n, D)."""
    x = column(x)
    if x.shape[1] != size:
        raise BadData(f"x has {x.shape[1]} variables; this law is one of {size}.")
    return x


def plain(outcome: Any) -> Hashable:
    """An outcome as a key: a number, a string, or a tuple of them."""
    if isinstance(outcome, Tensor | np.ndarray | np.generic):
        outcome = outcome.tolist()
    if isinstance(outcome, list | tuple):
        return plain(outcome[0]) if len(outcome) == 1 else tuple(plain(part) for part in outcome)
    return outcome
