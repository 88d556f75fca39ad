"""Flows: an invertible pushforward of a simple noise, with an exact density. One line a system."""

from .maf import MAF
from .realnvp import RealNVP

__all__ = ["MAF", "RealNVP"]
