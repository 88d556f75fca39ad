"""The one loop, what it is told (recipe), where it runs (machine), what it says (journal), what it keeps (checkpoint)."""

from .journal import Journal
from .loop import play
from .machine import Machine
from .recipe import Recipe
from .solving import Lots

__all__ = ["Journal", "Lots", "Machine", "Recipe", "play"]
