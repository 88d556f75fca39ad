"""Measures: how likely, how far apart, how alike, how private, how well calibrated; each with its error, its floor and how it was made.

Models, samples and tables are asked for what they can give.

>>> from pushforward import metrics
>>> print(metrics.divergence({"a": 0.5, "b": 0.5}, {"a": 0.9, "b": 0.1}, "kl"))
KL(P || Q) = 0.5108, exact
  by the sum over 2 outcomes
"""

from .calibration import coverage, ranks
from .copied import copied
from .distances import mmd, wasserstein
from .divergences import divergence
from .efficacy import utility
from .estimate import Estimate
from .expectation import expect
from .latents import dci, disentanglement, factor_vae, latents, mig, of_posteriors, sap
from .likelihood import Likelihood, likelihood, paired
from .privacy import closest, duplicates, membership, memorisation, privacy
from .quality import c2st, frechet, kid, prdc
from .rules import violations
from .scores import Scores
from .sequences import copies, distinct, novelty, perplexity, repetition, sequences
from .sequences import coverage as ngrams
from .tables import columns, conditionals, missingness, trends
from .variety import birthday, modes, ndb, vendi

__all__ = [
    "Estimate",
    "Likelihood",
    "Scores",
    "birthday",
    "c2st",
    "closest",
    "columns",
    "conditionals",
    "copied",
    "copies",
    "coverage",
    "dci",
    "disentanglement",
    "distinct",
    "divergence",
    "duplicates",
    "expect",
    "factor_vae",
    "frechet",
    "kid",
    "latents",
    "likelihood",
    "membership",
    "memorisation",
    "mig",
    "missingness",
    "mmd",
    "modes",
    "ndb",
    "ngrams",
    "novelty",
    "of_posteriors",
    "paired",
    "perplexity",
    "prdc",
    "privacy",
    "ranks",
    "repetition",
    "sap",
    "sequences",
    "trends",
    "utility",
    "vendi",
    "violations",
    "wasserstein",
]
