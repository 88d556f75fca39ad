"""How well a table was imitated: its columns, its pairs of columns, columns given a code, and where cells are missing.

    columns        the law of each column: Kolmogorov-Smirnov for numbers and dates, total variation for codes
    trends         what goes with what: correlations, and the shares of pairs of codes, numbers binned beside a code
    conditionals   the law of a column among the rows of each code of another, weighted by the real share of the code
    missingness    the share of missing cells of each column, and which go missing together

Each is a mean over parts between 0 and 1, where 1 is what equal laws would give for endless rows. The floor is the same between two halves of the real
rows: what is nearer to 1 than that is as good as real rows of that number can show. The mathematics stands in `maths/shapes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadData, Usage
from ..maths import shapes
from ..maths.shapes import Likeness
from .estimate import Estimate
from .frames import Tables, halves, read
from .scores import Scores

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]
Found = Iterator[tuple[str, Likeness, Mapping[str, Any]]]  # a part by name, and numbers that go with it
HALVES = "; floor by two halves of the real rows"


def columns(real: Any, fake: Any, n: int | None = None, seed: int = 0) -> Scores:
    """How alike each column is: one minus Kolmogorov-Smirnov for numbers and dates, one minus total variation for codes (a missing cell is a code).

    >>> import pandas as pd
    >>> real = pd.DataFrame({"kind": list("aabb"), "size": [0.5, 1.5, 2.5, 3.5]})
    >>> found = columns(real, real.assign(kind=list("aaab")))
    >>> found["kind"].value, found["size"].value, float(found)
    (0.75, 1.0, 0.875)
    """
    both = read(n, seed, real=real, fake=fake)

    def parts(x: Numbers, y: Numbers) -> Found:
        for j, column in enumerate(both.columns):
            yield column.name, shape(both, j, x[:, j], y[:, j]), {}

    return judged(both, "column shapes", "the mean over columns of 1 - KS (numbers) or 1 - TV (codes)", parts, seed)


def trends(real: Any, fake: Any, bins: int = 10, n: int | None = None, seed: int = 0) -> Scores:
    """How alike each pair of columns goes together: correlations of two numbers, shares of pairs of codes; beside a code a number is binned.

    >>> u = np.arange(8.0)
    >>> float(trends(np.stack([u, u], 1), np.stack([u, u[::-1]], 1)))
    0.0
    """
    both = read(n, seed, real=real, fake=fake)
    if len(both.columns) < 2:
        raise BadData("The tables have one column, and trends are of pairs. Compare it with metrics.columns.")
    check_bins(bins)
    at = [np.zeros(1) if c.discrete else shapes.edges(both["real"].x[:, j], bins) for j, c in enumerate(both.columns)]
    flat: list[str] = []

    def parts(x: Numbers, y: Numbers) -> Found:
        flat.clear()
        cells = [[cell_numbers(both, j, side[:, j], at[j]) for j in range(len(at))] for side in (x, y)]
        for i, j in combinations(range(len(at)), 2):
            name, found = f"{both.names[i]} & {both.names[j]}", together(both, at, (x, y), cells, i, j)
            if found is None:
                flat.append(name)
            else:
                yield name, found, {}

    words = f"the mean over pairs of 1 - |difference of correlations| / 2 (numbers) or 1 - TV (codes, and numbers in {bins} bins of equal width)"
    return judged(
        both, "pair trends", words, parts, seed, lambda: left_out(flat, "one of the two does not vary in the real rows")
    )


def conditionals(
    real: Any, fake: Any, pairs: Sequence[tuple[str, str]] | None = None, bins: int = 10, least: int = 30, most: int = 20, n: int | None = None, seed: int = 0
) -> Scores:  # fmt: skip
    """How alike each column is among the rows of each code of another. `pairs` are (column, given); by default every column given every code.

    A number that is given is cut into `bins` of equal real share. Codes of fewer than `least` real rows, and all but the `most` frequent, are left out.

    >>> import pandas as pd
    >>> real = pd.DataFrame({"kind": ["a", "b"] * 40, "size": [0.5, 1.5] * 40})
    >>> float(conditionals(real, real.assign(size=1.5), [("size", "kind")]))
    0.5
    """
    both = read(n, seed, real=real, fake=fake)
    check_bins(bins)
    asked = chosen(both, pairs)
    cuts = {g: cut(both, g, bins) for _, g in asked}
    kept = {g: frequent(cuts[g](both["real"].x[:, g]), least, most) for g in cuts}
    rare = [f"{both.names[g]}: {count:,} codes" for g, (_, count) in kept.items() if count]

    def parts(x: Numbers, y: Numbers) -> Found:
        for g, cutting in cuts.items():
            groups = list(zip(*(grouped(cutting(side[:, g]), kept[g][0]) for side in (x, y)), strict=True))
            for t in [t for t, other in asked if other == g]:
                found = within(both, t, x[:, t], y[:, t], groups)
                if found is not None:
                    yield f"{both.names[t]} | {both.names[g]}", found, {}

    words = "the mean over columns given a code of 1 - KS or 1 - TV within each code, weighted by its real share"
    notes = left_out(rare, f"seen in fewer than {least} real rows, or beyond the {most} most frequent")
    return judged(both, "conditional shapes", words, parts, seed, lambda: notes)


def missingness(real: Any, fake: Any, n: int | None = None, seed: int = 0) -> Scores:
    """How alike the pattern of missing cells is: of each column that lacks any the share, of each two of them which go missing together.

    >>> x = np.array([[0.0, np.nan], [1.0, 2.0], [2.0, 3.0], [3.0, np.nan]])
    >>> found = missingness(x, np.nan_to_num(x))
    >>> found["x1"].value, found["x1"].parameters
    (0.5, {'real': 0.5, 'fake': 0.0})
    """
    both = read(n, seed, real=real, fake=fake)
    gappy = [j for j in range(len(both.columns)) if any(np.isnan(side.x[:, j]).any() for side in both.sides.values())]
    if not gappy:
        size = (len(both["real"]), len(both["fake"]))
        return Scores(
            Estimate(
                "missing cells", 1.0, 0.0, 1.0, size, "counting: no cell is missing on either side", notes=both.notes
            )
        )

    def parts(x: Numbers, y: Numbers) -> Found:
        gone = {j: (np.isnan(x[:, j]).astype(np.int64), np.isnan(y[:, j]).astype(np.int64)) for j in gappy}
        for j, (a, b) in gone.items():
            yield both.names[j], shapes.codes(a, b, 2), {"real": float(a.mean()), "fake": float(b.mean())}
        for i, j in combinations(gappy, 2):
            first, second = ((gone[i][s], gone[j][s]) for s in (0, 1))
            yield f"{both.names[i]} & {both.names[j]}", shapes.pairs(first, second, (2, 2)), {}

    return judged(both, "missing cells", "the mean over columns and pairs of 1 - TV of what is missing", parts, seed)


# ---- parts and wholes ---------------------------------------------------------------------------------------------------


def judged(
    both: Tables,
    name: str,
    words: str,
    parts: Callable[[Numbers, Numbers], Found],
    seed: int,
    more: Callable[[], tuple[str, ...]] = tuple,
) -> Scores:
    """The parts of real against fake, the worst first, their mean, and the floors."""
    x, y = both["real"].x, both["fake"].x
    a, b = halves(len(x), seed)
    floors = {key: part.value for key, part, _ in parts(x[a], x[b])} if len(a) else {}
    whole, found = shapes.Mean(len(x), len(y)), {}
    size = (len(x), len(y))
    for key, part, facts in parts(x, y):
        whole.add(part)
        found[key] = Estimate(f"{name}: {key}", part.value, part.stderr, floors.get(key), size, parameters=facts)
    total = whole.likeness
    lack = () if found else ("there is nothing to compare",)
    overall = Estimate(
        name,
        total.value,
        total.stderr if found else nan,
        sum(floors.values()) / len(floors) if floors else None,
        size,
        words + HALVES,
        notes=(*both.notes, *more(), *lack),
        features=f"{len(found)} {'part' if len(found) == 1 else 'parts'}" if found else "",
    )
    return Scores(overall, dict(sorted(found.items(), key=lambda item: item[1].value)))


def shape(both: Tables, j: int, x: Numbers, y: Numbers) -> Likeness:
    """How alike the cells of one column are."""
    if not both.columns[j].discrete:
        return shapes.numbers(x, y)
    size = both.sizes[j]
    return shapes.codes(whole(x, size), whole(y, size), size + 1)


def whole(x: Numbers, size: int) -> Whole:
    """Codes, a missing cell as one more."""
    return np.where(np.isnan(x), size, x).astype(np.int64)


def cell_numbers(both: Tables, j: int, x: Numbers, at: Numbers) -> Whole:
    """Codes, or the bins of numbers."""
    return whole(x, both.sizes[j]) if both.columns[j].discrete else shapes.binned(x, at)


def together(
    both: Tables, at: list[Numbers], sides: tuple[Numbers, Numbers], cells: list[list[Whole]], i: int, j: int
) -> Likeness | None:
    """How alike two columns go together; None for two numbers of which one does not vary in the real rows."""
    if not (both.columns[i].discrete or both.columns[j].discrete):
        first, second = ((x[:, i], x[:, j]) for x in sides)
        return shapes.trend(first, second)
    sizes = [both.sizes[k] + 1 if both.columns[k].discrete else len(at[k]) + 2 for k in (i, j)]
    (a, b), (c, d) = ((cell[i], cell[j]) for cell in cells)
    return shapes.pairs((a, b), (c, d), (sizes[0], sizes[1]))


def check_bins(bins: int) -> None:
    if bins < 1:
        raise Usage(f"bins={bins}: at least 1 is needed, and 10 is customary.")


def left_out(names: list[str], why: str) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"left out: {'; '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''} ({why})",)


# ---- columns given a code -----------------------------------------------------------------------------------------------


def chosen(both: Tables, pairs: Sequence[tuple[str, str]] | None) -> list[tuple[int, int]]:
    """The pairs (column, given) by number."""
    if pairs is not None:
        for pair in pairs:
            if isinstance(pair, str) or len(pair) != 2:
                raise Usage(
                    f"pairs holds {pair!r}; pairs of names are awaited: (column, given), as in [('wage', 'sex')]."
                )
        asked = [(both.place(t), both.place(g)) for t, g in pairs]
    else:
        codes = [j for j, c in enumerate(both.columns) if c.discrete]
        asked = [(t, g) for g in codes for t in range(len(both.columns)) if t != g]
    if not asked:
        raise BadData(
            "No column of codes is beside another, so nothing can be given. Name pairs=[(column, given)]: a number that is given is cut into bins."
        )
    return asked


def cut(both: Tables, g: int, bins: int) -> Callable[[Numbers], Whole]:
    """How cells of the column that is given become codes: numbers by equal real shares."""
    size = both.sizes[g]
    if both.columns[g].discrete:
        return lambda x: whole(x, size)
    seen = both["real"].x[:, g]
    at = np.unique(np.nanquantile(seen, np.arange(1, bins) / bins)) if not np.isnan(seen).all() else np.zeros(1)
    return lambda x: shapes.binned(x, at)


def frequent(codes: Whole, least: int, most: int) -> tuple[Whole, int]:
    """The most frequent codes, of at least so many rows, and how many are left out."""
    seen, count = np.unique(codes, return_counts=True)
    order = np.argsort(-count, kind="stable")[:most]
    kept = seen[order[count[order] >= least]]
    return kept, len(seen) - len(kept)


def grouped(codes: Whole, kept: Whole) -> list[Whole]:
    """The rows of each of these codes."""
    order = np.argsort(codes, kind="stable")
    ranked = codes[order]
    return [
        order[a:b] for a, b in zip(ranked.searchsorted(kept, "left"), ranked.searchsorted(kept, "right"), strict=True)
    ]


def within(both: Tables, t: int, x: Numbers, y: Numbers, groups: list[tuple[Whole, Whole]]) -> Likeness | None:
    """The mean over groups of how alike a column is in them, weighted by their real share; a group that no fake row is in is 0 alike."""
    groups = [(a, b) for a, b in groups if len(a)]
    n, m, total = len(x), len(y), sum(len(a) for a, _ in groups)
    if not total:
        return None
    real, fake = np.zeros(n), np.zeros(m)
    values = []
    for a, b in groups:
        part = shape(both, t, x[a], y[b]) if len(b) else shapes.flat(0.0, len(a), 0)
        values.append(part.value)
        real[a] += part.real * (n / total)
        fake[b] += part.fake * (len(a) / total) * (m / max(len(b), 1))
    value = sum(v * len(a) for v, (a, _) in zip(values, groups, strict=True)) / total
    for v, (a, _) in zip(values, groups, strict=True):  # the shares of the groups are estimates too
        real[a] += (v - value) * (n / total)
    return Likeness(value, real, fake)
