"""Energy-based models: p(x) = exp(-E(x)) / Z, low energy where examples are. One line a system."""

from .rbm import RBM as RBM
