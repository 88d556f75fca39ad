"""Mixed columns as features that a generator can make, and conditions on the codes among them.

    a number   is mode k of its column and a place in it, x = m_k + s_k a, with k ~ P(k | x); missing is one more mode
    a code     is one-hot
    features   y = [a of each number | modes of each number, one-hot | codes, one-hot]
    condition  c = the codes part of y, zero for the columns that are not asked for

Mode-specific normalisation and the vector of the condition: Xu et al., "Modeling tabular data using conditional GAN", NeurIPS 2019, section 4.
N rows, M numbers in K modes, J columns of codes, of at most S values:   x (N, M + J)   y (N, F)   c (N, sum of sizes)   codes, known (N, J)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad
from torch.nn.utils.rnn import pad_sequence

from ..noise import uniform
from ..space import Column
from .gaussians import pick
from .mixtures import Mixtures

SEVERAL = 1 / 3  # of the conditions that are asked for are of more than one column


class Mixed(nn.Module):
    """The way from mixed columns to features and back.

    >>> from pushforward.space import Space
    >>> columns = (Column("x", "number"), Column("side", "category", categories=("left", "right")))
    >>> mixed = Mixed(Space("table", (2,), columns=columns), modes=2)
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> mixed.lay(x, torch.tensor([[2, 2]]), torch.tensor([[0.5, 0.5]]))
    >>> mixed(x[:2]).round().abs().tolist()
    [[0.0, 1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0, 0.0]]
    >>> torch.equal(mixed.inverse(mixed(x)), x)
    True
    """

    log_weights: Tensor  # (M, K)
    means: Tensor
    scales: Tensor
    shares: Tensor  # (J, S) how often each code came
    pull: Tensor  # (J, S) how likely a row with this code was drawn because of it
    places: Tensor  # (M, K + 1) the feature of each mode, F where there is none
    codings: Tensor  # (J, S) the feature of each code
    lost: Tensor  # (F,) whether a feature says that a cell is missing
    source: Tensor  # the column of each entry of a condition
    begin: Tensor  # (J,) its first entry

    def __init__(self, space: Any, modes: int):
        super().__init__()
        columns = space.columns or (alone(space),) * space.size
        self.numbers = [j for j, c in enumerate(columns) if not c.discrete]
        self.codes = [j for j, c in enumerate(columns) if c.discrete]
        self.modes, m = modes, len(self.numbers)
        kinds = [
            Column("", "category", categories=tuple(range(modes)), missing=columns[j].missing) for j in self.numbers
        ]
        blocks = [*kinds, *(columns[j] for j in self.codes)]
        self.columns = (*[Column("", "number")] * m, *blocks)  # of the features
        self.sizes = sizes = [block.size for block in blocks]
        spans = (m + torch.arange(sum(sizes))).split(sizes)
        self.width, self.asked = m + sum(sizes), sum(sizes[m:])
        last = [int(span[-1]) for span, block in zip(spans, blocks, strict=True) if block.missing]
        self.keep(
            places=stacked([*spans[:m], torch.zeros(modes + 1, dtype=torch.long)], self.width)[:-1],
            codings=stacked(spans[m:], self.width),
            lost=torch.zeros(self.width, dtype=torch.bool).index_fill_(0, torch.tensor(last, dtype=torch.long), True),
            source=torch.cat([torch.full((n,), j) for j, n in enumerate(sizes[m:])] or [torch.zeros(0).long()]),
            begin=torch.tensor([0, *sizes[m:]], dtype=torch.long).cumsum(0)[:-1],
        )
        for name in ("log_weights", "means", "scales"):
            self.register_buffer(name, torch.zeros(m, modes))
        for name in ("shares", "pull"):
            self.register_buffer(name, torch.zeros(len(self.codes), max(sizes[m:], default=0)))

    def keep(self, **constants: Tensor) -> None:
        for name, value in constants.items():  # the space says them, so the saved weights need not
            self.register_buffer(name, value, persistent=False)

    def lay(self, x: Tensor, counts: Tensor, chances: Tensor) -> None:
        """Find the modes in rows x; `counts` of all codes (J, S), and with what `chances` each is asked for in its column."""
        for name, value in vars(Mixtures.of(x[:, self.numbers], self.modes)).items():
            getattr(self, name).copy_(value)
        self.shares.copy_(counts / counts.sum(1, keepdim=True))
        self.pull.copy_(torch.where(counts > 0, chances / counts, 0.0))

    # ---- rows and features ---------------------------------------------------------------------------------------
    def forward(self, x: Tensor) -> Tensor:
        """Rows -> features. Of the modes that may have made a number one is drawn."""
        m, n = len(self.numbers), len(x)
        number = x[:, self.numbers]
        gone = torch.isnan(number)
        number = number.nan_to_num(0.0)
        chance = Mixtures(self.log_weights, self.means, self.scales).joint(number)
        u = uniform(n, m, self.modes).to(x).clamp(min=1e-12)
        mode = (chance - (-u.log()).log()).argmax(
            2
        )  # the largest of logits + Gumbel noise is a draw from their softmax
        place = (number - self.at(self.means, mode)) / self.at(self.scales, mode)
        codes = x[:, self.codes].long()
        spots = [self.at(self.places, torch.where(gone, self.modes, mode)), self.at(self.codings, codes)]
        out = pad(place.masked_fill(gone, 0.0), (0, self.width - m + 1)).scatter_(1, torch.cat(spots, 1), 1.0)
        return out[:, :-1]

    def inverse(self, y: Tensor) -> Tensor:
        """Features -> rows: of each block the largest, whether it is one-hot or logits with Gumbel noise."""
        m, out = len(self.numbers), y.new_empty(len(y), len(self.numbers) + len(self.codes))
        chosen = [block.argmax(1) for block in y[:, m:].split(self.sizes, 1)]  # block by block: they differ in width
        if m:
            mode = torch.stack(chosen[:m], 1)
            means, scales = (
                pad(table, (0, 1), value=torch.nan) for table in (self.means, self.scales)
            )  # the last: missing
            out[:, self.numbers] = self.at(means, mode) + self.at(scales, mode) * y[:, :m]
        for j, code in zip(self.codes, chosen[m:], strict=True):
            out[:, j] = code
        return out

    def values(self, y: Tensor) -> Tensor:
        """The numbers of features, with a slope; 0 where they are missing."""
        m = len(self.numbers)
        if any(size > self.modes for size in self.sizes[:m]):
            modes = pad(y, (0, 1))[:, self.places[:, :-1]]  # (N, M, K)
        else:  # they lie side by side
            modes = y[:, m : m + m * self.modes].unflatten(1, (m, self.modes))
        return (modes * (self.means + self.scales * y[:, :m, None])).sum(2)

    @staticmethod
    def at(table: Tensor, index: Tensor) -> Tensor:
        """(M, K) at (N, M) -> (N, M)."""
        return table.gather(1, index.T).T

    # ---- conditions ----------------------------------------------------------------------------------------------
    def condition(self, codes: Tensor, known: Tensor) -> Tensor:
        """c of the codes that are asked for."""
        spot = torch.where(known, self.begin + codes, self.asked)  # past the end what is not
        return self.means.new_zeros(len(codes), self.asked + 1).scatter_(1, spot, 1.0)[:, :-1]

    def put(self, y: Tensor, c: Tensor) -> Tensor:
        """Features with what was asked for in place."""
        if not self.asked:
            return y
        known = c.new_zeros(len(c), len(self.codes)).index_add_(1, self.source, c)[:, self.source]
        start = self.width - self.asked
        return torch.cat([y[:, :start], torch.where(known > 0, c, y[:, start:])], 1)

    def why(self, codes: Tensor) -> Tensor:
        """Of rows that were drawn by their codes, which columns they were drawn for; a third of them for some more, at random."""
        chance = self.at(self.pull, codes)
        u = uniform(len(codes), 3 + len(self.codes)).to(chance)
        first = one_hot(pick(chance, u[:, 0]), len(self.codes)).bool()
        return first | ((u[:, 1:2] < SEVERAL) & (u[:, 3:] < u[:, 2:3]))

    def drawn(self, n: int, whole: bool = False) -> tuple[Tensor, Tensor]:
        """n conditions of one column each, with the codes as often as they came: codes and which are asked for. `whole`: none is missing."""
        if not self.codes:
            return self.begin.new_zeros(n, 0), self.lost.new_zeros(n, 0)
        u = uniform(n, 2).to(self.shares)
        column = (u[:, 0] * len(self.codes)).long().clamp(max=len(self.codes) - 1)
        shares = self.shares * ~pad(self.lost, (0, 1))[self.codings] if whole else self.shares
        code = pick(shares[column], u[:, 1])
        known = one_hot(column, len(self.codes))
        return known * code[:, None], known.bool()


def alone(space: Any) -> Column:
    """What each variable of a space without columns is."""
    levels = {"real": 0, "binary": 2}.get(space.kind, space.levels)
    return Column("", "ordinal", categories=tuple(range(levels))) if levels else Column("", "number")


def stacked(spans: Any, end: int) -> Tensor:
    """A row for each span, filled up with the number of a feature past the end."""
    return pad_sequence([*spans], True, end) if len(spans) else torch.zeros(0, 1, dtype=torch.long)
