"""What every lesson writes on: checks, figures, rows, and pictures of small games."""

from .board import Board, Check
from .phase import path, portrait
from .style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION

__all__ = ["BLUE", "GREEN", "GREY", "INK", "ORANGE", "PURPLE", "SKY", "VERMILION", "Board", "Check", "path", "portrait"]
