"""Measures of how far two laws are apart, and means under one: of models, samples or tables, by what each can be asked for.

>>> from pushforward import metrics
>>> print(metrics.divergence({"a": 0.5, "b": 0.5}, {"a": 0.9, "b": 0.1}, "kl"))
KL(P || Q) = 0.5108, exact
  by the sum over 2 outcomes
"""

from .distances import mmd, wasserstein
from .divergences import divergence
from .estimate import Estimate
from .expectation import expect

__all__ = ["Estimate", "divergence", "expect", "mmd", "wasserstein"]
