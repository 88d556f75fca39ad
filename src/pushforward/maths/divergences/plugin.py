"""Divergences of samples, by putting estimated densities in the place of the true ones.

    histogram   cells with edges that both samples share; p_i = (a_i + s) / (n + s C) over the C cells that either sample hit
    kde         Gaussian kernels, Scott's bandwidth n^(-1/(D + 4)) times the sample's own covariance; on the line by a sum on a fine grid
    knn         KL by distances to the k-th neighbour within x and in y, rho and nu:  D/n sum_i log nu_i / rho_i + log m / (n - 1)

Wang, Kulkarni & Verdu, "Divergence estimation for multidimensional densities via k-nearest-neighbor distances", IEEE Trans. Inf. Theory
2009, eq. 14 (k fixed);  H2 and chi2 through the integral of p^a q^(1-a) with its own correction for k: Poczos & Schneider, "On the
estimation of alpha-divergences", AISTATS 2011, eq. 5;  JS from two KLs to the even mixture, of which half of either sample is a draw.
Standard errors: the first-order one, var_p f'(u) / n + var_q f*(f'(u)) / m.

x (n, D)   y (m, D)   cells (n, D) whole numbers   masses (C,)
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf, lgamma, log, pi, sqrt

import numpy as np
import torch
from torch import Tensor

from ... import noise
from ...errors import BadData
from ..laws import fresh
from .generators import Divergence, balanced, integrand, of

ATOMS = 2048  # places on the line that a large sample is gathered to before kernels are summed
GRID = 8192  # nodes on the line at most
CHUNK = 1 << 22  # numbers of a block of distances
DRAWS = 4000  # from each kernel density, where there is no grid
MOST = 1 << 40  # bins of a variable: only those that are hit take room, so one wild number makes none of them wider

Result = tuple[float, float]


def standard(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (D,) of the side that spreads less, variable by variable: a wild number of one side spoils neither.

    >>> standard(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1e9]]))[0].item()
    1.0
    """
    (a, b), (s, t) = ([side.mean(0) for side in (x, y)], [side.std(0) for side in (x, y)])
    first = (s > 0) & ((s <= t) | ~(t > 0))
    scale = torch.where(first, s, t)
    return torch.where(first, a, b), torch.where(scale > 0, scale, 1.0)


# ---- cells --------------------------------------------------------------------------------------------------------------


def masses(d: Divergence | str, log_p: Tensor, log_q: Tensor, n: float, m: float) -> Result:
    """D of two tables, and its standard error where they come from n and m draws (infinitely many: known exactly)."""
    d = of(d)
    value, v = float(integrand(d, log_p, log_q).sum()), log_p - log_q
    if not abs(value) < inf:
        return value, float("nan")
    gain = spread(log_p.exp(), d.slope(v)) / n
    return value, sqrt(gain + spread(log_q.exp(), d.conjugate(v)) / m)


def spread(p: Tensor, values: Tensor) -> float:
    """The variance of values under the masses p; what has no mass does not count, whatever its value."""
    values = torch.where(p > 0, values, 0.0)
    mean = (p * values).sum()
    return float((p * (values - mean) ** 2).sum())


def counted(d: Divergence | str, x: Tensor, y: Tensor, smooth: float = 0.5) -> Result:
    """D from rows of cell numbers x (n, D) and y (m, D), each distinct row being a cell."""
    keys = flat(torch.cat([x, y]))
    cell = torch.unique(keys, dim=0 if keys.ndim > 1 else None, return_inverse=True)[1]
    cells = int(cell.max()) + 1
    a, b = (torch.bincount(part, minlength=cells).double() + smooth for part in (cell[: len(x)], cell[len(x) :]))
    return masses(d, (a / a.sum()).log(), (b / b.sum()).log(), len(x), len(y))


def flat(cells: Tensor) -> Tensor:
    """Rows of cell numbers (n, D) as one whole number each (n,), where that fits: sorting those is many times faster."""
    cells = cells.long() - cells.long().amin(0)
    sizes = (cells.amax(0) + 1).tolist()
    if np.prod(sizes, dtype=np.float64) > 2.0**62:
        return cells
    place = torch.tensor([int(np.prod(sizes[j + 1 :], dtype=np.int64)) for j in range(len(sizes))])
    return (cells * place).sum(1)


def binned(x: Tensor, y: Tensor, codes: Tensor, bins: int = 0) -> tuple[Tensor, Tensor]:
    """Cell numbers of both samples, with edges from both together. A code is a cell of its own, a missing number too (-1).

    Without `bins` their width is Freedman and Diaconis's, 2 IQR N^(-1/(D + 2)), of the narrower sample.
    """
    both, rate = torch.cat([x, y]), min(len(x), len(y)) ** (-1 / (2 + int((~codes).sum())))
    columns = []
    for column, code in zip(both.T, codes.tolist(), strict=True):
        cells = column if code else placed(column, *edges([column[: len(x)], column[len(x) :]], bins, rate))
        columns.append(torch.where(torch.isnan(column), -1, cells).long())
    cells = torch.stack(columns, 1)
    return cells[: len(x)], cells[len(x) :]


def edges(sides: list[Tensor], bins: int, rate: float) -> tuple[float, float, int]:
    """From where to where, and in how many bins: one for a column that is one value on both sides, two for a value a side."""
    known = [side[~torch.isnan(side)] for side in sides]
    every = torch.cat(known)
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 0.0)
    if bins or high == low:
        return low, high, max(bins, 1) if high > low else 1
    widths = [2 * rate * reach for side in known if len(side) > 1 and (reach := spreading(side)) > 0]
    return low, high, max(2, min(MOST, ceil((high - low) / min(widths)))) if widths else 2


def spreading(column: Tensor) -> float:
    """The range of the middle half; where that is one value, twice the standard deviation."""
    ordered = column.sort().values
    return float(ordered[(3 * len(ordered)) // 4] - ordered[len(ordered) // 4]) or 2 * float(column.std())


def placed(column: Tensor, low: float, high: float, count: int) -> Tensor:
    return ((column - low) * (count / (high - low) if high > low else 0.0)).floor().clamp(0, count - 1)


def histogram(
    d: Divergence | str, x: Tensor, y: Tensor, bins: int = 0, smooth: float = 0.5, codes: Tensor | None = None
) -> Result:
    """D of two histograms with shared edges."""
    codes = torch.zeros(x.shape[1], dtype=torch.bool) if codes is None else codes
    return counted(d, *binned(x, y, codes, bins), smooth=smooth)


# ---- kernels ------------------------------------------------------------------------------------------------------------


class Kde:
    """A Gaussian kernel on each example (on the line, on each of some thousand places that the examples are gathered to).

    >>> x = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    >>> from scipy.stats import gaussian_kde
    >>> bool(torch.allclose(Kde(x).log_prob(x).exp(), torch.from_numpy(gaussian_kde(x[:, 0])(x[:, 0]))))
    True
    """

    def __init__(self, x: Tensor):
        x = x.double()
        n, d = x.shape
        factor = n ** (-1 / (d + 4))
        covariance = torch.cov(x.T).reshape(d, d) if n > d else torch.zeros(d, d, dtype=x.dtype)
        triangle, wrong = torch.linalg.cholesky_ex(covariance)
        if int(wrong) or float(triangle.diagonal().min()) <= 1e-12 * float(1 + x.abs().max()):
            raise BadData(
                f"{n} examples of {d} variables do not spread in all directions, so they have no kernel density. Leave out constant or "
                "repeated columns, pass more examples, or take the histogram."
            )
        self.triangle, self.x = triangle * factor, x
        near = d == 1 and n > ATOMS and float(x.max() - x.min()) / ATOMS < float(self.triangle) / 4
        self.atoms, weights = gathered(x, ATOMS) if near else (x, torch.ones(n, dtype=x.dtype))
        self.log_weights = (weights / weights.sum()).log()

    def log_prob(self, points: Tensor) -> Tensor:
        d = len(self.triangle)
        z, centres = (
            torch.linalg.solve_triangular(self.triangle, part.double().T, upper=False).T
            for part in (points, self.atoms)
        )
        constant = self.triangle.diagonal().log().sum() + 0.5 * d * log(2 * pi)
        parts = [
            (
                self.log_weights - 0.5 * torch.cdist(block, centres, compute_mode="donot_use_mm_for_euclid_dist") ** 2
            ).logsumexp(1)
            for block in z.split(max(1, CHUNK // len(centres)))
        ]
        return torch.cat(parts) - constant

    def sample(self, n: int = 1, seed: int | None = None) -> Tensor:
        with noise.stream(fresh(seed), dtype=torch.float64):
            which = (noise.uniform(n) * len(self.x)).long().clamp(max=len(self.x) - 1)
            return self.x[which] + noise.normal(n, self.x.shape[1]) @ self.triangle.T


def gathered(x: Tensor, places: int) -> tuple[Tensor, Tensor]:
    """A sample on the line as weights of evenly spaced places, each example shared by the two beside it."""
    column = x[:, 0]
    step = (column.max() - column.min()) / (places - 1)
    at = ((column - column.min()) / step).clamp(0, places - 1)
    left = at.floor().long().clamp(max=places - 2)
    share = at - left
    weights = torch.zeros(places, dtype=x.dtype).index_add_(0, left, 1 - share).index_add_(0, left + 1, share)
    return (column.min() + step * torch.arange(places, dtype=x.dtype))[weights > 0, None], weights[weights > 0]


def kde(d: Divergence | str, x: Tensor, y: Tensor, seed: int = 0) -> Result:
    """D of two kernel densities: on the line as a sum on a grid, else by draws from both. chi2, in which kernel tails beyond the last example
    would outweigh everything, as a mean over the examples."""
    d, p, q = of(d), Kde(x), Kde(y)
    points = line(x, y, float(p.triangle[0, 0]), float(q.triangle[0, 0])) if x.shape[1] == 1 else None
    if points is not None:
        log_p, log_q = p.log_prob(points), q.log_prob(points)
        value, drawing = float(integrand(d, log_p, log_q).sum() * (points[1] - points[0])), 0.0
        v = [torch.from_numpy(np.interp(side[:, 0], points[:, 0], log_p - log_q)) for side in (x, y)]
    else:
        drawn = [side.sample(DRAWS, noise.mix(seed, i)) for i, side in enumerate((p, q))]
        terms = [balanced(d, p.log_prob(points) - q.log_prob(points)) for points in drawn]
        value, drawing = (
            float(terms[0].mean() + terms[1].mean()) / 2,
            sum(float(t.var()) / (4 * len(t)) for t in terms),
        )
        v = [p.log_prob(side[:DRAWS]) - q.log_prob(side[:DRAWS]) for side in (x, y)]
    error = first_order(d, v[0], v[1], len(x), len(y))
    return (float(d.tail(v[0]).mean()), error) if d.name == "pearson" else (value, sqrt(drawing + error**2))


def line(x: Tensor, y: Tensor, a: float, b: float) -> Tensor | None:
    """A grid (T, 1) that resolves kernels of widths a and b and reaches past both samples; None where it would be too long."""
    low, high = float(min(x.min(), y.min())) - 9 * max(a, b), float(max(x.max(), y.max())) + 9 * max(a, b)
    nodes = ceil((high - low) / (min(a, b) / 2))
    return torch.linspace(low, high, max(nodes, 512), dtype=torch.float64)[:, None] if nodes <= GRID else None


def first_order(d: Divergence, v_p: Tensor, v_q: Tensor, n: int = 0, m: int = 0) -> float:
    """The standard error from log p/q at examples of either side, of which there are n and m in all."""
    return sqrt(float(d.slope(v_p).var()) / (n or len(v_p)) + float(d.conjugate(v_q).var()) / (m or len(v_q)))


# ---- neighbours ---------------------------------------------------------------------------------------------------------


def knn(d: Divergence | str, x: Tensor, y: Tensor, k: int = 5) -> Result:
    """D by the distances to the k-th neighbour; of each f its own consistent form."""
    d = of(d)
    ways: dict[str, Callable[[Tensor, Tensor, int], Result]] = {
        "kl": neighbour_kl,
        "reverse_kl": lambda a, b, k: neighbour_kl(b, a, k),
        "pearson": neighbour_pearson,
        "hellinger": neighbour_hellinger,
        "js": neighbour_js,
        "gan": neighbour_gan,
    }
    if min(len(x), len(y)) < 2 * k + 2 or k < 2:
        raise BadData(
            f"{len(x)} and {len(y)} examples for k={k} neighbours: at least {2 * k + 2} of each and k of at least 2 are needed."
        )
    return ways[d.name](x, y, k)


def log_ratio(x: Tensor, y: Tensor, k: int) -> Tensor:
    """log p/q at each x, as far as the k-th neighbours tell: D log nu/rho + log m/(n - 1)."""
    from scipy.spatial import cKDTree

    a, b = x.double().numpy(), y.double().numpy()
    rho = np.asarray(cKDTree(a).query(a, k + 1)[0])[:, k]
    nu = np.asarray(cKDTree(b).query(a, [k])[0])[:, 0]
    if (rho == 0).any() or (nu == 0).any():
        raise BadData(
            f"{int(((rho == 0) | (nu == 0)).sum())} of {len(a)} examples have {k} copies of themselves, so the distance to a neighbour tells nothing. "
            "Take the histogram, which counts them."
        )
    return torch.from_numpy(x.shape[1] * np.log(nu / rho) + log(len(b) / (len(a) - 1)))


def neighbour_kl(x: Tensor, y: Tensor, k: int) -> Result:
    v, back = log_ratio(x, y, k), log_ratio(y, x, k)
    return float(v.mean()), sqrt(float(v.var()) / len(x) + float((-back).exp().var()) / len(y))


def neighbour_pearson(x: Tensor, y: Tensor, k: int) -> Result:
    ratio, back = (k - 1) / k * log_ratio(x, y, k).exp(), (-2 * log_ratio(y, x, k)).exp()
    return float(ratio.mean()) - 1, sqrt(4 * float(ratio.var()) / len(x) + float(back.var()) / len(y))


def neighbour_hellinger(x: Tensor, y: Tensor, k: int) -> Result:
    correction = 2 * lgamma(k) - lgamma(k + 0.5) - lgamma(k - 0.5)
    overlaps = [(correction - log_ratio(a, b, k) / 2).exp() for a, b in ((x, y), (y, x))]
    error = sum(float(o.var()) / len(o) for o in overlaps)
    return 2 - float(overlaps[0].mean() + overlaps[1].mean()), sqrt(error)


def neighbour_js(x: Tensor, y: Tensor, k: int) -> Result:
    """1/2 KL(p || m) + 1/2 KL(q || m). Even rows draw m and odd rows stand for p and q, then the other way round."""
    halves, values, errors = (x[::2], x[1::2], y[::2], y[1::2]), [], []
    size = min(map(len, halves))
    for i in (0, 1):
        middle = torch.cat([halves[i][:size], halves[2 + i][:size]])
        sides = (halves[1 - i], halves[3 - i])
        logs = [log_ratio(side, middle, k) for side in sides]
        pull = torch.stack([(-log_ratio(middle, side, k)).exp() for side in sides]).mean(
            0
        )  # (p + q) / 2m: 1 but for noise
        values.append(0.5 * sum(float(v.mean()) for v in logs))
        errors.append(0.25 * sum(float(v.var()) / len(v) for v in logs) + float(pull.var()) / len(pull))
    return sum(values) / 2, sqrt(sum(errors)) / 2


def neighbour_gan(x: Tensor, y: Tensor, k: int) -> Result:
    value, error = neighbour_js(x, y, k)
    return 2 * value - log(4), 2 * error
