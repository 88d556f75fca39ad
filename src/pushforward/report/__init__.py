"""One page about one model: pictures by the kind of its examples, likelihoods with their kind, self-contained HTML."""

from ..metrics.likelihood import Likelihood, likelihood
from .page import Page
from .portrait import portrait

__all__ = ["Likelihood", "Page", "likelihood", "portrait"]
