"""What two codes tell of each other, and the tree of codes that keeps most of it.

    I(a; b) = sum_vw n_vw / n log(n n_vw / (n_v n_w)) >= 0

The tree-shaped distribution of greatest likelihood has the edges of a maximum spanning tree of I, whatever its root
(Chow & Liu, "Approximating discrete probability distributions with dependence trees", IEEE Trans. Inf. Theory 1968).
N rows of D variables with r_d values, of which R in all came:   codes (N, D)   counts of pairs (R, R)   I (D, D)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import Usage, did_you_mean

ROWS = 1 << 13  # of which pairs are counted at once


def occurring(lots: Iterable[Tensor], sizes: Sequence[int]) -> tuple[Tensor, list[int]]:
    """The place of each value among those that came, as one row (sum of r,), and how many values of each variable came."""
    start = starts(sizes)
    there = torch.zeros(sum(sizes), dtype=torch.bool)
    for codes in lots:
        there[(codes.cpu() + start).flatten()] = True
    return there.long().cumsum(0) - 1, [int(part.sum()) for part in there.split(list(sizes))]


def pairs(lots: Iterable[Tensor], sizes: Sequence[int], places: Tensor) -> Tensor:
    """How often each value that came did so with each other: a block for every two variables, of one with itself too."""
    counts = torch.zeros(int(places[-1]) + 1, int(places[-1]) + 1, dtype=torch.float64)
    for lot in lots:
        for codes in lot.cpu().split(ROWS):
            hot = torch.zeros(len(codes), len(counts)).scatter_(1, places[codes + starts(sizes)], 1.0)
            counts += hot.T @ hot  # whole numbers below 2^24: exact in float32
    return counts


def starts(sizes: Sequence[int]) -> Tensor:
    """Where the values of each variable begin."""
    size = torch.tensor(sizes)
    return size.cumsum(0) - size


def informations(counts: Tensor, sizes: Sequence[int]) -> Tensor:
    """I of every two variables, in nats; on the diagonal the entropies.

    >>> codes = [torch.tensor([[0, 0, 0], [1, 2, 0]])]
    >>> places, seen = occurring(codes, (2, 3, 1))
    >>> seen, informations(pairs(codes, (2, 3, 1), places), seen).round(decimals=3)
    ([2, 2, 1], tensor([[0.6930, 0.6930, 0.0000],
            [0.6930, 0.6930, 0.0000],
            [0.0000, 0.0000, 0.0000]], dtype=torch.float64))
    """
    owner = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    single = counts.diagonal()
    total = single[: sizes[0]].sum()
    terms = torch.special.xlogy(counts, counts * total / (single[:, None] * single)).nan_to_num(0.0) / total
    rows = terms.new_zeros(len(sizes), len(counts)).index_add_(0, owner, terms)
    return terms.new_zeros(len(sizes), len(sizes)).index_add_(1, owner, rows)


def spanning(weights: Tensor) -> Tensor:
    """The edges (D - 1, 2), (parent, child), of a maximum spanning tree, away from variable 0. Of equal weights the first is taken."""
    d = len(weights)
    best, nearest = weights[0].clone(), torch.zeros(d, dtype=torch.long)
    out = torch.ones(d, dtype=torch.bool)
    out[0] = False
    edges = []
    for _ in range(d - 1):  # Prim, 1957
        child = int(torch.where(out, best, -torch.inf).argmax())
        edges.append([int(nearest[child]), child])
        out[child] = False
        closer = out & (weights[child] > best)
        best, nearest = torch.where(closer, weights[child], best), torch.where(closer, child, nearest)
    return torch.tensor(edges, dtype=torch.long).view(-1, 2)


def ordered(edges: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """Each variable after its parents, [*parents, d], all parents before their children. Those on a circle are left out.

    >>> ordered([(2, 0), (1, 0)], 3)
    [[1], [2], [2, 1, 0]]
    """
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for parent, child in edges:
        above[child].append(parent)
        below[parent].append(child)
    waits = [len(up) for up in above]
    ready = [d for d in range(count) if not waits[d]]
    for d in ready:
        for child in below[d]:
            waits[child] -= 1
            if not waits[child]:
                ready.append(child)
    return [[*above[d], d] for d in ready]


def read_edges(parents: Any, names: tuple[str, ...]) -> list[list[int]] | None:
    """The numbers of (parent, child) for each edge; None where they are to be learned."""
    words = parents.split(",") if isinstance(parents, str) else parents
    if isinstance(words, dict):
        words = [(up, child) for child, ups in words.items() for up in ([ups] if isinstance(ups, str | int) else ups)]
    if list(words) == ["tree"]:
        return None
    found = []
    for word in words:
        pair = [part.strip() for part in word.split(">")] if isinstance(word, str) else [str(part) for part in word]
        if len(pair) != 2 or (lost := [name for name in pair if name not in names]) or pair[0] == pair[1]:
            hint = did_you_mean(lost[0], names) if len(pair) == 2 and lost else ""
            raise Usage(
                f"parents: {word!r} is not an edge. Two different ones of {', '.join(names[:8])} are awaited, as parent>child.{hint}"
            )
        found.append([names.index(name) for name in pair])
    circle = set(range(len(names))) - {family[-1] for family in ordered(found, len(names))}
    if circle or len({tuple(edge) for edge in found}) < len(found):
        told = f"go round in a circle at {names[min(circle)]!r}" if circle else "hold an edge twice"
        raise Usage(f"parents={parents!r} {told}. Leave out one edge.")
    return found
