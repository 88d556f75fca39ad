"""Whether fake rows give away the rows that they were learnt from, measured against real rows that were held out.

    closest         of the fakes the share that lie nearer to a train row than to a holdout row, as many of both, ties half: 1/2 is clean
    memorisation    C_T: are fakes nearer to the train rows than held out rows are? Mann-Whitney's z, below 0 where they are copied
    membership      how well an attacker tells train rows from holdout rows by the fakes: area under the ROC curve, and true positives at 1 % false ones
    duplicates      fakes that are equal to a train row, or nearer to one than train rows are to each other, shown
    privacy         all of them, with the distances themselves

Were train and holdout exchanged, the N_j fakes nearest to record j would count for the other side: over all such exchanges the share nearer to train has mean
1/2 and variance sum_j (N_j - mean N)^2 2n / (2n - 1) / 4 m^2. That is its error here; the usual 1/4 m leaves out that few records decide for many fakes.
C_T: Meehan, Chaudhuri & Dasgupta, "A non-parametric test to detect data-copying in generative models", AISTATS 2020; the cells are those of random train rows.
Density ratio: p_fake(x) / p_real(x) by kernels, the real ones of half of the holdout: van Breugel et al., "Membership inference attacks against synthetic
data through overfitting detection" (DOMIAS), AISTATS 2023.

Distances are those of `maths/records`: numbers on one scale, codes 0 or 1, a missing cell 0 from a missing one and 1 from others.
Rows n of train, h of holdout, m of fake:   d (m,)   nearer, member (n,), (h,)
"""

from __future__ import annotations

from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import noise
from ..errors import Usage
from ..maths import ranks
from ..maths.records import Records, Scaling, log_kernels, nearest
from .estimate import Estimate
from .frames import Table, Tables, halves, read, repeated, some
from .scores import Scores
from .sides import side

Numbers = NDArray[np.float64]
MOST = 30_000  # rows of a side, unless rows= says otherwise
LEAST = 10  # rows of either side in a cell of C_T
NEAR = 0.01  # the share of train rows that are as near to another one as what is called a near copy
SHARP = 0.25  # the width of a fake's kernel over that of a real row's
SHOWN = 1000  # copies that are handed back


def closest(
    train: Any, holdout: Any, fake: Any, scale: str = "standard", rows: int = MOST, n: int | None = None, seed: int = 0
) -> Estimate:
    """The share of fakes nearer to train than to as many rows held out, ties half: 1/2 is clean, 1 is copying.

    >>> x = np.random.default_rng(0).normal(size=(90, 2))
    >>> closest(x[:30], x[30:60], x[60:]).value < 0.8 < closest(x[:30], x[30:60], x[:30] + 1e-6).value
    True
    """
    return nearer(Three(train, holdout, fake, scale, rows, n, seed))


def memorisation(
    train: Any,
    holdout: Any,
    fake: Any,
    cells: int = 0,
    scale: str = "standard",
    rows: int = MOST,
    n: int | None = None,
    seed: int = 0,
) -> Scores:
    """C_T: below 0 where fakes lie nearer to train rows than new rows do, about a standard normal number where they are as new ones; the mean over cells
    weighted by their share of the holdout, and of all rows at once. By default a cell for each hundred holdout rows, ten at most.

    >>> x = np.random.default_rng(0).normal(size=(90, 2))
    >>> memorisation(x[:30], x[30:60], x[:30] + 1e-6).overall.value < -5
    True
    """
    if cells < 0:
        raise Usage(f"cells={cells}: a whole number of at least 1 is awaited, or 0 for one that suits the rows.")
    return copying(Three(train, holdout, fake, scale, rows, n, seed), cells)


def membership(
    model: Any, train: Any, holdout: Any, scale: str = "standard", rows: int = MOST, n: int | None = None, seed: int = 0
) -> Scores:
    """How well train rows are told from holdout rows by a model or its fakes: AUC (1/2 is clean) and the share of train rows found at 1 % false alarms.

    Attacks: the distance to the nearest fake; the density of fakes over that of real rows; of a model that has one, its log_prob.

    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> float(membership(x[:30] + 1e-6, x[:30], x[30:]))
    1.0
    """
    return attacked(Three(train, holdout, model, scale, rows, n, seed))


def duplicates(
    train: Any,
    fake: Any,
    within: float = 0.0,
    scale: str = "standard",
    rows: int = MOST,
    n: int | None = None,
    seed: int = 0,
) -> Scores:
    """The share of fakes equal to a train row, and of those within a distance of one (by default so near as 1 in 100 train rows is to another). `rows` shows
    them, the nearest first, beside the number of the train row.

    >>> x = np.arange(20.0).reshape(10, 2)
    >>> found = duplicates(x, np.array([[2.0, 3.0], [99.0, 99.0]]))
    >>> found["equal"].parameters, found.rows["train row"].tolist()
    ({'found': 1}, [1])
    """
    if within < 0:
        raise Usage(f"within={within}: a distance above 0 is awaited, or 0 for the one between train rows.")
    return copies(Three(train, None, fake, scale, rows, n, seed), within)


def privacy(
    train: Any, holdout: Any, fake: Any, scale: str = "standard", rows: int = MOST, n: int | None = None, seed: int = 0
) -> Scores:
    """Everything: the share of fakes nearer to train as a whole, and as parts the distances, their ratios, C_T, attacks and copies; `rows` are the copies."""
    three = Three(train, holdout, fake, scale, rows, n, seed)
    found, copied, attacks = copying(three, 0), copies(three, 0.0), attacked(three)
    parts = {
        "distance to train": distance(three),
        **ratio(three),
        "C_T": found.overall,
        "C_T, all at once": found["all at once"],
    }
    parts |= {f"membership by {name}": part for name, part in attacks.parts.items()}
    parts |= {f"copies, {name}": part for name, part in copied.parts.items()}
    return Scores(nearer(three), parts, copied.rows)


class Three:
    """The sides as records on the scale of the real rows, and the distances between them, each made once."""

    def __init__(self, train: Any, holdout: Any, fake: Any, scale: str, rows: int, n: int | None, seed: int):
        if rows < 2:
            raise Usage(f"rows={rows}: at least 2 of each side are needed.")
        self.law, self.scale, self.seed = side(fake, "fake"), scale, seed
        real = {"train": train} | ({} if holdout is None else {"holdout": holdout})
        whole = read(n, seed, **real, fake=self.law)
        self.whole: Tables = whole
        self.tables: dict[str, Table] = {
            name: some(table, rows, noise.mix(seed, i)) for i, (name, table) in enumerate(whole.sides.items())
        }
        discrete = torch.from_numpy(whole.discrete)
        made = Scaling.of(torch.from_numpy(np.concatenate([self.tables[name].x for name in real])), discrete, scale)
        self.records: dict[str, Records] = {name: made(torch.from_numpy(t.x)) for name, t in self.tables.items()}
        self.notes = tuple(note for table in self.tables.values() for note in table.notes)
        if holdout is not None:
            same = int((repeated(whole["holdout"].x, whole["train"].x) >= 0).sum())
            if same:
                held = f"{same:,} of {len(whole['holdout']):,} holdout rows are equal to train rows"
                self.notes += (f"warning: {held}: they were not held out, or rows repeat by nature",)

    def __getitem__(self, name: str) -> Records:
        return self.records[name]

    @property
    def facts(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def part(self, name: str, count: int, key: int) -> Records:
        """So many records of a side, at random."""
        with noise.stream(noise.mix(self.seed, 100 + key)):
            return self[name][noise.permutation(len(self[name]))[:count]]

    def dealt(self) -> tuple[Records, Tensor]:
        """Train and holdout records in one order by chance, and the number of each, those of train first: who is the first of equals is by chance."""
        with noise.stream(noise.mix(self.seed, 7)):
            order = noise.permutation(len(self["train"]) + len(self["holdout"]))
        parts = [torch.cat([getattr(self[side], of) for side in ("train", "holdout")]) for of in ("numbers", "codes")]
        return Records(parts[0][order], parts[1][order]), order

    @cached_property
    def fake_to_train(self) -> tuple[Tensor, Tensor]:
        return nearest(self["fake"], self["train"], min(2, len(self["train"])))

    @cached_property
    def holdout_to_train(self) -> tuple[Tensor, Tensor]:
        return nearest(self["holdout"], self["train"], min(2, len(self["train"])))


# ---- nearer to train than to holdout ------------------------------------------------------------------------------------


def nearer(three: Three) -> Estimate:
    """The share, its error under exchange, and the floor: holdout rows as fakes."""
    train, holdout = three["train"], three["holdout"]
    size = min(len(train), len(holdout))
    a, b = three.part("train", size, 0), three.part("holdout", size, 1)
    first = three.fake_to_train if size == len(train) else nearest(three["fake"], a)
    share, error = exchanged(first, nearest(three["fake"], b), len(train) if size == len(train) else size, size)
    notes = three.notes
    if len(train) != len(holdout):
        notes += (f"{size:,} rows of each side, as there are {len(train):,} of train and {len(holdout):,} of holdout",)
    p = ranks.two_sided((share - 0.5) / error) if error else 1.0
    words = (
        "comparing each fake's nearest row of both; ± by exchanging train and holdout; floor by holdout rows as fakes"
    )
    return Estimate(
        "share nearer to train",
        share,
        error,
        held_out(three, size),
        (len(three["fake"]), size),
        words,
        p,
        notes,
        parameters=three.facts,
    )


def held_out(three: Three, size: int) -> float | None:
    """The share of half of the holdout that is nearer to train than to the other half."""
    half = size // 2
    if not half:
        return None
    order, train = three.part("holdout", size, 2), three.part("train", half, 3)
    held, others = order[:half], order[half : 2 * half]
    return exchanged(nearest(held, train), nearest(held, others), half, half)[0]


def exchanged(train: tuple[Tensor, Tensor], holdout: tuple[Tensor, Tensor], n: int, h: int) -> tuple[float, float]:
    """The share nearer to train, ties half, and its standard deviation were the records exchanged between the sides: distances and places (m, …)."""
    one, two = train[0][:, 0], holdout[0][:, 0]
    tied = (one - two).abs() <= 1e-9 * (1 + one)
    won = torch.where(tied, 0.5, (one < two).double())
    counts = torch.zeros(n + h, dtype=torch.float64)
    counts.index_add_(0, train[1][:, 0], won).index_add_(0, n + holdout[1][:, 0], 1 - won)
    squares = float(((counts - counts.mean()) ** 2).sum()) * (n + h) / (n + h - 1)
    return float(won.mean()), 0.5 * sqrt(squares) / len(won)


# ---- distances and their ratios -----------------------------------------------------------------------------------------


def distance(three: Three) -> Estimate:
    """How near the nearest twentieth of the fakes come to train rows; the floor is how near held out rows come."""
    d, held = (found[0][:, 0].numpy() for found in (three.fake_to_train, three.holdout_to_train))
    words = "the 5 % quantile over fakes; floor by holdout rows in their place; p that both are as near"
    p = ranks.two_sided(ranks.z_score(d, held))
    value, error = quantile(d, 0.05)
    return Estimate("distance to the nearest train row", value, error, quantile(held, 0.05)[0], (len(d), len(three["train"])), words, p,
                    three.notes, parameters=three.facts)  # fmt: skip


def ratio(three: Three) -> dict[str, Estimate]:
    """Distance to the nearest over that to the second nearest train row: near 0 where a fake belongs to one row alone."""
    if len(three["train"]) < 2:
        return {}
    of = []
    for found in (three.fake_to_train, three.holdout_to_train):
        first, second = found[0].T
        of.append(torch.where(second > 0, first / second.clamp(min=1e-300), 1.0).numpy())
    words = (
        "the median over fakes of nearest / second nearest; floor by holdout rows in their place; p that both are alike"
    )
    value, error = quantile(of[0], 0.5)
    p = ranks.two_sided(ranks.z_score(*of))
    size = (len(of[0]), len(three["train"]))
    name = "nearest-neighbour distance ratio"
    return {
        name: Estimate(name, value, error, quantile(of[1], 0.5)[0], size, words, p, three.notes, parameters=three.facts)
    }


def quantile(values: Numbers, q: float) -> tuple[float, float]:
    """A quantile, and its standard error by the order statistics around it."""
    reach = sqrt(q * (1 - q) / len(values))
    low, value, high = np.quantile(values, [max(q - reach, 0), q, min(q + reach, 1)])
    return float(value), float(high - low) / 2


# ---- C_T ----------------------------------------------------------------------------------------------------------------


def copying(three: Three, cells: int) -> Scores:
    """Mann-Whitney's z of the distances to train, in cells and of all rows."""
    d, held = (found[0][:, 0].numpy() for found in (three.fake_to_train, three.holdout_to_train))
    size, h = (len(d), len(held)), len(held)
    a, b = halves(h, three.seed)
    null = ranks.z_score(held[a], held[b]) if h > 1 else None
    count = min(cells or min(10, max(1, h // 100)), len(three["train"]))
    centres = three.part("train", count, 4)
    of_fake, of_held = (nearest(three[name], centres)[1][:, 0].numpy() for name in ("fake", "holdout"))
    parts = {"all at once": ranked("C_T of all rows", d, held, null, three)}
    for cell in range(count):
        mine, theirs = d[of_fake == cell], held[of_held == cell]
        if count > 1 and min(len(mine), len(theirs)) >= LEAST:
            parts[f"cell {cell + 1}"] = ranked(f"C_T of cell {cell + 1}", mine, theirs, None, three)
    used = [(name, part) for name, part in parts.items() if name != "all at once"] or list(parts.items())
    weights = np.array([part.n[1] for _, part in used]) / sum(part.n[1] for _, part in used)
    value, error = float(weights @ [part.value for _, part in used]), float(np.sqrt((weights**2).sum()))
    lost = 1 - sum(part.n[1] for _, part in used) / h
    notes = three.notes + (
        (f"{lost:.0%} of the holdout lies in cells of fewer than {LEAST} rows of either side, left out",)
        if lost > 1e-9
        else ()
    )
    words = f"ranking fakes and holdout rows by their distance to train in {len(used)} cells; below 0 is copying; floor by two halves of the holdout"
    facts = three.facts | {"cells": len(used)}
    return Scores(
        Estimate("C_T", value, error, null, size, words, ranks.two_sided(value / error), notes, parameters=facts), parts
    )


def ranked(name: str, mine: Numbers, theirs: Numbers, null: float | None, three: Three) -> Estimate:
    z = ranks.z_score(mine, theirs)
    words = "ranking fakes and holdout rows by their distance to train; below 0 is copying"
    return Estimate(name, z, 1.0, null, (len(mine), len(theirs)), words, ranks.two_sided(z))


# ---- membership ---------------------------------------------------------------------------------------------------------


def attacked(three: Three) -> Scores:
    """Each attack's AUC and true positives; as a whole the AUC by distance."""
    parts: dict[str, Estimate] = {}
    member, other = (-nearest(three[name], three["fake"])[0][:, 0].numpy() for name in ("train", "holdout"))
    told(parts, "distance", "the distance to the nearest fake", member, other, three)
    if len(three["holdout"]) >= 4:
        told(
            parts,
            "density ratio",
            "the kernel density of fakes over that of half of the holdout",
            *by_density(three),
            three,
        )
    if three.law.log_prob is not None:
        scores = [log_density(three.law.log_prob, three.tables[name]) for name in ("train", "holdout")]
        told(parts, "log p", "the model's own log_prob", scores[0], scores[1], three)
    whole = parts["distance"]
    return Scores(Estimate("membership AUC", whole.value, whole.stderr, whole.floor, whole.n, whole.estimator, whole.p_value, three.notes,
                           parameters=three.facts), parts)  # fmt: skip


def told(parts: dict[str, Estimate], name: str, words: str, member: Numbers, other: Numbers, three: Three) -> None:
    """One attack: how scores tell members from others, and as floors how they tell two halves of the others."""
    size = (len(member), len(other))
    value, error = ranks.auc(member, other)
    a, b = halves(len(other), three.seed)
    null = ranks.auc(other[a], other[b])[0] if len(a) else None
    p = ranks.two_sided(ranks.z_score(member, other))
    words = f"{words}; floor by two halves of the holdout"
    parts[name] = Estimate(f"membership AUC by {name}", value, error, null, size, words, p, parameters=three.facts)
    found, error = ranks.true_positives(member, other)
    few = (
        (f"{len(other):,} rows held out are few to know 1 % of: the threshold is their greatest score",)
        if len(other) < 100
        else ()
    )
    null = ranks.true_positives(other[a], other[b])[0] if len(a) else None
    parts[f"{name}, found at 1 % false alarms"] = Estimate(
        f"train rows found at 1 % false alarms by {name}",
        found,
        error,
        null,
        size,
        words,
        None,
        few,
        parameters=three.facts,
    )


def by_density(three: Three) -> tuple[Numbers, Numbers]:
    """log p_fake - log p_real of train rows and of one half of the holdout, the real kernels on the other half. Kernels of fakes are
    sharp, as a copy is (a quarter of the median distance between neighbours there), those of real rows smooth (the median)."""
    a, b = halves(len(three["holdout"]), noise.mix(three.seed, 5))
    real = three["holdout"][torch.from_numpy(a)]
    gaps = nearest(real, real, leave=torch.arange(len(real)))[0][:, 0]
    width = float(gaps[gaps > 0].median()) if bool((gaps > 0).any()) else 1.0

    def score(x: Records) -> Numbers:
        return (log_kernels(x, three["fake"], SHARP * width) - log_kernels(x, real, width)).numpy()

    return score(three["train"]), score(three["holdout"][torch.from_numpy(b)])


def log_density(log_prob: Any, table: Table) -> Numbers:
    """The model's log_prob of real rows; a row that it cannot score is the least likely."""
    found = log_prob(table.raw)
    values = np.asarray(found.detach().cpu() if isinstance(found, Tensor) else found, dtype=np.float64).reshape(
        len(table)
    )
    return np.where(np.isnan(values), -np.inf, values)


# ---- copies -------------------------------------------------------------------------------------------------------------


def copies(three: Three, within: float) -> Scores:
    """Equal and near rows, and the rows themselves."""
    fake, train = three.whole["fake"], three.whole["train"]
    place = repeated(fake.x, train.x)
    a, b = halves(len(train), three.seed)
    null = float((repeated(train.x[a], train.x[b]) >= 0).mean()) if len(a) else None
    words = "comparing all cells of every fake and train row; floor by two halves of the train rows"
    size = (len(fake), len(train))
    equal = counted("fakes equal to a train row", place >= 0, null, size, words, three)
    parts = {"equal": equal}
    near, d, reach = np.zeros(len(three["fake"]), dtype=bool), np.zeros(0), within
    if len(three["train"]) > 1:
        own = nearest(three["train"], three["train"], leave=torch.arange(len(three["train"])))[0][:, 0].numpy()
        reach = within or float(np.quantile(own, NEAR))
        d = three.fake_to_train[0][:, 0].numpy()
        near = d <= reach * (1 + 1e-9)
        words = "comparing distances to the nearest train row; floor by train rows to each other"
        size = (len(d), len(own))
        parts["near"] = counted(
            "fakes near a train row", near, float((own <= reach * (1 + 1e-9)).mean()), size, words, three, within=reach
        )
    return Scores(equal, parts, beside(three, place, near, d))


def counted(
    name: str,
    which: NDArray[np.bool_],
    null: float | None,
    size: tuple[int, ...],
    words: str,
    three: Three,
    **facts: Any,
) -> Estimate:
    p = float(which.mean())
    error = sqrt(max(p * (1 - p), 0.25 / len(which)) / len(which))
    return Estimate(
        name, p, error, null, size, words, None, three.notes, parameters={"found": int(which.sum()), **facts}
    )


def beside(three: Three, place: NDArray[np.int64], near: NDArray[np.bool_], d: Numbers) -> Any:
    """The copies as they came, the number of the train row (from 0) that each is equal to, and at what distance the others lie."""
    fake = three.whole["fake"]
    equal = np.flatnonzero(place >= 0)[:SHOWN]
    shown = fake.shown(equal).assign(**{"train row": place[equal], "distance": 0.0})
    if len(three["fake"]) < len(fake) or len(three["train"]) < len(three.whole["train"]):
        return shown  # the others are numbered among some rows only
    close = np.flatnonzero(near & (place < 0))
    close = close[np.argsort(d[close], kind="stable")][: SHOWN - len(equal)]
    if not len(close):
        return shown
    import pandas as pd

    more = fake.shown(close).assign(**{"train row": three.fake_to_train[1][close, 0].numpy(), "distance": d[close]})
    return pd.concat([shown, more]) if len(shown) else more
