"""The stability study in parts: what is run, one run, all runs, what they say together, and how that is shown."""

from .plan import ARMS, FULL, QUICK, TARGETS, Job, Plan
from .runs import floors, results

__all__ = ["ARMS", "FULL", "QUICK", "TARGETS", "Job", "Plan", "floors", "results"]
