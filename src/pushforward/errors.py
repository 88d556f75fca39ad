"""What can go wrong, said so that a reader knows what came, what was awaited and what to do.

Every error that a user can cause is a `Problem`; its `exit_code` is what the command line returns.
"""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Iterable

HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Problem(Exception):
    """A mistake with a name: one sentence for people, one exit code for scripts."""

    exit_code = 1


class Usage(Problem, ValueError):
    """A wrong name, field or combination of options."""

    exit_code = 2


class Unable(Problem, AttributeError):
    """The mathematics of a model does not give what was asked for."""

    exit_code = 2


class BadData(Problem, ValueError):
    """Values that no model of this space can take: NaN, an unseen category, a wrong shape."""

    exit_code = 3


class BadType(BadData, TypeError):
    """Values of a type that holds no numbers."""


class BadFile(Problem, ValueError):
    """A file or folder that cannot be read, or is not what its name says."""

    exit_code = 3


class Diverged(Problem, RuntimeError):
    """The loss became infinite or NaN and going back did not help."""

    exit_code = 4


def caution(text: str) -> None:
    """A warning that names the line of the user's which led to it, not one in here or in torch."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and (
        frame.f_code.co_filename.startswith(HERE) or f"{os.sep}torch{os.sep}" in frame.f_code.co_filename
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def not_fitted(name: str) -> Exception:
    """The error of an unfitted model; scikit-learn's own class where scikit-learn is in use, so that its tools know it."""
    text = f"This {name} is not fitted yet. Call fit(x) first, or load a saved model with pushforward.load(path)."
    if "sklearn" in sys.modules:
        from sklearn.exceptions import NotFittedError

        return NotFittedError(text)
    return Usage(text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word, or nothing.

    >>> did_you_mean("GTP", ["GPT", "VAE"])
    " Did you mean 'GPT'?"
    """
    names = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(str(word).lower(), names, n=1, cutoff=0.5)
    return f" Did you mean {names[close[0]]!r}?" if close else ""
