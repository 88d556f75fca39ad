"""Invertible maps: a flow is noise and a chain of these. One idea: a conditioner (none, coupling, autoregressive) x a scalar map."""

from .autoregressive import Autoregressive
from .base import Bijection, Chain, Inverse, Permutation
from .coupling import Coupling, halves
from .elementwise import Elementwise
from .image import Flatten, Split, Squeeze
from .linear import LU, ActNorm, Affine, BatchNorm
from .scalar import AffineScalar, Scalar, Spline

__all__ = [
    "LU",
    "ActNorm",
    "Affine",
    "AffineScalar",
    "Autoregressive",
    "BatchNorm",
    "Bijection",
    "Chain",
    "Coupling",
    "Elementwise",
    "Flatten",
    "Inverse",
    "Permutation",
    "Scalar",
    "Spline",
    "Split",
    "Squeeze",
    "halves",
]
