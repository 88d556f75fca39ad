# Written by supply/api.py; tests/test_types.py holds it against the package.
from . import data as data
from . import engine as engine
from . import errors as errors
from . import graphs as graphs
from . import lessons as lessons
from . import maths as maths
from . import metrics as metrics
from . import nets as nets
from . import noise as noise
from . import workbench as workbench
from .catalogue import Preset
from .catalogue import load as load
from .data import Examples as Examples
from .engine import Recipe as Recipe
from .errors import BadData as BadData
from .errors import BadFile as BadFile
from .errors import Diverged as Diverged
from .errors import Problem as Problem
from .errors import Unable as Unable
from .errors import Usage as Usage
from .maths.pushforward import Pushforward as Pushforward
from .metrics import expect as expect
from .model import Model as Model
from .models.adversarial import GAN as GAN
from .models.adversarial import TabularGAN as TabularGAN
from .models.autoregressive import GPT as GPT
from .models.autoregressive import MADE as MADE
from .models.classical import ICA as ICA
from .models.classical import PCA as PCA
from .models.classical import BayesNet as BayesNet
from .models.classical import BernoulliMixture as BernoulliMixture
from .models.classical import Copula as Copula
from .models.classical import Counts as Counts
from .models.classical import Empirical as Empirical
from .models.classical import FactorAnalysis as FactorAnalysis
from .models.classical import Factorised as Factorised
from .models.classical import Gaussian as Gaussian
from .models.classical import Gaussianization as Gaussianization
from .models.classical import GaussianMixture as GaussianMixture
from .models.classical import Histogram as Histogram
from .models.classical import InverseTransform as InverseTransform
from .models.classical import KernelDensity as KernelDensity
from .models.classical import Markov as Markov
from .models.energy import RBM as RBM
from .models.flows import MAF as MAF
from .models.flows import RealNVP as RealNVP
from .models.latent import VAE as VAE
from .space import Space as Space
from .workbench.comparing import compare as compare

__version__: str
CTGAN: Preset
GAN_DP: Preset
R3: Preset
TVAE: Preset
WGAN: Preset
WGAN_GP: Preset
f_GAN: Preset
