"""Classical models: what the lectures start from. One line a system."""

from .gaussian_mixture import GaussianMixture
from .histogram import Histogram
from .pca import PCA

__all__ = ["PCA", "GaussianMixture", "Histogram"]
