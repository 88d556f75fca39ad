"""Linear maps whose determinants cost nothing, and the two normalisations that keep deep flows in scale.

    affine   z = (x - m) exp(-s)                    log|det| = -sum s
    LU       z = L U x + b                          log|det| = sum log diag U            L has a unit diagonal
    batch    z = (x - mean) / std exp(s) + m        log|det| = sum s - log std

Over images a map acts on the channels of every pixel (a 1 x 1 convolution) and log|det| counts H W times.
Kingma & Dhariwal, "Glow", NeurIPS 2018, sections 3.1 and 3.2 (eq. 10); Papamakarios et al., "Masked autoregressive flow",
NeurIPS 2017, section 3.2 and appendix B (batch normalisation between layers: MAF's published numbers need it).
B rows of C channels (or C variables), R pixels each (1 for variables):   x, z (B, C, ...)   log-Jacobian (B,)
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.linalg import solve_triangular

from .base import Bijection, constant, full_precision


def column(vector: Tensor, x: Tensor) -> Tensor:
    """(C,) -> (C, 1, 1), so that it meets the channels of x (B, C, H, W)."""
    return vector.view(-1, *(1,) * (x.dim() - 2))


def pixels(x: Tensor) -> int:
    return x.shape[2:].numel()


class Affine(Bijection):
    """z = (x - shift) exp(-scale), channel by channel.

    >>> Affine(2)(torch.ones(1, 2))[0].tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, channels: int):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = (x - column(self.shift, x)) * column(torch.exp(-self.scale), x)
        return z, constant(x, -self.scale.sum() * pixels(x))

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = torch.addcmul(column(self.shift, z), z, column(torch.exp(self.scale), z))
        return x, constant(z, self.scale.sum() * pixels(z))


class ActNorm(Bijection):
    """An affine map that starts by giving the first batch that it learns from mean 0 and variance 1, channel by channel.

    What the batch sets are buffers, not parameters: they are saved and copied to every process of a run, so that a loaded map
    never starts again, and all processes start alike.

    >>> norm = ActNorm(2)
    >>> z, _ = norm(5 + 3 * torch.randn(100, 2))
    >>> bool(z.mean().abs() < 1e-5)
    True
    """

    mean: Tensor
    log_std: Tensor
    started: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.affine = Affine(channels)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("log_std", torch.zeros(channels))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.known = False  # spares a look at the device once it is known to have started

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and not self.known:
            self.begin(x)
        z, ladj = self.affine((x - column(self.mean, x)) * column(torch.exp(-self.log_std), x))
        return z, ladj - self.log_std.sum() * pixels(x)

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, ladj = self.affine.inverse(z)
        x = torch.addcmul(column(self.mean, y), y, column(torch.exp(self.log_std), y))
        return x, ladj + self.log_std.sum() * pixels(z)

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        if not self.started:
            mean, variance = moments(x)
            self.mean.copy_(mean)
            self.log_std.copy_(torch.log(variance.sqrt() + 1e-6))
            self.started.fill_(True)
        self.known = True

    def _load_from_state_dict(self, *args) -> None:
        super()._load_from_state_dict(*args)
        self.known = False  # ask the buffer again


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, over all processes of a run."""
    rows = x.movedim(1, -1).flatten(0, -2).double()
    sums = torch.stack([torch.full_like(rows[0], len(rows)), rows.sum(0), (rows * rows).sum(0)])
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(sums)
    count, first, second = sums
    mean = first / count
    return mean.to(x.dtype), (second / count - mean * mean).clamp(min=0).to(x.dtype)


class BatchNorm(Bijection):
    """Batch normalisation as a bijection: of the batch while it learns, of the running moments afterwards.

    While it learns, rows see each other; evaluated or inverted it is a fixed affine map.

    >>> z, _ = BatchNorm(2)(5 + 3 * torch.randn(100, 2))
    >>> bool(z.mean().abs() < 1e-5)
    True
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, floor: float = 1e-5):
        super().__init__()
        self.affine = Affine(channels)
        self.momentum, self.floor = momentum, floor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, variance = self.mean, self.variance
        if self.training:
            over = [d for d in range(x.dim()) if d != 1]
            mean, variance = x.mean(over), x.var(over, correction=0)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance, self.momentum)
        variance = variance + self.floor
        z, ladj = self.affine((x - column(mean, x)) * column(variance.rsqrt(), x))
        return z, ladj - 0.5 * variance.log().sum() * pixels(x)

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, ladj = self.affine.inverse(z)
        variance = self.variance + self.floor
        x = torch.addcmul(column(self.mean, y), y, column(variance.sqrt(), y))
        return x, ladj + 0.5 * variance.log().sum() * pixels(z)


class LU(Bijection):
    """z = L U x + b, the identity at first. With a `Permutation` before it, any invertible matrix up to the signs of z.

    >>> LU(3)(torch.ones(1, 3))[0].tolist()
    [[1.0, 1.0, 1.0]]
    """

    def __init__(self, channels: int):
        super().__init__()
        # L below the diagonal, U above it, and log diag U on it.
        self.packed = nn.Parameter(torch.zeros(channels, channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def factors(self) -> tuple[Tensor, Tensor]:
        diagonal = self.packed.diagonal()
        lower = self.packed.tril(-1) + torch.eye(len(diagonal), dtype=self.packed.dtype, device=self.packed.device)
        return lower, self.packed.triu(1) + diagonal.exp().diag_embed()

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        ladj = constant(x, self.packed.trace() * pixels(x))
        lower, upper = self.factors()
        with full_precision(x):
            if x.dim() == 2:
                return torch.addmm(self.bias, x, (lower @ upper).T), ladj
            z = torch.matmul(lower @ upper, x.flatten(2)).view_as(x)
        return z + column(self.bias, x), ladj

    def inverse(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self.factors()
        y = z - column(self.bias, z)
        flat = y.T if y.dim() == 2 else y.flatten(2)
        x = solve_triangular(upper, solve_triangular(lower, flat, upper=False, unitriangular=True), upper=True)
        x = x.T if y.dim() == 2 else x.view_as(z)
        return x, constant(z, -self.packed.trace() * pixels(z))
