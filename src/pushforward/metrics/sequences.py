"""Texts and other sequences of symbols: are they new, are they various, do they repeat themselves or what was learned from?

    novelty      share of the n-grams of the fakes that stand nowhere in the training text
    coverage     share of the n-grams of the real texts that the fakes have too
    distinct     distinct n-grams / n-grams                                                          Li et al., NAACL 2016
    repetition   share of the n-grams of a text that stood earlier in it, 1 - distinct / all         Welleck et al., ICLR 2020
    copies       the longest run of symbols of a fake that stands in the training text
    perplexity   exp of the nats per symbol; nats per symbol = -sum log p(x) / sum of lengths

The first three depend on how much text there is, so both sides have as many rows, and the floor is the same measure between two real halves
or, where real rows that were not learned from are given (`held`), of those. A share has the standard error of a ratio of sums over rows: of those
that are counted, the text that they are looked up in being held.

A run stands elsewhere if its symbols do, whatever its length: all suffixes of both texts are ranked by their first 1, 2, 4 … symbols (Manber
& Myers 1993), next to a suffix of a fake lies the training suffix that shares most with it, and the ranks say how much that is.

n rows, S symbols of both texts together:   codes, ranks (S,)   lengths (n,)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from math import exp, inf, log, nan, sqrt
from typing import Any

import numpy as np
from torch import Tensor

from .. import noise
from ..data import load
from ..data.examples import Examples
from ..errors import BadData, Unable, Usage
from ..space.space import is_text
from .estimate import Estimate
from .likelihood import likelihood

Rows = list[Sequence[Hashable]]
UNITS = ("characters", "words")
HELD = "the standard error is that of the rows that are looked up, the other text being held"
BLOCKS = 20  # parts of a text whose leaving out gives an error


def sequences(
    fake: Any, real: Any, held: Any = None, n: int = 4, units: str = "characters", rows: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """All measures of fakes against the texts that were learned from; `held` are real texts that were not. A model is drawn from.

    >>> found = sequences(["abab", "abcd"], ["abcd", "bcde", "cdef"], n=2)
    >>> round(found["novelty"].value, 3), found["copied"].value          # "ba" of six; one text of two stands in the real ones
    (0.167, 0.5)
    """
    a, b, c = sides(fake, real, held, units, rows, seed)
    ways = {"novelty": novelty, "coverage": coverage, "distinct": distinct, "repetition": repetition}
    found = {name: way(a, b, c or None, n=n, units=units, seed=seed) for name, way in ways.items()}
    return found | copies(a, b, c or None, units=units, seed=seed)


# ---- n-grams -------------------------------------------------------------------------------------------------------------


def novelty(
    fake: Any, real: Any, held: Any = None, n: int = 4, units: str = "characters", rows: int = 1000, seed: int = 0
) -> Estimate:
    """The share of the n-grams of the fakes that the training text does not have.

    >>> novelty(["aab"], ["aaa", "aba"], n=2).value                     # aa and ab are known
    0.0
    """
    a, b, c = sides(fake, real, held, units, rows, seed)
    value, error = unknown(a, b, n)
    floor = unknown(c, b, n)[0] if c else halved(lambda x, y: unknown(x, y, n)[0], b, seed)
    return Estimate(
        f"share of new {n}-grams",
        value,
        error,
        floor,
        (len(a), len(b)),
        f"the {n}-grams of the fakes, looked up in the training text",
        None,
        (HELD, *floored(c, "each half is looked up in half the text, so the floor is a little high")),
        units,
        {"n": n},
    )


def coverage(
    fake: Any, real: Any, held: Any = None, n: int = 4, units: str = "characters", rows: int = 1000, seed: int = 0
) -> Estimate:
    """The share of the n-grams of the real texts that as many fakes have too: low where the fakes leave out what is said.

    >>> round(coverage(["aaaa", "bbbb"], ["aabb", "abab"], n=2).value, 3)      # aa, ab, bb, ab, ba, ab: two of six
    0.333
    """
    a, b, c = sides(fake, real, held, units, rows, seed)
    size = min(len(a), len(b), len(c) or len(b))
    target, given = some(b, size, seed), some(a, size, seed + 1)
    lost, error = unknown(target, given, n)
    seen = unknown(target, some(c, size, seed + 2), n)[0] if c else halved(lambda x, y: unknown(x, y, n)[0], b, seed)
    floor = None if seen is None else 1 - seen
    notes = ("here more is better, and the floor is what real texts reach", HELD)
    return Estimate(
        f"share of {n}-grams covered",
        1 - lost,
        error,
        floor,
        (size, size),
        f"the {n}-grams of the real texts, looked up in as many fakes",
        None,
        (*notes, *floored(c, "each half is looked up in the other")),
        units,
        {"n": n},
    )


def distinct(
    fake: Any,
    real: Any = None,
    held: Any = None,
    n: int = 4,
    units: str = "characters",
    rows: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Distinct n-grams over n-grams of the fakes: low where they say the same again. The floor is that of as many real texts.

    >>> distinct(["abab"], n=2).value                                   # ab, ba, ab
    0.6666666666666666
    """
    a, b, c = sides(fake, real, held, units, rows, seed)
    size = min(len(a), len(c or b) or len(a))
    mine = some(a, size, seed)
    value, error = varied(mine, n)
    floor = varied(some(c or b, size, seed + 1), n)[0] if c or b else None
    return Estimate(
        f"distinct {n}-grams",
        value,
        error,
        floor,
        (size,),
        f"the {n}-grams of {size:,} texts; the floor is that of as many real ones",
        None,
        ("it falls as there is more text: only equal sizes compare",),
        units,
        {"n": n},
    )


def repetition(
    fake: Any,
    real: Any = None,
    held: Any = None,
    n: int = 4,
    units: str = "characters",
    rows: int = 1000,
    seed: int = 0,
) -> Estimate:
    """The share of the n-grams of a text that stood in it before. The floor is that of the real texts.

    >>> repetition(["ababab", "abcdef"], n=2).value                     # aba has ab, ba, then three more; the other has none
    0.3
    """
    a, b, c = sides(fake, real, held, units, rows, seed)
    value, error = echoed(a, n)
    floor = echoed(c or b, n)[0] if c or b else None
    return Estimate(
        f"repeated {n}-grams",
        value,
        error,
        floor,
        (len(a),),
        f"the {n}-grams of each text that stood in it before",
        None,
        (),
        units,
        {"n": n},
    )


def grams(row: Sequence[Hashable], n: int) -> list[Any]:
    """The n-grams of one row, in order."""
    if isinstance(row, str):
        return [row[i : i + n] for i in range(len(row) - n + 1)]
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]


def unknown(fake: Rows, real: Rows, n: int) -> tuple[float, float]:
    """The share of the n-grams of one side that the other lacks, and its error."""
    seen = {gram for row in real for gram in grams(row, n)}
    found = [grams(row, n) for row in fake]
    return ratio([sum(gram not in seen for gram in row) for row in found], [len(row) for row in found])


def echoed(rows: Rows, n: int) -> tuple[float, float]:
    found = [grams(row, n) for row in rows]
    return ratio([len(row) - len(set(row)) for row in found], [len(row) for row in found])


def varied(rows: Rows, n: int) -> tuple[float, float]:
    """Distinct over all, and its error by leaving out parts in turn (a jackknife over at most BLOCKS parts)."""
    parts = [Counter(g for row in rows[k::BLOCKS] for g in grams(row, n)) for k in range(min(BLOCKS, len(rows)))]
    whole: Counter[Any] = Counter()
    for part in parts:
        whole.update(part)
    total = sum(whole.values())
    if not total:
        return nan, nan
    left = []
    for part in parts:
        gone = sum(whole[gram] == count for gram, count in part.items())
        rest = total - sum(part.values())
        left.append((len(whole) - gone) / rest if rest else nan)
    k = len(left)
    error = sqrt((k - 1) / k * float(np.sum((np.array(left) - np.mean(left)) ** 2))) if k > 1 else nan
    return len(whole) / total, error


def ratio(parts: Any, wholes: Any) -> tuple[float, float]:
    """sum of parts / sum of wholes over rows, and its standard error as rows are drawn (linearised)."""
    a, b = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
    if not b.sum() > 0:
        return nan, nan
    share, n = a.sum() / b.sum(), len(a)
    error = sqrt(n / (n - 1) * float(((a - share * b) ** 2).sum())) / b.sum() if n > 1 else nan
    return float(share), float(error)


# ---- copies --------------------------------------------------------------------------------------------------------------


def copies(
    fake: Any, real: Any, held: Any = None, units: str = "characters", rows: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """How long a run of each fake stands in the training text: `longest` is the mean length, `copied` the share of fakes that stand there whole.

    >>> found = copies(["xbcdx", "abcd"], ["abcde", "zzzz"])
    >>> found["longest"].value, found["copied"].value                   # bcd, abcd
    (3.5, 0.5)
    """
    a, b, c = sides(fake, real, held, units, rows, seed)
    runs, places = shared(a, b)
    whole = [length == len(row) and length > 0 for length, row in zip(runs, a, strict=True)]
    floors: list[float | None] = [None, None]
    if c:
        lengths = shared(c, b)[0]
        floors = [
            float(np.mean(lengths)),
            float(np.mean([x == len(row) and x > 0 for x, row in zip(lengths, c, strict=True)])),
        ]
    elif len(b) > 1:
        one, two = split(b, seed)
        lengths = shared(one, two)[0]
        floors = [float(np.mean(lengths)), float(np.mean([x == len(row) for x, row in zip(lengths, one, strict=True)]))]
    top = int(np.argmax(runs))
    example = a[top][places[top] : places[top] + int(runs[top])]
    words = f"the longest run of all, {int(runs[top])} {units}: {passage(example)}"
    by = "the longest run of symbols of each fake that stands in the training text"
    n, sizes = len(a), (len(a), len(b))
    share = float(np.mean(whole))
    notes = floored(c, "one half is looked up in the other")
    return {
        "longest": Estimate(
            "longest copied run", float(np.mean(runs)), spread(runs), floors[0], sizes, by, None, (words, *notes), units
        ),
        "copied": Estimate(
            "share copied whole", share, sqrt(share * (1 - share) / n), floors[1], sizes, by, None, notes, units
        ),
    }


def shared(fake: Rows, real: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The length of the longest run of each fake that stands in a real row, and where in the fake it begins."""
    rows = [*fake, *real]
    book: dict[Hashable, int] = {}
    lengths = np.array([len(row) for row in rows])
    flat = np.array([book.setdefault(symbol, len(book)) for row in rows for symbol in row], dtype=np.int64)
    ends = (lengths + 1).cumsum() - 1  # behind each row a symbol of its own, so that no run goes over an end
    codes = np.empty(int(lengths.sum()) + len(rows), dtype=np.int64)
    inside = np.ones(len(codes), dtype=bool)
    inside[ends] = False
    codes[inside], codes[ends] = flat, len(book) + np.arange(len(rows))
    border = int(ends[len(fake) - 1]) + 1
    ranks = doubled(codes, int(lengths[: len(fake)].max(initial=0)) + 1)
    order = np.argsort(ranks[-1], kind="stable")
    where = np.arange(len(order))
    mine = order < border
    best = np.zeros(border, dtype=np.int64)
    before = np.maximum.accumulate(np.where(~mine, where, -1))
    after = np.minimum.accumulate(np.where(~mine, where, len(order))[::-1])[::-1]
    for near, there in ((before, before >= 0), (after, after < len(order))):
        ask = mine & there
        best[order[ask]] = np.maximum(best[order[ask]], common(ranks, order[ask], order[near[ask]]))
    starts = np.concatenate([[0], ends[: len(fake)] + 1])
    parts = [best[starts[i] : starts[i + 1]] for i in range(len(fake))]
    return np.array([int(part.max(initial=0)) for part in parts]), np.array([int(part.argmax()) for part in parts])


def doubled(codes: np.ndarray, longest: int) -> list[np.ndarray]:
    """Ranks of the places by their first 1, 2, 4 … symbols, until that is at least `longest`: equal ranks, equal symbols."""
    ranks, reach = [np.unique(codes, return_inverse=True)[1].astype(np.int64)], 1
    while reach < longest:
        behind = np.zeros(len(codes), dtype=np.int64)
        behind[:-reach] = ranks[-1][reach:] + 1
        ranks.append(np.unique(ranks[-1] * (len(codes) + 1) + behind, return_inverse=True)[1].astype(np.int64))
        reach *= 2
    return ranks


def common(ranks: list[np.ndarray], i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """How many symbols the suffixes at i and at j share from their beginning."""
    length, last = np.zeros(len(i), dtype=np.int64), len(ranks[0]) - 1
    for k in range(len(ranks) - 1, -1, -1):
        a, b = i + length, j + length
        alike = (a <= last) & (b <= last)
        alike &= ranks[k][np.minimum(a, last)] == ranks[k][np.minimum(b, last)]
        length += alike * (1 << k)
    return length


# ---- by a model ----------------------------------------------------------------------------------------------------------


def perplexity(model: Any, texts: Any, given: Any = None, by: str = "", seed: int = 0) -> dict[str, Estimate]:
    """Nats per symbol, bits per character and perplexity of a model on texts that it did not learn from.

    The end of a text of free length is a symbol too: a model must say when to stop. Bits per character divide by the characters alone.

    >>> from pushforward.models.classical import Factorised
    >>> found = perplexity(Factorised().fit(["ab", "ba"]), ["aa"])
    >>> round(found["perplexity"].value, 3), round(found["bits per character"].value, 3)
    (2.0, 1.0)
    """
    if model.space.kind != "tokens":
        raise BadData(
            f"Perplexity is of sequences of symbols; this is a model of {model.space}. metrics.likelihood has its nats."
        )
    found = likelihood(model, texts, given, by, seed)
    if found.by == "energy":
        raise Unable(f"{found.of} gives an energy, up to a constant: it has no perplexity.")
    tokens = texts.x if isinstance(texts, Examples) else model.space.read(texts)
    written = (
        (tokens != model.space.end).sum(1).double().numpy()
        if model.space.end >= 0
        else np.full(len(tokens), float(tokens.shape[1]))
    )
    symbols = np.minimum(written + (model.space.end >= 0), model.space.size)
    if found.broken or found.impossible:
        nats, error, bits, slack = -found.mean, nan, -found.mean, nan
    else:
        nats, error = ratio(-found.values, symbols)
        bits, slack = (float(x) / log(2) for x in ratio(-found.values, written))
    n, how = (len(found.values),), found.estimate.estimator
    worth = exp(nats) if nats < 700 else nats if nats != nats else inf
    notes = (*found.notes, *(["a bound: the truth is at most this"] if found.says == "at least" else []))
    return {
        "nats per symbol": Estimate("nats per symbol", nats, error, None, n, how, None, notes),
        "bits per character": Estimate("bits per character", bits, slack, None, n, how, None, notes),
        "perplexity": Estimate("perplexity", worth, worth * error, None, n, how, None, notes),
    }


# ---- sides ---------------------------------------------------------------------------------------------------------------


def sides(fake: Any, real: Any, held: Any, units: str, rows: int, seed: int) -> tuple[Rows, Rows, Rows]:
    """Both sides as rows of symbols; what is not there is empty."""
    if units not in UNITS:
        raise Usage(f"units={units!r} is not one of {', '.join(UNITS)}.")
    given = ((fake, "fake"), (real, "real"), (held, "held"))
    a, b, c = ([] if thing is None else symbols(thing, name, units, rows, seed) for thing, name in given)
    return a, b, c


def symbols(thing: Any, name: str, units: str = "characters", rows: int = 1000, seed: int = 0) -> Rows:
    """Whatever came, as rows of symbols: strings, tuples of words or of codes.

    >>> symbols(np.array([[1, 2], [3, 4]]), "fake"), symbols(["to be"], "fake", "words")
    ([(1, 2), (3, 4)], [('to', 'be')])
    """
    if callable(getattr(thing, "sample", None)) and hasattr(thing, "space"):
        thing = thing.sample(rows, seed=seed)
    if isinstance(thing, str):
        thing = load(thing)
    if isinstance(thing, Examples):
        if thing.space.kind != "tokens":
            raise BadData(f"{name} holds examples of {thing.space}; texts or rows of whole numbers are awaited.")
        thing = thing.space.restore(thing.x)
    if isinstance(thing, Tensor):
        thing = thing.detach().cpu().numpy()
    if isinstance(thing, list | tuple) and not len(thing):
        raise BadData(f"{name} is empty. At least one sequence is needed.")
    if is_text(thing):
        return [tuple(row.split()) if units == "words" else row for row in thing]
    if isinstance(thing, np.ndarray) and thing.ndim == 2 and thing.dtype.kind in "iub":
        return [tuple(row) for row in thing.tolist()]
    if isinstance(thing, list | tuple) and all(isinstance(row, list | tuple | np.ndarray) for row in thing):
        return [tuple(np.asarray(row).tolist()) for row in thing]
    what = f"{type(thing).__name__} of shape {thing.shape}" if hasattr(thing, "shape") else type(thing).__name__
    raise BadData(
        f"{name} came as {what}; a list of strings, rows of whole numbers, Examples or a model of them is awaited."
    )


def some(rows: Rows, size: int, seed: int) -> Rows:
    return rows if len(rows) <= size else [rows[i] for i in order(len(rows), seed)[:size]]


def split(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    found, half = order(len(rows), seed), len(rows) // 2
    return [rows[i] for i in found[:half]], [rows[i] for i in found[half : 2 * half]]


def order(n: int, seed: int) -> list[int]:
    with noise.stream(noise.mix(seed, 7)):
        return noise.permutation(n).tolist()


def halved(measure: Callable[[Rows, Rows], float], rows: Rows, seed: int) -> float | None:
    """A measure between two real halves; none of a single row."""
    return measure(*split(rows, seed)) if len(rows) > 1 else None


def floored(held: Rows, halves: str) -> tuple[str, ...]:
    return (
        (f"the floor is that of {len(held):,} real rows held out",)
        if held
        else (f"the floor is that of two real halves: {halves}",)
    )


def spread(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / sqrt(len(values))) if len(values) > 1 else nan


def passage(row: Sequence[Hashable]) -> str:
    """A run as it is shown: its beginning."""
    text = row if isinstance(row, str) else " ".join(map(str, row))
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
