"""Explicit latent variables: p(x) = ∫ p(x | z) p(z) dz. One line a system."""

from .vae import VAE as VAE
