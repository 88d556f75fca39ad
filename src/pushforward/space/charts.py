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
from ..errors import BadData
from .degenerate import SAMPLE, far, warn
from .space import Space

COORDINATES = {
    "natural": "numbers standardised, codes stay codes",
    "continuous": "codes dequantised and everything standardised",
    "plain": "numbers as they are, codes dequantised",
    "codes": "numbers and codes as they are",
    "features": "numbers standardised, codes one-hot",
}
FAR = 1e15  # spreads from the centre at which a number stops: beyond it squares and products leave float32


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
        y = ((x - self.mean) / self.scale).clamp(-FAR, FAR)
        ladj = self.ladj.to(y.dtype).expand(len(y))
        gone = torch.isnan(y)
        if gone.any():  # a missing number has no density, so no Jacobian either
            ladj = ladj + (gone * (self.scale.log() * self.moving)).flatten(1).sum(1).to(y.dtype)
        return y, ladj

    def inverse(self, y: Tensor) -> Tensor:
        return y * self.scale + self.mean


class Narrow(nn.Module):
    """Leaves out the variables that never vary; a row where one of them has another value has density 0. Back: they are put in.

    >>> y, ladj = Narrow(3, ((1, 7.5),))(torch.tensor([[1.0, 7.5, 2.0], [1.0, 7.0, 2.0]]))
    >>> y.tolist(), ladj.tolist()
    ([[1.0, 2.0], [1.0, 2.0]], [0.0, -inf])
    """

    exact = True
    keep: Tensor
    still: Tensor
    values: Tensor

    def __init__(self, size: int, fixed: tuple[tuple[int, float], ...]):
        super().__init__()
        self.size = size
        still = [j for j, _ in fixed]
        # The space says them, so the saved weights need not.
        self.register_buffer("keep", torch.tensor([j for j in range(size) if j not in set(still)]), persistent=False)
        self.register_buffer("still", torch.tensor(still), persistent=False)
        self.register_buffer(
            "values", torch.tensor([float(v) for _, v in fixed], dtype=torch.float64), persistent=False
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        same = (x.index_select(1, self.still).double() == self.values).all(1)
        y = x.index_select(1, self.keep)
        return y, torch.where(same, 0.0, -torch.inf).to(x.dtype if x.is_floating_point() else torch.float32)

    def inverse(self, y: Tensor) -> Tensor:
        x = y.new_empty(len(y), self.size)
        x[:, self.keep] = y
        x[:, self.still] = self.values.to(y)
        return x


class Within(nn.Module):
    """The identity, up to where float32 ends.

    >>> Within()(torch.tensor([[3.0, -1e30]]))[0]
    tensor([[ 3.0000e+00, -1.0000e+15]])
    """

    exact = True

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x if x.dtype in (torch.float32, torch.float64) else x.double()  # neither bytes nor halves reach so far
        near = x.device.type == "cpu" and x.numel() and max(map(abs, torch.stack(torch.aminmax(x)).tolist())) <= FAR
        return x if near else x.clamp(-FAR, FAR), x.new_zeros(len(x))  # reading costs less than a place for a copy

    def inverse(self, y: Tensor) -> Tensor:
        return y


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

    def seen(self, mask: Tensor) -> Tensor:
        """A mask of variables (B, *shape of the data) as one of what a model sees."""
        for step in self.steps:
            mask = mask.index_select(1, step.keep) if isinstance(step, Narrow) else mask  # type: ignore[arg-type]
        return mask

    @classmethod
    def of(cls, space: Space, coordinates: str, x: Tensor) -> Chart:
        """The chart that a model of these coordinates needs, its constants taken from the examples x."""
        if space.kind == "tokens":
            return cls(space, [])
        if space.kind == "table":
            return cls(*table(space, coordinates, x.double()))
        if space.kind == "real":
            return cls(*vector(space, coordinates, x))
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
    """Mean and standard deviation of each variable, NaN left out; a constant variable has scale 1. Taken from the first row and in units of the
    range, so that neither a large mean nor an extreme unit costs digits."""
    known = ~torch.isnan(x)
    first = torch.nan_to_num(x.gather(0, known.to(torch.uint8).argmax(0, keepdim=True)))
    d = torch.where(known, x - first, 0.0)
    unit = d.abs().amax(0)
    if bool(torch.isinf(unit).any()):
        raise BadData(
            f"x holds numbers up to {float(x[known].abs().max()):.3g} in variable {int(torch.isinf(unit).flatten().nonzero()[0])}: their differences "
            "overflow. Divide them, or take their logarithms."
        )
    unit = torch.where((unit > 1e100) | ((unit < 1e-100) & (unit > 0)), unit, 1.0)
    d, count = d / unit, known.sum(0).clamp(min=1)
    mean = d.sum(0) / count
    scale = (torch.where(known, (d - mean) ** 2, 0.0).sum(0) / count).sqrt() * unit
    return first[0] + mean * unit, torch.where(scale > 0, scale, torch.ones_like(scale))


def vector(space: Space, coordinates: str, x: Tensor) -> tuple[Space, list[nn.Module]]:
    """The chart of numbers alone: what never varies is left out; standardised where the coordinates ask for it, or their size does."""
    steps: list[nn.Module] = []
    if coordinates != "features" and 2 < len(x) < SAMPLE and bool((x[1:] == x[:1]).all()):
        raise BadData(
            f"None of the {space.size} variables varies in {len(x)} rows: there is no density to learn. Pass data of which something varies."
        )
    if coordinates != "features":
        warn(space, x)
    if space.fixed:
        narrow = Narrow(space.size, space.fixed)
        keep = narrow.keep.tolist()
        space = replace(
            space, shape=(len(keep),), names=tuple(space.names[j] for j in keep) if space.names else (), fixed=()
        )
        steps, x = [narrow], x.index_select(1, narrow.keep)
    if coordinates == "continuous" and len(x) < 2:
        raise BadData(
            f"x has {len(x)} examples (n_samples={len(x)}). Two at least are needed, for there to be a variance."
        )
    if coordinates in ("natural", "continuous", "features"):
        return space, [*steps, Standardise(*moments(x.double()))]
    if space.far:
        return space, [*steps, Standardise(*moments_of_far(x.double()))]
    return space, [*steps, Within()]


def moments_of_far(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scale of the variables that are far out; 0 and 1 of the others."""
    known = torch.nan_to_num(x, nan=torch.inf).amin(0), torch.nan_to_num(x, nan=-torch.inf).amax(0)
    out = torch.from_numpy(far(*(end.cpu().numpy() for end in known))).to(x.device)
    mean, scale = moments(x)
    return torch.where(out, mean, 0.0), torch.where(out, scale, 1.0)


def table(space: Space, coordinates: str, x: Tensor) -> tuple[Space, list[nn.Module]]:
    """The chart of mixed columns, and the columns in its coordinates."""
    if coordinates != "features":
        warn(space, x)
    codes = torch.tensor([c.discrete for c in space.columns])
    whole = torch.tensor([c.discrete or c.step > 0 for c in space.columns])
    mean, scale = moments(x)
    if coordinates in ("natural", "features", "codes"):
        mean, scale = torch.where(codes, 0.0, mean), torch.where(codes, 1.0, scale)
        if coordinates == "codes":
            out = torch.tensor([c.kind == "number" for c in space.columns])
            if not space.far or not bool(out.any()):
                return space, []
            mean, scale = (torch.where(out, of, other) for of, other in zip(moments_of_far(x), (0.0, 1.0), strict=True))
        steps: list[nn.Module] = [Standardise(mean, scale, ~whole)]
        moved = space.moved(
            tuple(
                c if c.discrete else c.moved(m, s)
                for c, m, s in zip(space.columns, mean.tolist(), scale.tolist(), strict=True)
            )
        )
        if coordinates in ("natural", "codes"):
            return moved, steps
        features = OneHot([c.size if c.discrete else -int(c.missing) for c in space.columns])
        # The columns go along, so that a generator knows which features are the blocks of one code.
        return Space("real", (sum(features.widths),), columns=moved.columns), [*steps, features]
    return continuous(space, coordinates, x, whole)


def continuous(space: Space, coordinates: str, x: Tensor, whole: Tensor) -> tuple[Space, list[nn.Module]]:
    """Columns as numbers with a density: codes and whole numbers plus noise, but for a code that never varies, which is left out."""
    still = tuple((j, 0.0) for j, c in enumerate(space.columns) if c.discrete and c.size == 1)
    steps: list[nn.Module] = []
    names = space.names
    if 0 < len(still) < space.size:
        narrow = Narrow(space.size, still)
        steps, x, whole = [narrow], x.index_select(1, narrow.keep), whole[narrow.keep]
        names = tuple(names[j] for j in narrow.keep.tolist())
    real = Space("real", (len(names),), names=names)
    if bool(whole.any()):
        steps.append(Dequantise(0, whole))
    if coordinates == "plain":
        return real, [*steps, Standardise(*moments_of_far(x + 0.5 * whole)) if space.far else Within()]
    if len(x) < 2:
        raise BadData(
            f"x has {len(x)} examples (n_samples={len(x)}). Two at least are needed, for there to be a variance."
        )
    mean, scale = moments(x + 0.5 * whole)
    # The sum of a uniform and a code that never varies still varies.
    return real, [*steps, Standardise(mean, torch.where(whole, (scale**2 + 1 / 12.0).sqrt(), scale))]
