"""Distances that need draws of both sides and no density: Wasserstein and the maximum mean discrepancy.

    line      W_p of one variable, exact for the samples at hand
    exact     W_p of two sets of points by the best matching or plan; of two Gaussians (p = 2) by its formula
    sliced    the mean of W_p along random lines: another, smaller distance that costs n log n
    dual      W_1 from below by a 1-Lipschitz critic

The mathematics, and the papers, stand in `maths/transport` and `maths/discrepancy`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Usage
from ..maths import discrepancy, transport
from ..maths.laws import Normal
from ..maths.transport.line import line, sliced
from .choices import check_options, estimator_of
from .estimate import Estimate
from .features import Compared, compared
from .floors import floor
from .sides import Side, pair, side

OPTIONS: dict[str, tuple[str, ...]] = {
    "line": (),
    "exact": (),
    "sliced": ("projections",),
    "dual": ("critic", "hidden", "steps"),
}
FLOORS = {"exact": 3, "dual": 1}  # shuffles, where not 5
DRAWN = {"line": 10_000, "exact": 500, "sliced": 5000, "dual": 4000}  # examples of a law, where n= says nothing else
MATCHED = 500  # examples up to which `auto` takes the exact transport
MOST = 6000  # examples of both sides whose kernel matrix is formed


def wasserstein(
    p: Any,
    q: Any,
    order: float = 1.0,
    estimator: str = "auto",
    n: int | None = None,
    seed: int = 0,
    floors: int | None = None,
    features: Any = None,
    **options: Any,
) -> Estimate:
    """The Wasserstein distance of two models, samples or tables of numbers, in the units of the data or of `features` of them, P being the real side.
    Options, by estimator: see OPTIONS.

    >>> x = torch.linspace(0, 1, 100)
    >>> round(float(wasserstein(x, x + 2)), 6)
    2.0
    """
    if not isinstance(order, int | float) or order < 1:
        raise Usage(f"order={order!r}: a number of at least 1 is awaited, as 1 (earth mover) or 2.")
    one, two, word = side(p, "p"), side(q, "q"), estimator_of(estimator, OPTIONS)
    if features is None and one.table is not None and two.table is not None:
        return of_tables(one, two, order)
    if (
        features is None
        and order == 2
        and word in ("auto", "exact")
        and isinstance(one.law, Normal)
        and isinstance(two.law, Normal)
    ):
        return Estimate("W2(P, Q)", transport.bures(one.law, two.law), 0.0, 0.0, (), "the formula for two Gaussians")
    if features is None:
        p, q = one, two
    of = matter(p, q, features, n or DRAWN.get(word, DRAWN["line"]), seed)
    x, y = of.x, of.y
    name = fitting(x, y) if word == "auto" else word
    check_options(name, options, OPTIONS)
    by, words = way(name, x, order, seed, options)
    value, error = by(x, y)
    null = floor(by, x, y, FLOORS.get(name, 5) if floors is None else floors, seed)
    title = f"{'S' if name == 'sliced' else ''}W{order:g}(P, Q)"
    return Estimate(title, value, error, null, of.n, words, notes=of.notes, features=of.words)


def matter(p: Any, q: Any, features: Any, n: int, seed: int) -> Compared:
    """What is compared. Without features, what has no distance is refused and not left out."""
    if features is not None:
        return compared(p, q, features, n, seed)
    return Compared(*pair(side(p, "p"), side(q, "q"), n, seed).features)


def fitting(x: Tensor, y: Tensor) -> str:
    """The estimator that suits the examples."""
    if x.shape[1] == 1:
        return "line"
    return "exact" if len(x) == len(y) <= MATCHED else "sliced"


def way(name: str, x: Tensor, order: float, seed: int, options: dict[str, Any]) -> tuple[Any, str]:
    """The estimator, and what it is in words."""
    if name == "line":
        if x.shape[1] > 1:
            raise BadData(
                f"The examples have {x.shape[1]} variables, and 'line' is for one. Take 'sliced', or 'exact' for a few hundred examples."
            )
        return partial(line, order=order), "the quantile functions"
    if name == "exact":
        return partial(transport.planned, order=order), "the best plan between the points"
    if name == "sliced":
        lines = options.get("projections", 128)
        return partial(sliced, order=order, seed=seed, **options), f"{lines} random lines"
    if order != 1:
        raise Usage(f"order={order:g}: the dual by a critic is that of order 1. Take 'exact' or 'sliced'.")
    critic, left = options.get("critic"), {key: value for key, value in options.items() if key != "critic"}
    if critic is None:
        words = "a 1-Lipschitz critic on a quarter of the examples: a lower bound"
        return lambda a, b: transport.trained(a, b, seed=seed, **left)[1:], words
    words = "the critic given, divided by the steepest slope seen: a lower bound if none is steeper"
    return lambda a, b: transport.judged(critic, a, b, seed)[:2], words


def of_tables(p: Side, q: Side, order: float) -> Estimate:
    """Two tables whose outcomes are numbers on a line: exact."""
    assert p.table is not None and q.table is not None
    for table in (p.table, q.table):
        strange = next((o for o in table.table if not isinstance(o, int | float)), None)
        if strange is not None:
            raise BadData(
                f"The outcome {strange!r} is not a number, so there is no distance to others. Compare with metrics.divergence."
            )
    places = [torch.tensor([float(o) for o in t.table], dtype=torch.float64)[:, None] for t in (p.table, q.table)]  # type: ignore[arg-type]
    masses = [torch.tensor(list(t.table.values()), dtype=torch.float64) for t in (p.table, q.table)]
    value = float(transport.on_line(places[0], places[1], order, masses[0], masses[1])) ** (1 / order)
    return Estimate(f"W{order:g}(P, Q)", value, 0.0, 0.0, (), "the quantile functions of two tables")


def mmd(
    p: Any,
    q: Any,
    kernel: str = "gaussian",
    width: float = 0.0,
    n: int = 1000,
    shuffles: int = 500,
    seed: int = 0,
    features: Any = None,
) -> Estimate:
    """The squared maximum mean discrepancy, unbiased (it may be negative), with the p-value that P and Q are one law.

    n examples are drawn from a side that is a law. The width of the Gaussian kernel is the median distance unless given.
    `features` says what is compared, P being the real side.

    >>> x, y = torch.arange(40.0).reshape(2, 20)
    >>> mmd(x, y).p_value < 0.01
    True
    """
    if width < 0 or (width and kernel != "gaussian"):
        raise Usage(f"width={width}: a positive width is for the gaussian kernel; 0 is the median distance.")
    if shuffles < 1:
        raise Usage(f"shuffles={shuffles}: at least 1 is needed for a p-value.")
    of = matter(p, q, features, n, seed)
    x, y = (some(part, MOST // 2, noise.mix(seed, i)) for i, part in enumerate((of.x, of.y)))
    k, used = discrepancy.gram(torch.cat([x, y]), kernel, width)
    value, error = discrepancy.squared(k, len(x))
    null = discrepancy.shuffled(k, len(x), shuffles, seed)
    kind = f"a Gaussian kernel of width {used:.3g}" if kernel == "gaussian" else "the cubic kernel"
    left = f"drawn from {of.n[0]:,} and {of.n[1]:,} examples: the kernel between all would not fit"
    notes = (left,) if (len(x), len(y)) != of.n else ()
    words = f"{kind}, unbiased; p from {shuffles} shuffles"
    return Estimate(
        "MMD2(P, Q)",
        value,
        error,
        float(null.mean()),
        (len(x), len(y)),
        words,
        discrepancy.p_value(value, null),
        of.notes + notes,
        of.words,
    )


def some(x: Tensor, most: int, seed: int) -> Tensor:
    if len(x) <= most:
        return x
    with noise.stream(seed):
        return x[noise.permutation(len(x))[:most]]
