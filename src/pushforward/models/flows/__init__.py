"""Flows: an invertible pushforward of a simple noise, with an exact density. One line a system."""

from .maf import MAF as MAF
from .realnvp import RealNVP as RealNVP
