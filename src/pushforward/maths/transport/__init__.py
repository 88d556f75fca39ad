"""What it costs to carry one law into another: on the line, along random lines, between small sets, and from below by a critic."""

from .dual import judged, trained
from .line import on_line, quantiles, sliced
from .plans import LARGEST, assigned, bures, planned

__all__ = ["LARGEST", "assigned", "bures", "judged", "on_line", "planned", "quantiles", "sliced", "trained"]
