"""Classical models: what the lectures start from. One line a system."""

from .gaussian_mixture import GaussianMixture as GaussianMixture
from .histogram import Histogram as Histogram
from .pca import PCA as PCA
