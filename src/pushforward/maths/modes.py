"""Which regions a sample reaches, and how evenly: bins, known modes, and how many different examples there are.

    bins     K regions by k-means; two-proportion z of each, |a - b| / (c (1 - c) (1/n + 1/m))^1/2 with c the share of both together;
             NDB is the number of bins with |z| above the quantile of alpha: about alpha K where the laws are one
    modes    K centres; an example is good where it lies within `within` widths of its nearest centre, and a mode is found by 1 good example,
             or held by a tenth of its share; KL both ways between the shares of the nearest centres and the true ones
    Vendi    exp of the entropy of the eigenvalues of K / n, k(x, x) = 1: n where all examples are different, 1 where they are the same

Richardson & Weiss, "On GANs and GMMs", NeurIPS 2018 (NDB); Srivastava et al., "VEEGAN", NIPS 2017, and Lin et al., "PacGAN", NeurIPS 2018 (modes);
Friedman & Dieng, "The Vendi score", TMLR 2023.
x (n, D)   counts a, b (K,)   centres (K, D)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import torch
from torch import Tensor

from ..errors import BadData

TILE = 1 << 20  # numbers of a block of distances


def nearest(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The distance to the nearest centre and which it is: (N,), (N,)."""
    if x.shape[1] != centres.shape[1]:
        raise BadData(f"The examples have {x.shape[1]} variables and the centres {centres.shape[1]}.")
    rows = max(1, TILE // max(centres.shape))
    parts = [
        torch.cdist(part, centres, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        for part in x.double().split(rows)
    ]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])


# ---- bins ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bins:
    """What the counts of two samples in K bins say."""

    different: int
    share: float  # different / K
    chi2: float  # of the hypothesis that the shares are one
    p_value: float
    js: float
    js_error: float


def compared(a: Tensor, b: Tensor, alpha: float = 0.05) -> Bins:
    """Counts of two samples in the same bins.

    >>> compared(torch.tensor([50, 50]), torch.tensor([52, 48])).different
    0
    """
    from scipy.stats import chi2, norm

    a, b = a.double(), b.double()
    n, m = float(a.sum()), float(b.sum())
    both = (a + b) / (n + m)
    open_ = (both > 0) & (both < 1)
    deviation = (both * (1 - both) * (1 / n + 1 / m)).sqrt()
    z = torch.where(open_, (a / n - b / m) / deviation.clamp(min=1e-300), 0.0)
    different = int((z.abs() > float(norm.isf(alpha / 2))).sum())
    seen = both > 0
    statistic = float(((a / n - b / m)[seen].square() / both[seen]).sum()) / (1 / n + 1 / m)
    p_value = float(chi2.sf(statistic, max(int(seen.sum()) - 1, 1)))
    middle = (a / n + b / m) / 2
    js = (kl(a / n, middle) + kl(b / m, middle)) / 2
    variance = sum(
        spread(c / k, ((c / k) / middle.clamp(min=1e-300)).clamp(min=1e-300).log() / 2) / k for c, k in ((a, n), (b, m))
    )
    return Bins(different, different / len(a), statistic, p_value, js, sqrt(variance))


def js_by_chance(bins: int, n: int, m: int) -> float:
    """JS over bins of two samples of one law, in expectation: (K - 1)(1/n + 1/m) / 8."""
    return (bins - 1) * (1 / n + 1 / m) / 8


def kl(p: Tensor, q: Tensor) -> float:
    """KL of two tables in nats; 0 log 0 is 0."""
    if bool(((p > 0) & (q <= 0)).any()):
        return inf
    some = p > 0
    return float((p[some] * (p[some] / q[some]).log()).sum())


def spread(p: Tensor, values: Tensor) -> float:
    """The variance of values under the shares p."""
    mean = (p * values).sum()
    return float((p * (values - mean) ** 2).sum())


# ---- known modes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caught:
    """What of K known modes a sample reaches."""

    good: float  # the share of examples within reach of a centre; nan where no distance is known
    found: int
    held: int  # modes with at least a tenth of their share
    shares: Tensor  # of the nearest centres
    forward: float  # KL(true shares || these)
    reverse: float


def caught(owner: Tensor, good: Tensor, shares: Tensor, least: float = 0.1) -> Caught:
    """From the mode of each example, whether it counts as good, and the true shares (K,)."""
    n, k = len(owner), len(shares)
    hits = torch.bincount(owner[good], minlength=k).double()
    own = torch.bincount(owner, minlength=k).double() / n
    held = int((hits >= (least * n * shares).clamp(min=1.0)).sum())
    return Caught(float(good.double().mean()), int((hits > 0).sum()), held, own, kl(shares, own), kl(own, shares))


def caught_by_chance(shares: Tensor, n: int, least: float = 0.1, good: float = 1.0) -> tuple[float, float]:
    """How many modes n examples of the true law find and hold, in expectation, where the share `good` of them is."""
    from scipy.stats import binom

    p = good * shares.double().numpy()
    need = (least * n * shares.double()).clamp(min=1.0).ceil().numpy()
    return float((1 - (1 - p) ** n).sum()), float(binom.sf(need - 1, n, p).sum())


# ---- how many different examples ----------------------------------------------------------------------------------------


def vendi(x: Tensor, width: float = 0.0) -> float:
    """The Vendi score with the cosine of two examples as the kernel, or with a Gaussian one of a width.

    >>> round(vendi(torch.eye(4)), 6), round(vendi(torch.ones(5, 2)), 6)
    (4.0, 1.0)
    """
    x = x.double()
    if width:
        centred = x - x.mean(0)
        squares = centred.square().sum(1)
        gaps = torch.addmm(squares[:, None] + squares, centred, centred.T, alpha=-2.0).clamp_(min=0.0)
        gram = gaps.mul_(-0.5 / width**2).exp_()
    else:
        length = x.norm(dim=1, keepdim=True)
        if bool((length == 0).any()):
            raise BadData(
                "An example is all zeros, so it has no direction. Take the Gaussian kernel, kernel='gaussian'."
            )
        unit = x / length
        gram = unit.T @ unit if x.shape[1] < len(x) else unit @ unit.T  # both have the same eigenvalues but for zeros
    values = torch.linalg.eigvalsh(gram / len(x)).clamp(min=0.0)
    values = values[values > 0]
    return float(torch.exp(-(values * values.log()).sum()))
