"""Count, mean and covariance of rows that come in parts, so that they need not be in memory together.

Of two parts with counts n, m, means a, b and scatters S, T (sums of (x - mean)(x - mean)'):
    count n + m,   mean a + (b - a) m / (n + m),   scatter S + T + (b - a)(b - a)' n m / (n + m)
Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979, eqs. 2.1.

Several processes, each with its rows, add up n_r and n_r m_r, and then S_r + n_r (m_r - m)(m_r - m)' around the common mean m: two sums.

Each part is centred by itself, so nothing cancels however far the mean is from 0; where it is near, the product of the rows as they are less
n times that of the means loses no digits that count, and saves a pass. Parts of float32 are multiplied in float32, and summed in float64.
On a CPU NumPy multiplies: of a matrix by its own transpose it computes one half (syrk), torch both.
B rows of D variables a part:   x (B, D)   mean (D,)   scatter (D, D)
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..engine import Lots
from ..engine.machine import total

PART = 1 << 22  # numbers that are centred and multiplied at a time
LARGE = 1 << 22  # numbers from which half a product is worth the quarrel of two libraries over the same cores
NEAR = {
    torch.float32: 0.05,
    torch.float64: 1e-4,
}  # a variance over a mean square above which the mean need not be taken off first


class Moments:
    """What PCA and other Gaussian models need to know of the data.

    >>> seen = Moments(1)
    >>> for part in (torch.tensor([[1.0], [2.0]]), torch.tensor([[6.0]])): seen.add(part)
    >>> seen.count, seen.mean.tolist(), seen.covariance().tolist()
    (3, [3.0], [[4.666666666666667]])
    """

    def __init__(self, dims: int):
        self.count = 0
        self.mean = torch.zeros(dims, dtype=torch.float64)
        self.scatter = torch.zeros(dims, dims, dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        """Rows, of float32 or float64."""
        mean = x.mean(0)
        exact, scatter = mean.cpu().double(), square(x).cpu().double()
        squares = scatter.diagonal()
        if bool((squares - len(x) * exact**2 > NEAR.get(x.dtype, 1.0) * squares).all()):
            self.join(len(x), exact, scatter.addmm_(exact[:, None], exact[None], alpha=-len(x)))
            return
        rows = max(256, PART // max(1, x.shape[1]))
        place = torch.empty_like(x[:rows])  # one place for all parts: new memory costs as much as what is done in it
        for part in x.split(rows):
            mean = part.mean(0)
            centred = torch.sub(part, mean, out=place[: len(part)])
            self.join(len(part), mean.cpu().double(), square(centred).cpu().double())

    def join(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        """Another part, of which the moments are known."""
        total, step = self.count + count, mean - self.mean
        self.scatter = self.scatter + scatter if self.count else scatter
        if self.count:
            self.scatter.addmm_(step[:, None], step[None], alpha=self.count * count / total)
        self.mean += step * (count / total)
        self.count = total

    def gather(self, lots: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """All rows of the lots of a fit; of several processes each reads its own, and all have the moments of all."""
        for x, _ in getattr(lots, "own", lots):
            self.add(x.flatten(1))
        if isinstance(lots, Lots):
            count = int(total(torch.tensor(self.count)))
            mean = total(self.mean * self.count) / max(count, 1)
            step = self.mean - mean
            self.scatter = total(self.scatter.addmm_(step[:, None], step[None], alpha=self.count))
            self.count, self.mean = count, mean

    def covariance(self, correction: int = 0) -> Tensor:
        """The scatter over n - correction."""
        return self.scatter / (self.count - correction)


def square(x: Tensor) -> Tensor:
    """x' x."""
    if x.device.type != "cpu" or x.numel() < LARGE:
        return x.T @ x
    array = x.numpy()
    return torch.from_numpy(array.T @ array)
