"""What one example is: its kind and shape, how raw data become tensors and tensors become what came in."""

from .alike import indexed
from .charts import Chart
from .columns import Column
from .space import Space

__all__ = ["Chart", "Column", "Space", "indexed"]
