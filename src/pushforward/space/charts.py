"""Charts: from the units of the data to the coordinates of a model, with the log-Jacobian that brings likelihoods back.

    log p_data(x) = log p_model(y) + log |dy/dx|,      y = chart(x)

Uniform dequantisation adds u ~ U[0, 1) to a whole number, so that the result becomes a lower bound:
log P(x) >= E_u log p(x + u)   (Theis, van den Oord, Bethge, "A note on the evaluation of generative models", ICLR 2016, §3.1).

B examples of D variables:   x, y (B, *shape)   ladj (B,)
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from .. import noise
from .space import Space

COORDINATES = {
    "natural": "numbers standardised, codes stay codes",
    "continuous": "codes dequantised and everything standardised",
    "plain": "numbers as they are, codes dequantised",
    "codes": "numbers and codes as they are",
    "features": "numbers standardised, codes one-hot",
}


class Identity(nn.Module):
    """y = x.

    >>> Identity()(torch.ones(2, 3))[1]
    tensor([0., 0.])
    """

    exact = True

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return y


class Standardise(nn.Module):
    """y = (x - mean) / scale.   ladj = -sum log scale over the variables of Lebesgue measure.

    >>> y, ladj = Standardise(torch.tensor([1.0]), torch.tensor([2.0]))(torch.tensor([[5.0]]))
    >>> y.item(), round(ladj.item(), 4)
    (2.0, -0.6931)
    """

    exact = True
    mean: Tensor
    scale: Tensor
    ladj: Tensor
    moving: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, lebesgue: Tensor | None = None):
        super().__init__()
        lebesgue = torch.ones_like(mean, dtype=torch.bool) if lebesgue is None else lebesgue
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("ladj", -(scale.double().log() * lebesgue).sum().to(scale.dtype))
        self.register_buffer(
            "moving", scale.new_tensor(0.0) + lebesgue
        )  # which variables bring their log-scale, and lose it where missing

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = (x - self.mean) / self.scale
        ladj = self.ladj.to(y.dtype).expand(len(y))
        gone = torch.isnan(y)
        if gone.any():  # a missing number has no density, so no Jacobian either
            ladj = ladj + (gone * (self.scale.log() * self.moving)).flatten(1).sum(1).to(y.dtype)
        return y, ladj

    def inverse(self, y: Tensor) -> Tensor:
        return y * self.scale + self.mean


class Logit(nn.Module):
    """y = logit(a + (1 - 2a) x) for x in [0, 1], with a margin that keeps the ends finite (Dinh et al. 2017, §4.1).

    >>> chart = Logit(); y, _ = chart(torch.tensor([[0.25]]))
    >>> round(chart.inverse(y).item(), 5)
    0.25
    """

    exact = True

    def __init__(self, margin: float = 0.05):
        super().__init__()
        self.margin = margin

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        p = self.margin + (1 - 2 * self.margin) * x
        y = torch.logit(p)
        slope = nn.functional.logsigmoid(y) + nn.functional.logsigmoid(-y)
        return y, (torch.log(torch.tensor(1 - 2 * self.margin)) - slope).flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        return ((torch.sigmoid(y) - self.margin) / (1 - 2 * self.margin)).clamp(0, 1)


class Dequantise(nn.Module):
    """y = (x + u) / levels with u ~ U[0, 1); back: floor. `which` says which variables are whole numbers.

    >>> with noise.stream(0): y, ladj = Dequantise(levels=4)(torch.tensor([[3.0]]))
    >>> 0.75 <= y.item() < 1, round(ladj.item(), 4), Dequantise(levels=4).inverse(y).item()
    (True, -1.3863, 3.0)
    """

    exact = False
    which: Tensor | None

    def __init__(self, levels: int = 0, which: Tensor | None = None):
        super().__init__()
        self.levels = levels
        self.register_buffer("which", which)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        u = noise.uniform(len(x), *x.shape[1:]).to(device=x.device, dtype=x.dtype)
        y = x + (u if self.which is None else u * self.which)
        if not self.levels:
            return y, x.new_zeros(len(x))
        return y / self.levels, x.new_full(
            (len(x),), -x[0].numel() * float(torch.log(torch.tensor(float(self.levels))))
        )

    def inverse(self, y: Tensor) -> Tensor:
        if self.levels:
            return (y * self.levels).floor().clamp(0, self.levels - 1)
        return y.floor() if self.which is None else torch.where(self.which, y.floor(), y)


class OneHot(nn.Module):
    """Each code becomes a row of the identity, and so does whether a number that may be missing is there; back: the largest entry.
    For generators and for conditions, not for likelihoods.

    >>> OneHot([0, 3])(torch.tensor([[0.5, 2.0]]))[0]
    tensor([[0.5000, 0.0000, 0.0000, 1.0000]])
    >>> OneHot([-1])(torch.tensor([[0.5], [torch.nan]]))[0]
    tensor([[0.5000, 1.0000, 0.0000],
            [0.0000, 0.0000, 1.0000]])
    """

    exact = False

    def __init__(self, sizes: list[int]):
        super().__init__()
        self.sizes = sizes  # codes of each variable; 0 for a number, -1 for one that may be missing
        self.widths = [{0: 1, -1: 3}.get(size, size) for size in sizes]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = []
        for column, size in zip(x.flatten(1).T, self.sizes, strict=True):
            if size > 0:
                parts.append(nn.functional.one_hot(column.long(), size).to(x.dtype))
            else:
                gone = torch.isnan(column)
                number = torch.nan_to_num(column)[:, None]
                parts.append(torch.cat([number, torch.stack([~gone, gone], 1).to(x.dtype)], 1) if size else number)
        return torch.cat(parts, 1), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        parts = []
        for part, size in zip(y.split(self.widths, 1), self.sizes, strict=True):
            if size > 0:
                parts.append(part.argmax(1).to(y.dtype))
            else:
                parts.append(torch.where(part[:, 2] > part[:, 1], torch.nan, part[:, 0]) if size else part[:, 0])
        return torch.stack(parts, 1)


class Chart(nn.Module):
    """A composition of charts from a data space to the space of a model.

    >>> chart = Chart.of(Space("real", (2,)), "natural", torch.randn(100, 2) * 3)
    >>> chart.exact, chart.space.kind
    (True, 'real')
    """

    def __init__(self, space: Space, steps: list[nn.Module]):
        super().__init__()
        self.space = space  # of the model
        self.steps = nn.ModuleList(steps)
        self.exact = all(step.exact for step in steps)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total: Tensor | float = 0.0
        for step in self.steps:
            x, ladj = step(x)
            total = total + ladj
        return x, total if isinstance(total, Tensor) else x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        for step in reversed(self.steps):
            y = step.inverse(y)  # type: ignore[operator]
        return y

    @classmethod
    def of(cls, space: Space, coordinates: str, x: Tensor) -> Chart:
        """The chart that a model of these coordinates needs, its constants taken from the examples x."""
        if space.kind == "tokens":
            return cls(space, [])
        if space.kind == "table":
            return cls(*table(space, coordinates, x.double()))
        if space.kind == "real":
            return cls(
                space,
                [Standardise(*moments(x.double()))] if coordinates in ("natural", "continuous", "features") else [],
            )
        levels = {"binary": 2}.get(space.kind, space.levels)
        real = replace(space, kind="real", levels=0)
        if coordinates == "continuous":
            # The data are bounded: the logit keeps every sample inside, and the moments are those of (x + 1/2) / levels.
            inside, _ = Logit()((x.double() + 0.5) / levels)
            return cls(real, [Dequantise(levels), Logit(), Standardise(*moments(inside))])
        if coordinates == "plain":
            return cls(real, [Round(levels), Dequantise(0)])  # what is drawn stays in range
        if coordinates == "features":
            # A level is a number on a scale: in [-1, 1] it is a good feature as it is.
            middle = torch.full(space.shape, (levels - 1) / 2, dtype=torch.float64)
            return cls(real, [Round(levels), Standardise(middle, middle)])
        return cls(space, [])


class Round(nn.Module):
    """The identity on whole numbers; back: the nearest whole number in range.

    >>> Round(3).inverse(torch.tensor([[-2.0, 1.4, 9.0]]))
    tensor([[0., 1., 2.]])
    """

    exact = False

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return y.round().clamp(0, self.levels - 1)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each variable, NaN left out; a constant variable has scale 1."""
    known = ~torch.isnan(x)
    count = known.sum(0).clamp(min=1)
    mean = torch.nan_to_num(x).sum(0) / count
    scale = (torch.nan_to_num((x - mean) ** 2).sum(0) / count).sqrt()
    return mean, torch.where(scale > 1e-12 * mean.abs().clamp(min=1e-12), scale, torch.ones_like(scale))


def table(space: Space, coordinates: str, x: Tensor) -> tuple[Space, list[nn.Module]]:
    """The chart of mixed columns, and the columns in its coordinates."""
    codes = torch.tensor([c.discrete for c in space.columns])
    whole = torch.tensor([c.discrete or c.step > 0 for c in space.columns])
    mean, scale = moments(x)
    if coordinates in ("natural", "features", "codes"):
        mean, scale = torch.where(codes, 0.0, mean), torch.where(codes, 1.0, scale)
        if coordinates == "codes":
            return space, []
        steps: list[nn.Module] = [Standardise(mean, scale, ~whole)]
        moved = space.moved(
            tuple(
                c if c.discrete else c.moved(m, s)
                for c, m, s in zip(space.columns, mean.tolist(), scale.tolist(), strict=True)
            )
        )
        if coordinates == "natural":
            return moved, steps
        features = OneHot([c.size if c.discrete else -int(c.missing) for c in space.columns])
        # The columns go along, so that a generator knows which features are the blocks of one code.
        return Space("real", (sum(features.widths),), columns=moved.columns), [*steps, features]
    real = Space("real", space.shape, names=space.names)
    dequantised: list[nn.Module] = [Dequantise(0, whole)] if bool(whole.any()) else []
    if coordinates == "plain":
        return real, dequantised
    mean, scale = moments(x + 0.5 * whole)
    # The sum of a uniform and a code that never varies still varies.
    return real, [*dequantised, Standardise(mean, (scale**2 + whole / 12.0).sqrt())]
