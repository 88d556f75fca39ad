"""Adversarial models: a generator and a critic, learning from each other. One line a system."""

from .gan import GAN as GAN
from .wgan import WGAN as WGAN
