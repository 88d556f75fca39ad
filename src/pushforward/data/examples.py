"""Examples: what a model learns from, as rows of one space and, where the model is conditional, what is given with each.

N examples of space X:   take(indices (B,)) -> x (B, *X), given (B, G) or None
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BadData, Usage
from ..noise import mix
from ..space import Space, degenerate
from .stores import Mapped, Pair, Store, Tensors

ORDER, SPLIT = 1, 2  # two uses of one seed must not draw the same permutation
LARGE = 1 << 30  # bytes; a file above this is not read into memory unless asked


class Examples:
    """Rows of one space. The order of an epoch is a function of (seed, epoch) alone.

    >>> examples = Examples(np.arange(10.0).reshape(5, 2), given=["a", "b", "a", "b", "a"])
    >>> len(examples), str(examples.space), examples.given_space.columns[0].categories
    (5, 'real of shape (2,)', ('a', 'b'))
    >>> x, given = examples.take([0, 3])
    >>> x.tolist(), given.tolist()
    ([[0.0, 1.0], [6.0, 7.0]], [[0.0], [1.0]])
    >>> train, valid = examples.split(0.2, seed=0)
    >>> len(train), len(valid)
    (4, 1)
    """

    def __init__(
        self, x: Any, given: Any = None, space: Space | None = None, given_space: Space | None = None, name: str = ""
    ):
        self.name = name
        if isinstance(x, Store):
            if space is None:
                raise Usage("A store does not know its space. Pass space=.")
            self.space, self.given_space, self.store = space, given_space, x
        else:
            x = x.detach() if isinstance(x, Tensor) else x
            self.space = Space.of(x) if space is None else space
            labels = None if given is None else labelled(given)
            if labels is not None and given_space is None:
                given_space = Space.of(labels if labels is given else classes(labels))
            self.given_space = given_space
            y = None if labels is None or given_space is None else given_space.read(labels)
            if isinstance(x, np.memmap):
                self.store = Mapped(x, self.space, y)
                self.store.check()
            else:
                self.store = Tensors(self.space.read(x), y)
            if y is not None and len(y) != len(self.store):
                raise BadData(
                    f"x has {len(self.store)} rows and given has {len(y)}. Each row of x needs one row of given."
                )
        if len(self.store) == 0:
            raise BadData("There are no examples: the data have 0 rows. At least one is needed.")

    def __len__(self) -> int:
        return len(self.store)

    def __repr__(self) -> str:
        given = f", given {self.given_space}" if self.given_space is not None else ""
        return f"Examples({f'{self.name}: ' if self.name else ''}{len(self):,} of {self.space}{given})"

    def take(self, indices: Tensor | Sequence[int] | slice) -> Pair:
        """The examples with these numbers as tensors in the units of the data: (x, given or None)."""
        if isinstance(indices, slice):
            if isinstance(self.store, Tensors) and indices.step in (None, 1):
                return self.store.part_of(indices)
            indices = torch.arange(len(self))[indices]
        return self.store.take(torch.as_tensor(indices, dtype=torch.long))

    @property
    def x(self) -> Tensor:
        """All examples at once; of a source larger than memory this reads everything."""
        return self.store.x if isinstance(self.store, Tensors) else self.take(slice(None))[0]

    @property
    def given(self) -> Tensor | None:
        """All that is given at once."""
        return self.store.given if isinstance(self.store, Tensors) else self.take(slice(None))[1]

    def order(self, seed: int, epoch: int) -> Tensor:
        """The numbers of all examples in the order of an epoch: a function of (seed, epoch) and of nothing else.

        It is a permutation, except for a text in windows, where each epoch also moves all windows by one offset.
        """
        return self.store.order(torch.Generator().manual_seed(mix(seed, epoch, ORDER)))

    def split(self, fraction: float = 0.1, seed: int = 0) -> tuple[Examples, Examples]:
        """(train, valid), where `fraction` of the examples are for validation. A text in windows gives up its end."""
        if not 0 < fraction < 1:
            raise Usage(
                f"fraction={fraction} was asked for; the part held out is a number between 0 and 1, such as 0.1."
            )
        if len(self) < 2:
            raise BadData("One example cannot be split into two parts. Pass more data, or no validation.")
        held = min(max(round(fraction * len(self)), 1), len(self) - 1)
        train, valid = self.store.split(held, torch.Generator().manual_seed(mix(seed, SPLIT)))
        return self.of(train), self.of(valid)

    def part(self, indices: Tensor | Sequence[int]) -> Examples:
        """These examples alone."""
        return self.of(self.store.part(torch.as_tensor(indices, dtype=torch.long)))

    def head(self, n: int) -> Examples:
        """The first n examples."""
        return self.part(torch.arange(min(n, len(self))))

    def to(self, device: torch.device | str) -> Examples:
        """The same examples on a device."""
        return self.of(self.store.to(device))

    def alike(self, more: Any) -> Examples:
        """Other data as examples of the same spaces: Examples as they are, x, or (x, given)."""
        if isinstance(more, Examples):
            return more
        x, given = more if isinstance(more, tuple) else (more, None)
        return Examples(x, given, space=self.space, given_space=self.given_space)

    def of(self, store: Store) -> Examples:
        """Other rows of the same space."""
        out = copy(self)
        out.store = store
        return out


def singular(examples: Any) -> list[tuple[str, ...]]:
    """Groups of columns of which one is a copy or a sum of others, by name: a density has no limit there, so that log-likelihoods of different
    models cannot be compared. None where there is no such group; rows beyond the first 65,536 are not looked at.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> singular(np.column_stack([x, 2 * x[:, 0] - 1]))
    [('x0', 'x2')]
    """
    found = examples if isinstance(examples, Examples) else Examples(examples)
    return degenerate.singular(found.space, found.take(slice(0, degenerate.SAMPLE))[0])


def labelled(given: Any) -> Any:
    """One label or number for each example is a table of one column; several by name are a table too."""
    if isinstance(given, dict):
        import pandas as pd

        return pd.DataFrame(given)
    flat = getattr(given, "ndim", None) == 1 or (
        isinstance(given, list | tuple) and len(given) > 0 and np.ndim(given[0]) == 0
    )
    if not flat:
        return given
    import pandas as pd

    if isinstance(given, pd.Series):
        return given.to_frame(given.name if given.name is not None else "given")
    return pd.DataFrame({"given": given.detach().cpu().numpy() if isinstance(given, Tensor) else given})


def classes(labels: Any) -> Any:
    """Whole numbers 0 .. K-1 without gaps, as labels come, are K classes and not a quantity."""
    import pandas as pd

    def one(cells: Any) -> Any:
        if cells.dtype.kind not in "iu" or len(cells) == 0 or cells.min() != 0:
            return cells
        seen = np.unique(cells)
        return pd.Categorical(cells) if len(seen) == seen[-1] + 1 < len(cells) else cells

    return pd.DataFrame({name: one(labels[name]) for name in labels})


def spread(given: Any, n: int, space: Space) -> Any:
    """One value, or one of each column by name, stands for all n examples."""
    if isinstance(given, dict):
        import pandas as pd

        return pd.DataFrame({name: [value] * n if np.ndim(value) == 0 else value for name, value in given.items()})
    if np.ndim(given) == 0:
        return spread({name: given for name in space.names[:1]}, n, space)
    named = labelled(given)
    return named if named is given or not space.names else named.set_axis(list(space.names), axis=1)
