"""Which regions of the real examples a sample reaches, how evenly, and how many different examples it has.

    ndb      bins of the real examples in which the shares differ
    modes    known modes: found, held, and how evenly
    vendi    how many different examples there are, in effect
    birthday how many pairs are nearly the same

The mathematics, and the papers, stand in `maths/modes`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, nan, sqrt
from typing import Any

import torch
from torch import Tensor

from .. import noise
from ..errors import BadData, Usage
from ..maths import clusters, discrepancy, neighbours
from ..maths import modes as regions
from ..maths.laws import numbers
from .distances import some
from .estimate import Estimate
from .features import DRAWN, Compared, compared, in_lots, rows
from .quality import Estimates, estimate

WIDE = 2000  # rows of a kernel matrix whose eigenvalues are taken


def ndb(
    real: Any, fake: Any, features: Any = None, bins: int = 100, alpha: float = 0.05, n: int = DRAWN, seed: int = 0
) -> Estimates:
    """The share of bins in which real and fake differ (`ndb`: alpha for equal laws), and the Jensen-Shannon divergence over the bins (`js`).

    The bins are placed by k-means on half of the real examples, standardised, and the other half is counted: an example that has drawn a bin to
    itself cannot be counted in it as if by chance.

    >>> x = torch.linspace(-1, 1, 400)[:, None]
    >>> ndb(x, 0.2 * x, bins=10)["ndb"].value > 0.5
    True
    """
    if bins < 2 or not 0 < alpha < 1:
        raise Usage(f"bins={bins}, alpha={alpha}: at least 2 bins and a level between 0 and 1 are awaited.")
    of = compared(real, fake, features, n, seed)
    rest, owners, k = binned(of, bins, seed)
    of_real, of_fake = (torch.bincount(owner, minlength=k) for owner in owners)
    found = regions.compared(of_real, of_fake, alpha)
    few = (f"{k} bins, so that each has 10 examples on average",) if k < bins else ()
    judged = Compared(rest, of.y, of.words, of.notes + few)
    words = f"{k} bins by k-means on {len(of.x) - len(rest):,} other real examples"
    more: dict[str, Any] = {"p_value": found.p_value, "parameters": {"bins": k, "alpha": alpha}}
    error, chance = sqrt(found.share * (1 - found.share) / k), regions.js_by_chance(k, *judged.n)
    level = f"{words}; z of two shares, p by chi-square"
    return Estimates(
        ndb=estimate(judged, "NDB/K", found.share, error, alpha, level, **more),
        js=estimate(judged, "JS over bins", found.js, found.js_error, chance, f"{words}; p by chi-square", **more),
    )


def binned(of: Compared, bins: int, seed: int) -> tuple[Tensor, list[Tensor], int]:
    """The real examples that are counted, the bin of each of them and of the fakes, and how many bins there are."""
    with noise.stream(noise.mix(seed, 3), dtype=torch.float64):
        order = noise.permutation(len(of.x))
        place, rest = of.x[order[: len(order) // 2]], of.x[order[len(order) // 2 :]]
        k = min(bins, len(rest) // 10, len(of.y) // 10)
        if k < 2:
            raise BadData(
                f"{of.n[0]} real and {of.n[1]} fake examples: at least 40 and 20 are needed, so that 2 bins have 10 of each."
            )
        centre, scale = place.mean(0), place.std(0)
        scale = torch.where(scale > 0, scale, 1.0)
        centres = clusters.clustered((place - centre) / scale, k)[0]
    return rest, [regions.nearest((part - centre) / scale, centres)[1] for part in (rest, of.y)], k


def modes(
    fake: Any,
    centres: Any = None,
    width: float = 1.0,
    within: float = 3.0,
    shares: Any = None,
    least: float = 0.1,
    classify: Callable[[Any], Any] | None = None,
    n: int = 2500,
    seed: int = 0,
) -> Estimates:
    """Which known modes a sample reaches. `good`: within so many widths of a centre; `found`: modes with a good example; `held`: with `least` of their share.

    Without centres, `classify` gives the number of each example's mode and `shares` says how many there are, or their shares (even, if not said).

    >>> from pushforward.data import toys
    >>> truth = toys.density("eight_gaussians")
    >>> modes(truth.sample(2500), truth.centres, truth.std)["found"].value
    8.0
    """
    if (centres is None) == (classify is None):
        raise Usage(
            "Either centres= of the modes (K, D) or classify=, a function that tells each example's mode, is awaited."
        )
    got = rows(fake, "fake", n, seed)
    if classify is not None:
        owner, good, p, chance = classified(got.raw, classify, shares)
        words = "the classes of the examples"
    else:
        owner, good, p, chance = placed(got.raw, numbers(centres), width, within, shares)
        words = f"the nearest of {len(p)} centres, good within {within:g} x {width:g}"
    said = f"{got.lost} of {len(got.good):,} examples are not finite: they count as not good, and in no mode"
    notes = (said,) if got.lost else ()
    out = reached(regions.caught(owner, good, p, least), (len(owner), len(got.good)), p, least, chance)
    n_all, facts = (len(got.good),), {"modes": len(p)}
    return Estimates(
        {key: Estimate(name, value, error, null, n_all, words, None, notes, parameters=facts)
         for key, (name, value, error, null) in out.items()}
    )  # fmt: skip


def reached(
    found: regions.Caught, n: tuple[int, int], p: Tensor, least: float, chance: float
) -> dict[str, tuple[str, float, float, float]]:
    """Name, value, standard error and floor of what is said of the modes, from n examples that could be placed, of how many."""
    find, hold = regions.caught_by_chance(p, n[1], least, chance if isfinite(chance) else 1.0)
    random, share = (len(p) - 1) / (2 * n[0]), found.good * n[0] / n[1]
    good = ("good examples", share, sqrt(share * (1 - share) / n[1]), chance)
    return ({"good": good} if isfinite(chance) else {}) | {
        "found": ("modes found", float(found.found), nan, find),
        "held": (f"modes with {least:g} of their share", float(found.held), nan, hold),
        "forward": ("KL(true shares || shares)", found.forward, kl_error(p, found.shares, n[0], True), random),
        "reverse": ("KL(shares || true shares)", found.reverse, kl_error(found.shares, p, n[0], False), random),
    }


def placed(raw: Any, centres: Tensor, width: float, within: float, shares: Any) -> tuple[Tensor, Tensor, Tensor, float]:
    """The nearest centre of each example, whether it is near enough, the true shares, and how often a Gaussian's draw is near enough."""
    from scipy.stats import chi2

    if centres.ndim != 2 or not width > 0 or not within > 0:
        raise Usage(
            f"centres of shape {tuple(centres.shape)}, width={width}, within={within}: centres (K, D) and positive numbers are awaited."
        )
    distance, owner = regions.nearest(numbers(raw).detach().cpu().flatten(1), centres)
    p = even(len(centres) if shares is None else shares, len(centres))
    return owner, distance <= within * width, p, float(chi2.cdf(within**2, centres.shape[1]))


def classified(raw: Any, classify: Callable[[Any], Any], shares: Any) -> tuple[Tensor, Tensor, Tensor, float]:
    """The class of each example, all of them good, and the true shares."""
    if shares is None:
        raise Usage("With classify=, shares= says how many modes there are (as shares=1000), or what share each has.")
    said = in_lots(classify, raw)
    owner, p = said[:, 0].long(), even(shares, None)
    if said.shape[1] != 1 or bool((said[:, 0] != owner).any()) or bool((owner < 0).any()) or int(owner.max()) >= len(p):
        raise BadData(f"classify is to give one whole number from 0 to {len(p) - 1} for each example.")
    return owner, torch.ones(len(owner), dtype=torch.bool), p, nan


def even(shares: Any, modes: int | None) -> Tensor:
    """Shares that sum to 1: equal ones of so many modes, or those given."""
    p = (
        torch.full((shares,), 1 / shares, dtype=torch.float64)
        if isinstance(shares, int) and shares > 0
        else numbers(shares).flatten()
    )
    if (modes is not None and len(p) != modes) or bool((p <= 0).any()) or abs(float(p.sum()) - 1) > 1e-6:
        raise Usage(
            f"shares={shares!r}: the number of modes, or positive shares that sum to 1, one for each mode, are awaited."
        )
    return p


def kl_error(p: Tensor, q: Tensor, n: int, true_first: bool) -> float:
    """The first-order error of KL(p || q) where the other of the two comes from n examples."""
    if true_first:  # the slope in q is -p / q
        return sqrt(regions.spread(q, p / q) / n) if bool((q > 0).all()) else nan
    return sqrt(regions.spread(p, (p / q).clamp(min=1e-300).log()) / n)


# ---- how many different examples ----------------------------------------------------------------------------------------


def vendi(
    real: Any,
    fake: Any,
    features: Any = None,
    kernel: str = "cosine",
    width: float = 0.0,
    n: int = DRAWN,
    seed: int = 0,
) -> Estimate:
    """The Vendi score of the fake examples: how many different ones there are in effect. The floor is that of as many real ones.

    The kernel is the cosine of two examples, or a Gaussian whose width is the median distance of the real examples unless given.

    >>> x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> found = vendi(x, x[:1].repeat(100, 1))
    >>> round(found.value, 3), found.floor > 2.5
    (1.0, True)
    """
    if kernel not in ("cosine", "gaussian") or width < 0 or (width and kernel == "cosine"):
        raise Usage(
            f"kernel={kernel!r}, width={width}: 'cosine', or 'gaussian' with a width (0: the median distance), is awaited."
        )
    of = compared(real, fake, features, n, seed)
    size = min(WIDE, *of.n)
    x, y = some(of.x, size, noise.mix(seed, 1)), some(of.y, size, noise.mix(seed, 2))
    reach = (width or discrepancy.median(x)) if kernel == "gaussian" else 0.0
    thin = (
        (f"{size:,} of each side, drawn from {of.n[0]:,} and {of.n[1]:,}: the score depends on how many",)
        if of.n != (size, size)
        else ()
    )
    words = (
        "the eigenvalues of the cosines"
        if kernel == "cosine"
        else f"the eigenvalues of a Gaussian kernel of width {reach:.3g}"
    )
    of = Compared(x, y, of.words, of.notes + thin)
    return estimate(of, "Vendi score", regions.vendi(y, reach), nan, regions.vendi(x, reach), words)


def birthday(real: Any, fake: Any, features: Any = None, n: int = DRAWN, seed: int = 0) -> Estimate:
    """How many pairs of fake examples are as near to one another as the nearest two of as many real ones: 1 in expectation for equal laws.

    c pairs among s examples are what drawing evenly from about s^2 / 2c different ones gives (Arora, Risteski & Zhang, "Do GANs learn the
    distribution?", ICLR 2018). For equal laws of numbers P(c or more) = 2^-c: each next nearest pair is of either side alike.

    >>> x = torch.linspace(0, 1, 50)[:, None] ** 2
    >>> birthday(x, x[:5].repeat(10, 1)).value > 100
    True
    """
    of = compared(real, fake, features, n, seed)
    size = min(of.n)
    x, y = some(of.x, size, noise.mix(seed, 1)), some(of.y, size, noise.mix(seed, 2))
    reach, own, found = neighbours.twins(x, y)
    told = (
        f"as of draws from about {size * (size - 1) / (2 * found):,.0f} different examples"
        if found
        else "no repetition seen"
    )
    more = () if own == 1 else (f"{own} pairs of the real examples are as near, so there is no p-value",)
    words = f"pairs within {reach:.3g}, the smallest distance of {size:,} real examples"
    of = Compared(x, y, of.words, of.notes)
    p_value = 2.0**-found if own == 1 else None
    return estimate(of, "near twins", float(found), nan, float(own), words, p_value=p_value, notes=(told, *more))
