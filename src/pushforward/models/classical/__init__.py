"""Classical models: what the lectures start from. One line a system."""

from .bayes_net import BayesNet as BayesNet
from .bernoulli_mixture import BernoulliMixture as BernoulliMixture
from .copula import Copula as Copula
from .counts import Counts as Counts
from .empirical import Empirical as Empirical
from .factor_analysis import FactorAnalysis as FactorAnalysis
from .factorised import Factorised as Factorised
from .gaussian import Gaussian as Gaussian
from .gaussian_mixture import GaussianMixture as GaussianMixture
from .gaussianization import Gaussianization as Gaussianization
from .histogram import Histogram as Histogram
from .ica import ICA as ICA
from .inverse_transform import InverseTransform as InverseTransform
from .kernel_density import KernelDensity as KernelDensity
from .markov import Markov as Markov
from .pca import PCA as PCA
