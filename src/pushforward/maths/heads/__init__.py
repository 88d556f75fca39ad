"""Heads: what a network's numbers mean as the distribution of one variable, and of an event of many.

A head turns F parameters p into a distribution of one variable x. It holds constants (how many components, a step),
never weights.

    log_prob(x, p)   log p(x) in nats              x (...)   p (..., F)   ->  (...)
    cdf(x, p)        P(X <= x)
    below(x, p)      P(X < x), which is cdf(x) where there is no mass on x
    icdf(u, p)       the smallest x with F(x) > u, for u in [0, 1): a value that has mass or density, never out of range
    mean(p), mode(p), sample(p, u) = icdf(u, p)

With uniform u, `icdf` makes every model with a head a pushforward of uniforms; `below` and `cdf` bring u back from x.
"""

from .continuous import Gaussian, GaussianMixture, Logistic
from .discrete import Bernoulli, Categorical
from .event import Missing, Product, Whole, of
from .head import Head, log_scale, wide
from .lattice import LatticeMixture, LogisticMixture

__all__ = [
    "Bernoulli",
    "Categorical",
    "Gaussian",
    "GaussianMixture",
    "Head",
    "LatticeMixture",
    "Logistic",
    "LogisticMixture",
    "Missing",
    "Product",
    "Whole",
    "log_scale",
    "of",
    "wide",
]
