"""Autoregressive models: the chain rule, one variable after another. One line a system."""

from .gpt import GPT
from .made import MADE

__all__ = ["GPT", "MADE"]
