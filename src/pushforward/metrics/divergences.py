"""How far one law is from another, as an f-divergence: by what the two sides can be asked for.

    exact          two tables, two Gaussians                            no error
    monte-carlo    two densities, of which one can be drawn from        mean of f at draws; unbiased
    counts         examples of discrete rows, tables of counts          shares of whole rows
    histogram      examples of few variables, codes and gaps too        shares of cells with shared edges
    kde            examples of few numbers                              kernel densities
    knn            examples of some numbers                             distances to the k-th neighbour; little bias
    variational    examples of many variables                           the lower bound of a small critic, on examples held out

The mathematics, and the papers, stand in `maths/divergences`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Unable, Usage
from ..maths import divergences as maths
from ..maths.divergences import Divergence
from ..maths.divergences.plugin import counted, standard
from ..maths.laws import Finite, Normal, plain
from .choices import check_options, estimator_of
from .estimate import Estimate
from .floors import floor
from .sides import Pair, Side, drawn, pair, side

OPTIONS: dict[str, tuple[str, ...]] = {
    "exact": (),
    "monte-carlo": (),
    "counts": ("smooth",),
    "histogram": ("bins", "smooth"),
    "kde": (),
    "knn": ("k",),
    "variational": ("critic", "hidden", "steps"),
}
FLOORS = {"variational": 1}  # shuffles, where not 5: it trains a network for each
NEAR = 8  # numbers up to which neighbours are near enough


def divergence(
    p: Any,
    q: Any,
    which: str = "js",
    estimator: str = "auto",
    n: int = 10_000,
    seed: int = 0,
    floors: int | None = None,
    **options: Any,
) -> Estimate:
    """D_f(P || Q) of two models, samples or tables; `which` is kl, reverse_kl, pearson, hellinger, js or gan.

    n examples are drawn of a law. The floor is the mean over `floors` shuffles between the sides. Options, by estimator: see OPTIONS.

    >>> import numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(2, 2000, 1))
    >>> float(divergence(x, y + 1, "kl", estimator="knn")) > 0.4              # 1/2 in truth
    True
    """
    d, one, two = maths.of(which), side(p, "p"), side(q, "q")
    name, both = chosen(one, two, estimator, d, n, seed)
    check_options(name, options, OPTIONS)
    if name == "exact":
        return exact(d, one, two)
    if name == "monte-carlo":
        return monte_carlo(d, one, two, n, seed)
    if one.table is not None:
        return of_counts(d, one, two, **options)
    both = both or pair(one, two, n, seed)
    return of_samples(d, name, both, FLOORS.get(name, 5) if floors is None else floors, seed, options)


def chosen(p: Side, q: Side, estimator: str, d: Divergence, n: int, seed: int) -> tuple[str, Pair | None]:
    """The estimator by name, and the examples where they had to be looked at to choose."""
    word = estimator_of(estimator, OPTIONS)
    if p.table is not None or q.table is not None:
        return of_a_table(p, q, word, n, seed), None
    if word == "auto" and formula(p, q, d):
        return "exact", None
    lack = [one.what for one in (p, q) if one.log_prob is None]
    if not lack and p.sample is None and q.sample is None:
        lack = ["neither side, for draws,"]
    if word == "exact" and not (isinstance(p.law, Normal) and isinstance(q.law, Normal)):
        raise Unable(
            f"Exact is for two tables or two Gaussians; these are {p.what} and {q.what}. Leave estimator='auto'."
        )
    if word == "monte-carlo" and lack:
        raise Unable(
            f"Monte Carlo asks both sides for log_prob and one for draws; {lack[0]} has none. Leave estimator='auto'."
        )
    if word != "auto":
        return word, None
    if not lack:
        return "monte-carlo", None
    both = pair(p, q, n, seed)
    return fitting(both), both


def formula(p: Side, q: Side, d: Divergence) -> bool:
    """Whether there is one: two Gaussians, for JS and GAN on the line or with one covariance."""
    if not (isinstance(p.law, Normal) and isinstance(q.law, Normal)):
        return False
    return d.name not in ("js", "gan") or p.law.size == 1 or torch.equal(p.law.covariance, q.law.covariance)


def of_a_table(p: Side, q: Side, word: str, n: int, seed: int) -> str:
    """Exact for two tables of probabilities, else by counts: a side that is no table is drawn from and counted."""
    for one in (p, q):
        if one.table is None:
            raw = drawn(one, n, seed)
            counts = Counter(map(plain, raw.to_numpy() if hasattr(raw, "to_numpy") else raw))
            one.table, one.weight = Finite({key: count / len(raw) for key, count in counts.items()}), float(len(raw))
    name = "exact" if p.weight == q.weight == inf else "counts"
    if word not in ("auto", name):
        raise Usage(f"These are tables, or one is; their divergence is by {name!r}, not {word!r}.")
    return name


def fitting(both: Pair) -> str:
    """The estimator that suits the examples."""
    x, y, codes = both.x, both.y, both.codes
    if bool(codes.all()) and len(torch.unique(torch.cat([x, y]), dim=0)) * 5 <= min(len(x), len(y)):
        return "counts"
    if bool(codes.any()) or bool(torch.isnan(x).any()) or bool(torch.isnan(y).any()):
        return "histogram" if x.shape[1] <= 3 else "variational"
    ties = len(torch.unique(x, dim=0)) < 0.98 * len(x) or len(torch.unique(y, dim=0)) < 0.98 * len(y)
    if x.shape[1] > NEAR or min(len(x), len(y)) < 20:
        return "variational" if min(len(x), len(y)) >= 20 else "histogram"
    return "knn" if not ties else "histogram" if x.shape[1] <= 3 else "variational"


# ---- the ways -----------------------------------------------------------------------------------------------------------


def aligned(p: Finite, q: Finite) -> tuple[Tensor, Tensor]:
    """The probabilities of two tables in one order; what a side lacks has mass 0."""
    outcomes = [*p.table, *(o for o in q.table if o not in p.table)]
    found = [torch.tensor([t.table.get(o, 0.0) for o in outcomes], dtype=torch.float64) for t in (p, q)]
    return found[0], found[1]


def apart(d: Divergence, p: Tensor, q: Tensor) -> tuple[str, ...]:
    """A word about mass where the other side has none."""
    lost, gained = float(p[q == 0].sum()), float(q[p == 0].sum())
    said = []
    if lost and gained and 1 - lost < 1e-12:
        said.append(
            "P and Q have no outcome in common"
            + (", so it is infinite" if d.most == inf else f", so it is at its largest, {d.most:.4g}")
        )
    elif lost and d.far == inf:
        said.append(f"P has mass {lost:.4g} where Q has none, so it is infinite")
    elif gained and d.zero == inf:
        said.append(f"Q has mass {gained:.4g} where P has none, so it is infinite")
    return tuple(said)


def exact(d: Divergence, p: Side, q: Side) -> Estimate:
    if p.table is None or q.table is None:
        return Estimate(
            str(d),
            maths.gaussians(d, p.law, q.law),
            0.0,
            d.least,
            (),
            f"the formula for two Gaussians of {p.law.size} variables",
        )
    a, b = aligned(p.table, q.table)
    return Estimate(
        str(d), maths.tables(d, a, b), 0.0, d.least, (), f"the sum over {len(a)} outcomes", notes=apart(d, a, b)
    )


def of_counts(d: Divergence, p: Side, q: Side, smooth: float = 0.5) -> Estimate:
    """Tables of which at least one was counted: its counts are smoothed, and make the error."""
    assert p.table is not None and q.table is not None
    shares, sizes = aligned(p.table, q.table), (p.weight, q.weight)
    plain = shares
    shares = tuple(  # type: ignore[assignment]
        share if n == inf else (share * n + smooth) / (n + smooth * len(share))
        for share, n in zip(shares, sizes, strict=True)
    )
    value, error = maths.masses(d, shares[0].log(), shares[1].log(), *sizes)
    # Two samples of one law: to first order, chi2 of (cells - 1) degrees of freedom, f''(1) / 2 (1/n + 1/m) each.
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    curve = float(torch.autograd.grad(d.slope(zero), zero)[0])
    floor = d.least + curve / 2 * (len(shares[0]) - 1) * sum(1 / n for n in sizes)
    words = f"shares of {len(shares[0])} outcomes" + (f", {smooth:g} added to each count" if smooth else "")
    notes = tuple(f"without what was added: {note}" for note in apart(d, *plain)) if smooth else apart(d, *plain)
    return Estimate(str(d), value, error, floor, tuple(int(n) for n in sizes if n < inf), words, notes=notes)


def monte_carlo(d: Divergence, p: Side, q: Side, n: int, seed: int) -> Estimate:
    """The mean of f(p/q) at draws: of both sides in even parts where both can be drawn from, so that neither's tail is overlooked."""
    check_measures(p, q)
    found = [(i, ratio(p, q, one.sample(n, seed=noise.mix(seed, i)))) for i, one in enumerate((p, q)) if one.sample]
    if len(found) == 2:
        parts = [maths.balanced(d, v) for _, v in found]
        words = "Monte Carlo, both densities at draws of both"
    else:
        parts = [d.f(v) if i else d.tail(v) for i, v in found]
        words = f"Monte Carlo, both densities at draws of {'PQ'[found[0][0]]} alone: what it never visits is not seen"
    value = sum(float(part.mean()) for part in parts) / len(parts)
    error = sum(float(part.var()) / len(part) for part in parts) ** 0.5 / len(parts)
    strange = any(bool(torch.isinf(v).any()) for _, v in found)
    notes = ("some draws of one side are impossible under the other",) if strange else ()
    sizes = tuple(len(v) for _, v in found)
    return Estimate(str(d), value, error if isfinite(value) else float("nan"), d.least, sizes, words, notes=notes)


def check_measures(p: Side, q: Side) -> None:
    if p.space and q.space and p.space.measure != q.space.measure:
        raise BadData(
            f"p is a law against the {p.space.measure} measure, q against the {q.space.measure} one: their densities cannot be compared."
        )


def ratio(p: Side, q: Side, raw: Any) -> Tensor:
    """log p/q at draws."""
    assert p.log_prob is not None and q.log_prob is not None
    with torch.no_grad():
        a, b = (torch.as_tensor(one.log_prob(raw)).detach().cpu().double().reshape(-1) for one in (p, q))  # type: ignore[misc]
    v = a - b
    wrong = torch.isnan(v)
    if bool(wrong.any()):
        i = int(wrong.nonzero()[0])
        raise BadData(
            f"log_prob is {float(a[i])} under p and {float(b[i])} under q for draw {i}: no ratio. A law must allow its own draws."
        )
    return v


def of_samples(d: Divergence, name: str, both: Pair, floors: int, seed: int, options: dict[str, Any]) -> Estimate:
    """An estimate from examples alone, and its floor by shuffling them between the sides."""
    way = (
        cells_of(d, name, both, options)
        if name in ("counts", "histogram")
        else numbers_of(d, name, both, seed, options)
    )
    value, error = way.by(way.x, way.y)
    notes: tuple[str, ...] = ()
    if name in ("counts", "histogram") and value == inf:
        notes = ("a cell that one side hit was missed by the other, so it is infinite; smooth=0.5 makes it finite",)
    elif name in ("counts", "histogram") and not shared(name, both, options):
        notes = (
            f"P and Q hit no cell in common{': only what was added to the counts keeps this finite' if d.most == inf else ''}",
        )
    null = floor(way.by, way.x, way.y, floors, seed)
    return Estimate(str(d), value, error, null, (len(way.x), len(way.y)), way.words, notes=notes)


@dataclass
class Way:
    """An estimator with the numbers that it takes, and in words."""

    x: Tensor
    y: Tensor
    by: Callable[[Tensor, Tensor], tuple[float, float]]
    words: str


def cells_of(d: Divergence | str, name: str, both: Pair, options: dict[str, Any]) -> Way:
    """By counting: whole rows, or cells with shared edges."""
    smooth = options.get("smooth", 0.5)
    added = f", {smooth:g} added to each count" if smooth else ""
    if name == "counts":
        x, y = both.x.nan_to_num(-1), both.y.nan_to_num(-1)
        return Way(x, y, partial(counted, d, **options), f"shares of whole rows{added}")
    width = f"{options['bins']} bins" if options.get("bins") else "bins of Freedman and Diaconis's width"
    by = partial(maths.histogram, d, codes=both.codes, **options)
    return Way(both.x, both.y, by, f"histograms with shared edges, {width}{added}")


def shared(name: str, both: Pair, options: dict[str, Any]) -> bool:
    """Whether any cell was hit by both sides: else the Hellinger distance of the counts is 2."""
    way = cells_of("hellinger", name, both, options | {"smooth": 0.0})
    return way.by(way.x, way.y)[0] < 2 - 1e-12


def numbers_of(d: Divergence, name: str, both: Pair, seed: int, options: dict[str, Any]) -> Way:
    """By distances, kernels or a critic."""
    x, y = both.features
    if name == "kde":
        return Way(x, y, partial(maths.kde, d, seed=seed), "Gaussian kernel densities, Scott's bandwidth")
    if name == "knn":
        centre, scale = standard(x, y)
        words = (
            f"distances to the {options.get('k', 5)}th nearest neighbour, standardised by the side that spreads less"
        )
        return Way((x - centre) / scale, (y - centre) / scale, partial(maths.knn, d, **options), words)
    critic, left = options.get("critic"), {key: value for key, value in options.items() if key != "critic"}
    if critic is None:
        words = "the lower bound of a critic, on a quarter of the examples"
        return Way(x, y, lambda a, b: maths.trained(d, a, b, seed=seed, **left)[1:], words)
    if left:
        raise Usage("A critic that is given is not trained: leave hidden= and steps= out.")
    return Way(x, y, partial(maths.judged, d, critic), "the lower bound of the critic given")
