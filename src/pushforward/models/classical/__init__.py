"""Classical models: what the lectures start from. One line a system."""

from .histogram import Histogram

__all__ = ["Histogram"]
