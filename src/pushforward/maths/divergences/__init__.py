"""Divergences between two laws: one table of six generators, and five ways to a number.

    generators    the six f's in log-ratio form, and what follows from f alone
    exact         tables, Gaussians, densities on the line
    plugin        shared-edge histograms, kernel densities, nearest neighbours
    variational   the lower bound by a critic
    fits          one Gaussian to a mixture, by the forward and by the reverse KL

Everything here takes and gives tensors; `pushforward.metrics` asks models, samples and tables, and adds errors and floors.
"""

from .exact import gaussians, on_line, tables
from .generators import TABLE, Divergence, balanced, bound, integrand, of
from .plugin import Kde, histogram, kde, knn, masses
from .variational import judged, trained

__all__ = [
    "TABLE",
    "Divergence",
    "Kde",
    "balanced",
    "bound",
    "gaussians",
    "histogram",
    "integrand",
    "judged",
    "kde",
    "knn",
    "masses",
    "of",
    "on_line",
    "tables",
    "trained",
]
