"""The names that a caller may say: of an estimator, and of its options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import Usage, did_you_mean

Options = Mapping[str, tuple[str, ...]]


def estimator_of(name: str, known: Options) -> str:
    """The estimator by name, "auto" among them.

    >>> estimator_of("Monte Carlo", {"monte-carlo": ()})
    'monte-carlo'
    """
    word = str(name).strip().lower().replace(" ", "-").replace("_", "-")
    if word != "auto" and word not in known:
        raise Usage(f"There is no estimator {name!r}.{did_you_mean(word, known)} There are: auto, {', '.join(known)}.")
    return word


def check_options(name: str, given: Iterable[str], known: Options) -> None:
    """Each option one that the estimator takes."""
    for option in given:
        if option not in known[name]:
            takes = f"It takes: {', '.join(known[name]) or 'nothing'}."
            raise Usage(f"The estimator {name!r} takes no {option!r}.{did_you_mean(option, known[name])} {takes}")
