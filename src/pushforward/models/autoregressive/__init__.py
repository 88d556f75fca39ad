"""Autoregressive models: the chain rule, one variable after another. One line a system."""

from .gpt import GPT as GPT
from .made import MADE as MADE
