"""The features of a table's row as a network gives them: numbers as they are, codes one-hot, drawn by the Gumbel trick.

Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017, section 2: the largest of logits + Gumbel noise is a draw from
their softmax; the gradient is that of the softmax at a temperature.

B rows of F features, C blocks (discrete columns) of at most S codes:   y (B, F)   u (B, width)   logits (B, C, S)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class Blocks(nn.Module):
    """The logits of each discrete column become one-hot; numbers pass. A number that may be missing has two logits beside it,
    whether it is there, and is 0 where it is not.

    >>> from ..space import Column
    >>> blocks = Blocks((Column("x", "number"), Column("side", "category", categories=("left", "mid", "right"))))
    >>> blocks(torch.tensor([[0.5, 1.0, 3.0, 2.0]]))
    tensor([[0.5000, 0.0000, 1.0000, 0.0000]])
    """

    codes: Tensor  # the number of each feature that belongs to a block
    place: Tensor  # (C, S) the same, a row for each column, filled up with the number of a feature past the end
    maybe: Tensor  # the number of each feature that is a number that may be missing

    def __init__(self, columns: tuple[Any, ...] = ()):
        super().__init__()
        spans, maybe, end = [], [], 0
        for c in columns:
            start, end = end, end + (c.size if c.discrete else 1 + 2 * c.missing)
            if c.discrete or c.missing:
                spans.append(torch.arange(start if c.discrete else start + 1, end))
            if c.missing and not c.discrete:
                maybe.append(start)
        self.width = sum(map(len, spans))
        place = torch.nn.utils.rnn.pad_sequence(spans, True, end) if spans else torch.zeros(0, 0, dtype=torch.long)
        for name, value in (
            ("place", place),
            ("codes", place[place < end]),
            ("maybe", torch.tensor(maybe, dtype=torch.long)),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, y: Tensor, u: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """Features (B, F) and uniforms (B, width), or None for the likeliest codes -> features (B, F)."""
        if not self.width:
            return y
        if u is not None:
            # Gumbel noise: the largest of logits + noise is a draw from their softmax. A uniform of 0 is not to become infinite.
            y = y.index_add(1, self.codes, -(-u.clamp(min=1e-12).log()).log())
        logits = pad(y, (0, 1), value=-torch.inf)[:, self.place]  # (B, C, S)
        soft = (logits / temperature).softmax(2)
        hard = torch.zeros_like(soft).scatter_(2, soft.argmax(2, keepdim=True), 1.0)
        code = hard - soft.detach() + soft
        out = pad(y, (0, 1)).index_copy(1, self.place.flatten(), code.flatten(1))[:, :-1]
        if len(self.maybe):
            out = out.index_copy(1, self.maybe, out[:, self.maybe] * out[:, self.maybe + 1])
        return out
