"""How odd an example is for a model, with a p-value, and which of its columns make it so.

    likelihood    s(x) = -log p(x), minus the bound, or the energy: whichever the model has
    typicality    s(x) = |log p(x) - m| / d,   m the median of log p over reference examples, d their spread on the side of m that x is on
    ratio         s(x) = log p_background(x) - log p(x)
    latent        s(x) = (z - m)' S^-1 (z - m),  z the code of x, m and S mean and covariance of the codes of reference examples

High is odd. In many variables what is likeliest is not what is typical: near the mode of a Gaussian there is next to no mass, and
smooth pictures may be likelier than any the model has seen (Nalisnick et al. 2019), so that typicality asks on both sides. The ratio
divides by what is common to all such data (Ren et al. 2019).

    p = (1 + #{i: s_i >= s(x)}) / (n + 1),   s_i the scores of n reference examples that the model did not learn from

If x comes from their law, P(p <= a) <= a, whatever model and score are (Vovk, Gammerman & Shafer 2005): split conformal prediction.
Ties broken at random make p exactly uniform. Flags hold the expected share of false ones among them below `rate`: Benjamini & Hochberg 1995,
which stays right for p-values with common reference examples (Bates et al. 2023).

    contribution of column j = s(x) - E s(x with x_j drawn anew),   x_j ~ p(x_j | the rest) where that is exact, else from other examples

With the likelihood and exact conditionals that is the surprise of a cell given the rest of its row, beyond the surprise to be expected.

N rows of D columns, n reference examples:   scores, p_values, flags (N,)   attribution (N, D)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import noise
from ..errors import Unable, Usage, did_you_mean
from .answer import Anomaly
from .blame import attributed
from .calibration import benjamini_hochberg, conformal
from .rows import Rows, read, reference_of, unheard
from .scores import finite, number, scored

WAYS = ("likelihood", "typicality", "ratio", "latent")
TIES = ("count", "random")
MANY = 50  # variables from which the typical is no longer the likely, and typicality is the default


def anomaly(
    model: Any,
    x: Any,
    way: str = "auto",
    reference: Any = None,
    background: Any = None,
    given: Any = None,
    reference_given: Any = None,
    rate: float = 0.05,
    attribute: int = 20,
    ties: str = "count",
    seed: int = 0,
) -> Anomaly:
    """How odd each row of x is for a fitted model: a score, a p-value, a flag, and what each column adds to it.

    `way` is likelihood, typicality, ratio (against `background`, another fitted model) or latent. `reference` are real examples that the
    model has not learned from; without them the p-values are against draws of the model itself. `attribute` is how many rows, the oddest
    ones, have their columns told apart.

    >>> from pushforward.models.classical import GaussianMixture
    >>> x = np.random.default_rng(0).normal(size=(600, 2))
    >>> found = anomaly(GaussianMixture(components=1).fit(x[:300]), np.concatenate([x[590:], [[0.0, 9.0]]]), reference=x[300:590])
    >>> int(found.oddest(1)[0]), found.blamed(10), bool(found.flags[10])
    (10, 'x1', True)
    """
    model.check_fitted()
    check(rate, attribute, ties)
    way, why = choose(model, way, background)
    rows = read(model, x, given, "x")
    held = reference_of(model, reference, reference_given, rows, rate, seed)
    scorer, words, held = scored(model, way, background, held, seed)
    scores = finite(scorer, rows, "x")
    p_values = flags = None
    if held is not None:
        null = finite(scorer, held, "reference")
        p_values = conformal(scores, null, noise.mix(seed, 4) if ties == "random" else None)
        flags = benjamini_hochberg(p_values, rate)
    parts, how = attributed(model, scorer, rows, scores, held, attribute, noise.mix(seed, 5))
    names = model.space.names or tuple(f"x{j}" for j in range(model.space.size))
    index = x.index if hasattr(x, "iloc") and hasattr(x, "index") else None
    told = (f"{words}{why}", *unheard(rows), *against_what(model, held, len(rows), rate), how)
    n = 0 if held is None else len(held)
    return Anomaly(scores, p_values, flags, parts, tuple(names), way, told, rate, n, index)


def against_what(model: Any, held: Rows | None, n: int, rate: float) -> list[str]:
    """What the p-values are against, in words."""
    if held is None:
        return [f"no p-values: {type(model).__name__} cannot sample, and no reference= was given"]
    few = f"a single odd row among {n:,} cannot be flagged: that takes {int(n / rate):,} reference examples"
    return [f"p-values against {len(held):,} {held.words}", *([few] if n / (len(held) + 1) > rate else [])]


def check(rate: float, attribute: int, ties: str) -> None:
    if not 0 < rate < 1:
        raise Usage(f"rate={rate!r}: a share between 0 and 1 is awaited, as 0.05.")
    if not isinstance(attribute, int | np.integer) or attribute < 0:
        raise Usage(f"attribute={attribute!r}: the number of rows whose columns are told apart is awaited, 0 for none.")
    if ties not in TIES:
        raise Usage(f"ties={ties!r} is not one of {', '.join(TIES)}.{did_you_mean(ties, TIES)}")


def choose(model: Any, way: str, background: Any) -> tuple[str, str]:
    """The way, and why where it was left to us."""
    if way not in ("auto", *WAYS):
        raise Usage(f"way={way!r} is not one of auto, {', '.join(WAYS)}.{did_you_mean(way, WAYS)}")
    nats, why = number(model), ""
    if way == "auto" and background is not None:
        way = "ratio"
    elif way == "auto" and nats:
        large = model.space.size >= MANY
        way, why = ("typicality" if large else "likelihood"), f"; chosen for {model.space.size} variables"
    elif way == "auto":
        way, why = "latent", f"; chosen as {type(model).__name__} has no likelihood"
    if way == "ratio" and background is None:
        raise Usage("way='ratio' needs background=, another fitted model: a simple one, or one of noisy data.")
    if way != "ratio" and background is not None:
        raise Usage(f"background= is for way='ratio', and this is {way!r}.")
    if way == "latent" and "encode" not in model.abilities:
        raise Unable(f"No way to score: {model.reason('encode')}" if not nats else str(model.reason("encode")))
    if way != "latent" and not nats:
        raise Unable(
            f"There is no likelihood, bound or energy, so way={way!r} has no number. {model.reason('log_prob')}"
        )
    return way, why


__all__ = ["Anomaly", "anomaly", "benjamini_hochberg", "conformal"]
