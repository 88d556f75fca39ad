"""Does a model know how sure it is? Ranks of real values among draws, and how often intervals of completions hold what was hidden.

    rank of x among K draws y     r = #{k: y_k < x},  ties broken at random: uniform on 0 … K where x and the y have one law
    PIT                           u = (r + U) / (K + 1),  U ~ U[0, 1): uniform on [0, 1)
    distance                      1/2 sum_b |h_b - 1/B| of the shares h of the B = K + 1 ranks; the floor is its mean for n uniform ranks
    uniform?                      chi squared = n B sum_b (h_b - 1/B)^2, with B - 1 degrees of freedom

    draws of p(x)                 each row has K draws of its own, so ranks of different rows are independent
    draws of p(x_j | the rest)    the cell is hidden and completed K times: this also asks how columns belong together

    interval from the a-th smallest of K draws to the a-th largest: holds a value of the same law with chance 1 - 2a / (K + 1), exactly

A U of ranks says that the model is too sure of itself (its law too narrow), a hill that it is not sure enough, a slope that it is beside the truth.
Dawid 1984; Gneiting, Balabdaoui & Raftery, "Probabilistic forecasts, calibration and sharpness", JRSS B 2007; Hamill 2001 for rank histograms.

n rows, D columns, K draws:   ranks (n, D)   shares (D, B)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import noise
from ..data.examples import Examples
from ..errors import BadData, Unable, Usage
from .estimate import Estimate
from .sequences import ratio

DRAWS = ("auto", "sample", "complete")
MOST = 1000  # rows that are asked, chosen by chance of more
LEVELS = (0.5, 0.8, 0.9, 0.95)
TIMES = 39
SURE = 3.5  # standard errors from which a rank histogram has a shape
ASIDE = 0.1  # a mean rank so far aside spreads the ranks by itself


@dataclass(frozen=True, repr=False)
class Ranks:
    """The answer of `ranks`: one histogram a column."""

    columns: tuple[str, ...]
    estimates: tuple[
        Estimate, ...
    ]  # of each column: the distance of its histogram from the flat one, with the p-value that it is flat
    together: Estimate  # the worst of them, its p-value corrected for their number
    shares: np.ndarray  # (D, B)
    pit: np.ndarray  # (n, D); NaN where the cell is missing
    shapes: tuple[str, ...]  # in words

    def to_json(self) -> dict[str, Any]:
        rows = zip(self.columns, self.estimates, self.shapes, self.shares.tolist(), strict=True)
        found = [{"column": c, "shape": shape, "shares": shares} | e.to_json() for c, e, shape, shares in rows]
        return {"together": self.together.to_json(), "columns": found}

    def __str__(self) -> str:
        rows = zip(self.columns, self.estimates, self.shapes, strict=True)
        return "\n".join([str(self.together), *(f"  {c}: {e.value:.3f}, {likely(e)}{s}" for c, e, s in rows)])

    __repr__ = __str__


def ranks(
    model: Any, x: Any, draws: str = "auto", k: int = 19, rows: int = MOST, given: Any = None, seed: int = 0
) -> Ranks:
    """Rank histograms, one a column, of real examples that the model has not learned from.

    `draws` is sample (of each column as it is alone) or complete (of each column given the rest of its row); auto takes sample where it can.

    >>> from pushforward.models.classical import Gaussian
    >>> x = torch.randn(600, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> found = ranks(Gaussian().fit(x[:300]), x[300:])
    >>> found.shares.shape, found.together.p_value > 0.01
    ((2, 20), True)
    """
    way = chosen(model, draws)
    if not isinstance(k, int) or k < 1:
        raise Usage(f"k={k!r}: the number of draws for each value is a whole number of at least 1.")
    t, g = read(model, x, given, rows, seed)
    flat, (n, d) = t.flatten(1).double(), t.flatten(1).shape
    below, ties = np.zeros((n, d)), np.zeros((n, d))
    for drawn in (sampled if way == "sample" else completed)(model, t, g, k, seed):
        a, b = full(drawn.flatten(1).double()), full(flat)
        below += (a < b).numpy()
        ties += (a == b).numpy()
    with noise.stream(noise.mix(seed, 8), dtype=torch.float64):
        u = noise.uniform(n, 2 * d).numpy()
    found = np.minimum(below + np.floor(u[:, :d] * (ties + 1)), k)
    known = askable(model, flat).numpy() if way == "complete" else np.ones((n, d), dtype=bool)
    words = f"ranks among {k} {'completions of the cell given its row' if way == 'complete' else 'draws of the model'}"
    words += left_out(flat) if way == "complete" else ""
    return summary(found, known, (found + u[:, d:]) / (k + 1), k, names(model, d), words)


def summary(
    found: np.ndarray, known: np.ndarray, pit: np.ndarray, k: int, columns: tuple[str, ...], words: str
) -> Ranks:
    """Ranks 0 … k (n, D), and which of them are there, as histograms with their tests."""
    shares = np.stack(
        [
            np.bincount(r[s].astype(int), minlength=k + 1) / max(s.sum(), 1)
            for r, s in zip(found.T, known.T, strict=True)
        ]
    )
    each = tuple(flatness(h, int(s.sum()), name, words) for h, s, name in zip(shares, known.T, columns, strict=True))
    worst = min(each, key=lambda e: inf if e.p_value is None else e.p_value)
    p = None if worst.p_value is None else min(1.0, worst.p_value * len(each))
    together = Estimate(
        "distance of rank histograms from flat",
        worst.value,
        nan,
        worst.floor,
        worst.n,
        words,
        p,
        (f"the column with the least p-value, {worst.features!r}; p times the {len(each)} columns",),
        "",
        {"bins": k + 1},
    )
    pit = np.where(known, pit, nan)
    return Ranks(columns, each, together, shares, pit, tuple(shape(column[np.isfinite(column)]) for column in pit.T))


def flatness(h: np.ndarray, n: int, name: str, words: str) -> Estimate:
    """How far a histogram is from the flat one."""
    from scipy.special import chdtrc
    from scipy.stats import binom

    size = len(h)
    if not n:
        return Estimate("rank histogram", nan, nan, None, (0,), words, None, ("no cell of the column is known",), name)
    counts = np.arange(n + 1)
    floor = size / 2 * float(np.abs(counts / n - 1 / size) @ binom.pmf(counts, n, 1 / size))
    p = float(chdtrc(size - 1, n * size * ((h - 1 / size) ** 2).sum()))
    few = () if n >= 5 * size else (f"{n} ranks in {size} bins are few: the p-value is rough",)
    return Estimate(
        "rank histogram", float(np.abs(h - 1 / size).sum() / 2), nan, floor, (n,), words, p, few, name, {"bins": size}
    )


def shape(u: np.ndarray) -> str:
    """What the PIT values say, by their mean (1/2) and variance (1/12), where it is clear."""
    n = len(u)
    if n < 10:
        return "too few to say"
    shift = (u.mean() - 0.5) * sqrt(12 * n)
    width = (((u - 0.5) ** 2).mean() - 1 / 12) * sqrt(180 * n)
    words = []
    if abs(shift) > SURE:
        words.append(f"real values are {'higher' if shift > 0 else 'lower'} than drawn ones")
    if abs(width) > SURE and (abs(shift) <= SURE or abs(u.mean() - 0.5) < ASIDE):
        words.append(
            "the model is too sure: real values spread more than drawn ones"
            if width > 0
            else "the model is not sure enough: drawn values spread more than real ones"
        )
    return "; ".join(words) or "no shape beyond chance in mean and spread"


def coverage_of(levels: Sequence[float] | None, k: int) -> dict[float, int]:
    """Levels and how far from both ends of k draws their interval begins; k + 1 draws must divide a level evenly."""
    if levels is None:
        levels = LEVELS
    out = {}
    for level in levels:
        a = (1 - level) * (k + 1) / 2 if 0 < level < 1 else nan
        if not isfinite(a) or abs(a - round(a)) > 1e-9 or round(a) < 1:
            raise Usage(
                f"level {level!r} has no interval of {k} draws: (1 - level) (k + 1) / 2 must be a whole number, as for 0.9 and k=39."
            )
        out[level] = round(a)
    return out


def coverage(
    model: Any,
    x: Any,
    levels: Sequence[float] | None = None,
    hide: float = 0.2,
    k: int = TIMES,
    rows: int = MOST,
    given: Any = None,
    seed: int = 0,
) -> dict[float, Estimate]:
    """How often intervals of completions hold the value that was hidden, by nominal level: 0.5, 0.8, 0.9 and 0.95.

    A share `hide` of the known cells is hidden at random, at least one a row, and completed k times. Right is a value that is its level.

    >>> from pushforward.models.classical import Gaussian
    >>> x = torch.randn(600, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> found = coverage(Gaussian().fit(x[:300]), x[300:])[0.9]
    >>> abs(found.value - 0.9) < 4 * found.stderr
    True
    """
    asked = coverage_of(levels, k)
    if not 0 < hide < 1:
        raise Usage(f"hide={hide!r}: the share of cells to hide lies between 0 and 1, as 0.2.")
    door = model.complete  # one that cannot says why
    t, g = read(model, x, given, rows, seed)
    flat = t.flatten(1).double()
    hidden = masked(model, flat, hide, seed)
    below, ties = np.zeros(flat.shape), np.zeros(flat.shape)
    for i in range(k):
        drawn = fill(door, t, ~hidden, g, noise.mix(seed, 9, i)).flatten(1).double()
        below += (drawn < flat).numpy()
        ties += (drawn == flat).numpy()
    with noise.stream(noise.mix(seed, 10), dtype=torch.float64):
        rank = below + np.floor(noise.uniform(*flat.shape).numpy() * (ties + 1))
    rank = np.minimum(rank, k)
    inside = {level: (rank >= a) & (rank <= k - a) & hidden.numpy() for level, a in asked.items()}
    how = str(model.abilities["complete"]) + left_out(flat)
    return {level: covered(found, hidden.numpy(), level, k, how) for level, found in inside.items()}


def covered(inside: np.ndarray, hidden: np.ndarray, level: float, k: int, kind: str) -> Estimate:
    """The share of hidden cells whose interval holds them, its error as rows are drawn, and the p-value that it is the level."""
    from scipy.special import ndtr

    parts, wholes = inside.sum(1), hidden.sum(1)
    value, error = ratio(parts, wholes)
    null = sqrt(float(((parts - level * wholes) ** 2).sum())) / wholes.sum()  # the error if the level were right
    p = float(2 * ndtr(-abs(value - level) / null)) if null > 0 else (1.0 if value == level else 0.0)
    return Estimate(
        f"coverage of {level:.0%} intervals",
        value,
        error,
        None,
        (int(hidden.any(1).sum()),),
        f"hiding {int(wholes.sum()):,} cells and completing each {k} times ({kind})",
        p,
        ("right is the nominal level; p is of that", "codes and ties by ranks, broken at random"),
        "",
        {"nominal": level},
    )


# ---- draws ---------------------------------------------------------------------------------------------------------------


def chosen(model: Any, draws: str) -> str:
    if draws not in DRAWS:
        raise Usage(f"draws={draws!r} is not one of {', '.join(DRAWS)}.")
    model.check_fitted()
    if model.space.kind == "tokens":
        raise BadData(
            "Ranks are of values that have an order; this is a model of symbols. metrics.sequences is for those."
        )
    for name in ("sample", "complete") if draws == "auto" else (draws,):
        if name in model.abilities:
            return name
    raise Unable(str(model.reason("sample" if draws == "auto" else draws)))


def read(model: Any, x: Any, given: Any, rows: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """At most so many examples, by chance, as a tensor, and what is given with them."""
    model.check_fitted()
    if isinstance(x, Examples):
        t = x.x
        given = x.given if given is None and x.given_space is not None and model._given is not None else given
    else:
        t = (
            model.space.settle(x.detach())
            if isinstance(x, Tensor)
            else model.space.read(x, missing=model.space.kind in ("real", "table"))
        )
    if len(t) < 2:
        raise BadData(f"{len(t)} rows came; at least 2 are needed, and some hundred say something.")
    g = model.read_given(given, len(t))
    if len(t) > rows:
        with noise.stream(noise.mix(seed, 11)):
            some = noise.permutation(len(t))[:rows]
        t, g = t[some], None if g is None else g[some]
    return t.cpu(), g


def sampled(model: Any, t: Tensor, g: Tensor | None, k: int, seed: int) -> Iterator[Tensor]:
    """k times as many draws as there are rows."""
    for i in range(k):
        drawn = model.sample(len(t), given=g, seed=noise.mix(seed, 12, i))
        yield model.space.read(drawn, missing=model.space.kind in ("real", "table")).cpu()


def completed(model: Any, t: Tensor, g: Tensor | None, k: int, seed: int) -> Iterator[Tensor]:
    """k times the rows with every cell drawn given the others, column by column."""
    d = t.flatten(1).shape[1]
    for i in range(k):
        out = t.flatten(1).clone()
        for j in range(d):
            mask = torch.ones(len(t), d, dtype=torch.bool)
            mask[:, j] = False
            out[:, j] = fill(model.complete, t, mask, g, noise.mix(seed, 13, i, j)).flatten(1)[:, j].to(out)
        yield out


def fill(door: Any, t: Tensor, known: Tensor, g: Tensor | None, seed: int) -> Tensor:
    with torch.no_grad():
        return door(t, known=known.reshape(t.shape).numpy(), given=g, seed=seed).cpu()


def masked(model: Any, flat: Tensor, hide: float, seed: int) -> Tensor:
    """The cells to hide: a share of the known ones, at least one a row that has any."""
    open_ = askable(model, flat)
    with noise.stream(noise.mix(seed, 14), dtype=torch.float64):
        u = noise.uniform(*flat.shape).masked_fill(~open_, inf)
    hidden = (u < hide) | (u == u.min(1, keepdim=True).values)
    hidden &= open_
    if not bool(hidden.any()):
        raise BadData("No cell of x is known, so none can be hidden.")
    return hidden


def present(model: Any, flat: Tensor) -> Tensor:
    """The cells that are not missing."""
    out = ~torch.isnan(flat)
    for j, c in enumerate(model.space.columns):
        if c.discrete and c.missing:
            out[:, j] &= flat[:, j] < len(c.categories)
    return out


def askable(model: Any, flat: Tensor) -> Tensor:
    """The cells that are there of rows that lack no number. To complete fills every gap of a row with a value, so beside a number that is truly
    missing it answers another question: what the cell would be were that number there. Where all rows lack one, all are asked."""
    there, whole = present(model, flat), ~torch.isnan(flat).any(1, keepdim=True)
    return there & whole if bool(whole.any()) else there


def left_out(flat: Tensor) -> str:
    """A word about the rows that lack a number."""
    lost = int(torch.isnan(flat).any(1).sum())
    if not lost:
        return ""
    what = "lack a number and are not asked" if lost < len(flat) else "lack a number: as if it were there"
    return f"; {lost:,} of {len(flat):,} rows {what}"


def likely(found: Estimate) -> str:
    return "" if found.p_value is None else f"p = {found.p_value:.3g}, "


def full(x: Tensor) -> Tensor:
    """A missing cell as a value of its own, above all others."""
    return torch.nan_to_num(x, nan=inf, posinf=inf, neginf=-inf)


def names(model: Any, d: int) -> tuple[str, ...]:
    return tuple(model.space.names) if len(model.space.names) == d else tuple(f"x{j}" for j in range(d))
