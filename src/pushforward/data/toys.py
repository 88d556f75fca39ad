"""Seven distributions in the plane of which we know the density, so that a model can be held against the truth.

    p(x) = sum_k w_k N(x; m_k, s^2 I)                    eight_gaussians, twentyfive_gaussians: exact
    p(x) = mean_k N(r - R_k; s^2) I0e(r R_k / s^2) ...   rings: exact, see `Rings`
    p(x) = integral w(t) N(x; c(t), s^2 I) dt            moons, spirals: Gauss-Legendre quadrature over the curve c
    p(x) = 1 / area inside, 0 outside                    checkerboard: exact
    p(x) = q(untwist(x)), |det| = 1                      pinwheel: exact, q a mixture of Gaussians

The nodes of the quadrature lie closer than s / 2, where the rule has converged to rounding error: for |x| <= 6 twice the
nodes change log p by less than 1e-9.

N points:   x (N, 2)   log_prob (N,)   nodes K: centres (K, 2)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import numpy as np

from ..errors import Usage, did_you_mean

Array = np.ndarray
CHUNK = 1 << 19  # entries of an (N, K) block: 4 MB in float64, which stays near the processor


class Density(ABC):
    """A distribution in the plane: `log_prob`, `sample` and `entropy`, all in nats and in the units of the data."""

    extent: float  # beyond [-extent, extent]^2 lies less than 1e-12 of the mass
    width: float  # the smallest length on which the density changes

    @abstractmethod
    def density(self, x: Array) -> Array:
        """log p(x) of float64 points (N, 2)."""

    @abstractmethod
    def push(self, u: Array, e: Array) -> Array:
        """Uniforms u (N, 2) and normals e (N, 2) -> points (N, 2)."""

    def log_prob(self, x: Any) -> Any:
        """log p(x) in nats, float64; a torch tensor in gives a torch tensor out."""
        points = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise Usage(f"x has shape {points.shape}; points in the plane are awaited, (n, 2).")
        out = self.density(points)
        if not hasattr(x, "detach"):
            return out
        import torch

        return torch.from_numpy(out).to(x.device)

    def sample(self, n: int, seed: int = 0) -> Array:
        """(n, 2) float32 points; row i does not depend on n."""
        import torch

        from .. import noise

        with noise.stream(seed, dtype=torch.float64):
            u, e = noise.uniform(n, 2), noise.normal(n, 2)
        return self.push(u.numpy(), e.numpy()).astype(np.float32)

    @cached_property
    def entropy(self) -> float:
        """-E log p. The trapezoid rule on a grid finer than `width` is exact to rounding for a sum of Gaussians."""
        axis = np.arange(-self.extent, self.extent, self.width / 2)
        total = 0.0
        for rows in np.array_split(axis, max(1, len(axis) // 32)):
            logs = self.density(np.stack(np.meshgrid(rows, axis), -1).reshape(-1, 2))
            total -= float((np.exp(logs) * logs).sum())
        return total * (self.width / 2) ** 2


class Cloud(Density):
    """A mixture of round Gaussians; `curve` maps (which branch, where on it) to the centre of a sample."""

    def __init__(self, centres: Array, weights: Array, std: float, curve: Callable[[Array, Array], Array]):
        self.centres, self.log_weights, self.std, self.curve = centres, np.log(weights), std, curve
        self.extent, self.width = float(np.abs(centres).max() + 8 * std), std

    def density(self, x: Array) -> Array:
        # |x - m|^2 = |x|^2 - 2 x m + |m|^2, so that the large block is one product of matrices.
        out, s2 = np.empty(len(x)), self.std**2
        here = self.log_weights - (self.centres**2).sum(1) / (2 * s2)
        step = max(1, CHUNK // len(self.centres))
        for i in range(0, len(x), step):
            out[i : i + step] = logsumexp(x[i : i + step] @ (self.centres.T / s2) + here)
        return out - (x**2).sum(1) / (2 * s2) - np.log(2 * np.pi * s2)

    def push(self, u: Array, e: Array) -> Array:
        return self.curve(u[:, 0], u[:, 1]) + self.std * e


class Rings(Density):
    """Circles of radius R_k, equally likely, blurred by a Gaussian.

    The mean of N(x; c, s^2 I) over a circle is exp(-(r^2 + R^2) / 2s^2) I0(r R / s^2) / (2 pi s^2), with I0 the modified
    Bessel function; I0e(a) = exp(-a) I0(a) keeps it finite.
    """

    def __init__(self, radii: tuple[float, ...], std: float):
        self.radii, self.std, self.width = np.asarray(radii), std, std
        self.extent = max(radii) + 8 * std

    def density(self, x: Array) -> Array:
        from scipy.special import i0e

        r, s2 = np.hypot(x[:, :1], x[:, 1:]), self.std**2
        logs = np.log(i0e(r * self.radii / s2)) - (r - self.radii) ** 2 / (2 * s2)
        return logsumexp(logs) - np.log(len(self.radii) * 2 * np.pi * s2)

    def push(self, u: Array, e: Array) -> Array:
        angle, radius = 2 * np.pi * u[:, 1], self.radii[pick(u[:, 0], len(self.radii))]
        return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + self.std * e


class Checkerboard(Density):
    """Uniform on the dark squares of a board of `cells` x `cells` squares with the given side, centred at the origin."""

    def __init__(self, cells: int, side: float):
        self.cells, self.side, self.extent, self.width = cells, side, cells * side / 2, side

    @cached_property
    def entropy(self) -> float:
        return float(np.log(self.cells**2 // 2 * self.side**2))

    def density(self, x: Array) -> Array:
        cell = np.floor((x + self.extent) / self.side).astype(int)
        inside = ((cell >= 0) & (cell < self.cells)).all(1) & (cell.sum(1) % 2 == 0)
        return np.where(inside, -self.entropy, -np.inf)

    def push(self, u: Array, e: Array) -> Array:
        # One uniform chooses a dark square, its remainder the place in it along the first axis.
        place = u[:, 0] * (self.cells**2 // 2)
        square = np.minimum(place.astype(int), self.cells**2 // 2 - 1)
        column = square // (self.cells // 2)
        row = 2 * (square % (self.cells // 2)) + column % 2
        # float32 must not round a point over the edge of its square, where the density is zero.
        inner = np.clip(np.stack([place - square, u[:, 1]], 1), 1e-6, 1 - 1e-6)
        return (np.stack([column, row], 1) + inner) * self.side - self.extent


class Pinwheel(Density):
    """Gaussian blades on a circle, each point turned by an angle that depends on its radius alone.

    Such a turn keeps areas, so the density is that of the blades at the point turned back.
    """

    def __init__(self, blades: int, centre: float, long: float, broad: float, turn: float):
        self.angles = 2 * np.pi * np.arange(blades) / blades
        self.centre, self.std, self.turn = centre, np.array([long, broad]), turn
        self.extent, self.width = centre + 7.5 * long, broad / 2

    def density(self, x: Array) -> Array:
        flat = rotate(x, -self.turn * np.hypot(x[:, 0], x[:, 1]))
        logs = []
        for angle in self.angles:
            blade = rotate(flat, -angle) - np.array([self.centre, 0.0])
            logs.append(-0.5 * ((blade / self.std) ** 2).sum(1))
        return logsumexp(np.stack(logs, 1)) - np.log(len(self.angles) * 2 * np.pi * self.std.prod())

    def push(self, u: Array, e: Array) -> Array:
        blade = np.array([self.centre, 0.0]) + self.std * e
        flat = rotate(blade, self.angles[pick(u[:, 0], len(self.angles))])
        return rotate(flat, self.turn * np.hypot(flat[:, 0], flat[:, 1]))


def logsumexp(logs: Array) -> Array:
    top = logs.max(1, keepdims=True)
    logs = logs - top
    return top[:, 0] + np.log(np.exp(logs, out=logs).sum(1))


def pick(u: Array, k: int) -> Array:
    return np.minimum((u * k).astype(int), k - 1)


def rotate(x: Array, angle: Array | float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1]], 1)


def along(curve: Callable[[Array, Array], Array], branches: int, nodes: int, std: float, power: int = 1) -> Cloud:
    """Each branch of a curve is c(v) for v uniform in (0, 1); its nodes and weights are those of Gauss and Legendre.

    They are taken in t = v^(1/power), in which the curve is smooth also at v = 0.
    """
    t, w = np.polynomial.legendre.leggauss(nodes)
    t = (t + 1) / 2
    places, weights = np.tile(t**power, branches), np.tile(w / 2 * power * t ** (power - 1), branches) / branches
    which = (np.repeat(np.arange(branches), nodes) + 0.5) / branches
    return Cloud(curve(which, places), weights, std, curve)


def points(centres: Array, std: float) -> Cloud:
    """Equally likely Gaussians at these centres."""
    return Cloud(centres, np.full(len(centres), 1 / len(centres)), std, lambda u, _: centres[pick(u, len(centres))])


def moon(u: Array, v: Array) -> Array:
    """Two half circles of radius 1 that reach into one another."""
    angle, upper = np.pi * v, u < 0.5
    return np.where(
        upper[:, None],
        np.stack([np.cos(angle), np.sin(angle)], 1),
        np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1),
    )


def spiral(u: Array, v: Array) -> Array:
    """Two arms of one and a half turns. The square root spreads the points about evenly along an arm."""
    angle = 3 * np.pi * np.sqrt(v)
    arm = np.stack([-np.cos(angle), np.sin(angle)], 1) * (angle / 3)[:, None]
    return np.where(u[:, None] < 0.5, arm, -arm)


def grid(side: int, gap: float) -> Array:
    axis = gap * (np.arange(side) - (side - 1) / 2)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)


def circle(count: int, radius: float) -> Array:
    angle = 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1)


DENSITIES: dict[str, Callable[[], Density]] = {
    "moons": lambda: along(moon, 2, 160, 0.1),
    "rings": lambda: Rings((1.0, 2.0, 3.0), 0.1),
    "spirals": lambda: along(spiral, 2, 640, 0.1, power=2),
    "checkerboard": lambda: Checkerboard(4, 2.0),
    "eight_gaussians": lambda: points(circle(8, 2.0), 0.1),
    "twentyfive_gaussians": lambda: points(grid(5, 2.0), 0.1),
    "pinwheel": lambda: Pinwheel(5, 2.0, 0.5, 0.15, 0.8),
}


@cache
def density(name: str) -> Density:
    """The truth behind a toy.

    >>> truth = density("checkerboard")
    >>> round(truth.entropy, 4), round(float(truth.log_prob(truth.sample(5)).mean()), 4)
    (3.4657, -3.4657)
    """
    if name not in DENSITIES:
        raise Usage(f"There is no toy {name!r}.{did_you_mean(name, DENSITIES)} There are: {', '.join(DENSITIES)}.")
    return DENSITIES[name]()


def moons(n: int, seed: int = 0) -> Array:
    """Two interleaved half circles.

    >>> moons(3).shape, moons(3).dtype.name, bool((moons(3) == moons(100)[:3]).all())
    ((3, 2), 'float32', True)
    """
    return density("moons").sample(n, seed)


def rings(n: int, seed: int = 0) -> Array:
    """Three concentric circles.

    >>> float(np.linalg.norm(rings(200), axis=1).max()) < 3.8
    True
    """
    return density("rings").sample(n, seed)


def spirals(n: int, seed: int = 0) -> Array:
    """Two arms that wind about one another.

    >>> spirals(3).shape
    (3, 2)
    """
    return density("spirals").sample(n, seed)


def checkerboard(n: int, seed: int = 0) -> Array:
    """Eight squares of side 2, uniformly filled.

    >>> float(np.abs(checkerboard(100)).max()) <= 4
    True
    """
    return density("checkerboard").sample(n, seed)


def eight_gaussians(n: int, seed: int = 0) -> Array:
    """Eight narrow modes on a circle of radius 2.

    >>> eight_gaussians(3).shape
    (3, 2)
    """
    return density("eight_gaussians").sample(n, seed)


def twentyfive_gaussians(n: int, seed: int = 0) -> Array:
    """Twenty-five narrow modes on a square grid.

    >>> twentyfive_gaussians(3).shape
    (3, 2)
    """
    return density("twentyfive_gaussians").sample(n, seed)


def pinwheel(n: int, seed: int = 0) -> Array:
    """Five bent blades.

    >>> pinwheel(3).shape
    (3, 2)
    """
    return density("pinwheel").sample(n, seed)
