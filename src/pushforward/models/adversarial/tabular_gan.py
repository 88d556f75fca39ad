"""A conditional GAN for tables.   x = G(z, c),  z ~ N(0, I),  c: codes that the row is to have        D(x, c)

Xu, Skoularidou, Cuesta-Infante & Veeramachaneni, "Modeling tabular data using conditional GAN", NeurIPS 2019, https://arxiv.org/abs/1907.00503
    a number is one of K modes of its column and a place in it (maths/mixed.py)
    training by sampling: a column at random, a code of it by the logarithm of how often it came, a row that has it (data/balance.py)
    drawing: the column at random, the code as often as it came
What is asked for is put into the row, so it holds exactly and no cross-entropy need ask for it; a third of the conditions are of several
columns; and the critic is shown each number itself beside its mode and place. CTGAN, a preset, has the rest as in the paper.

B examples of D columns, F features of them, c of C codes:   x (B, D)   y (B, F)   c (B, C)   given (B, G + C)
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ...data.balance import Balanced, chances, counted
from ...data.examples import Examples
from ...data.load import load
from ...engine import Recipe
from ...errors import Usage, did_you_mean
from ...maths.critics import OBJECTIVES, PENALTIES
from ...maths.diagnosis import memory, numbers
from ...maths.gaussians import pick
from ...maths.mixed import Mixed
from ...nets import default
from ...nets.dense import Dense
from ...noise import normal, permutation, uniform
from ...space import Space
from .family import Adversarial

ROWS = 8192  # from which the modes are found
CHOICES, NEAR = (
    64,
    0.1,
)  # draws of which a completion takes one near the known numbers, and how near in standard deviations


class TabularGAN(Adversarial):
    """A GAN for mixed columns, which keeps rare codes and draws rows that have the codes you ask for.

    >>> from pushforward.data import people
    >>> model = TabularGAN(hidden=(32,)).fit(people(300), steps=5, quiet=True)
    >>> model.sample(3, seed=0)["works"].dtype
    dtype('bool')
    """

    hidden: tuple = (256, 256)  # widths of generator and critic
    modes: int = 10  # K, Gaussians that each number is split into
    net: str = "mlp"  # the generator: mlp; dense, widened layer by layer with batch norm (the paper's)
    dropout: float = 0.0  # in the critic
    objective: str = "relativistic"  # as of GAN
    penalty: str = "r1r2"  # on the critic's slope, as of GAN, without clip
    weight: float = 0.3  # of the penalty
    lazy: int = 4  # steps from one penalty to the next, which weighs as much more
    anneal: float = 0.1  # what is left of the penalty's weight at the end

    recipe: ClassVar[Recipe] = Recipe(
        steps=12000, batch=256, lr=2e-3, beta1=0.0, beta2=0.99, schedule="cosine", ema=0.999
    )
    coordinates: ClassVar[str] = "natural"
    small: ClassVar[dict[str, Any]] = {"hidden": (32, 32), "latent": 4, "modes": 3}
    kinds: ClassVar[dict[str, str]] = {"complete": "codes as conditions, numbers by the nearest of 64 draws"}

    def fit(self, x, y=None, *, given=None, **how):
        """As every model learns, from rows that are drawn by their codes."""
        examples = x if isinstance(x, Examples) and given is None else load(x, given=given)
        self._balanced = Balanced.of_all(examples)
        return super().fit(self._balanced, y, **how)

    def build(self, space, given=None):
        for name, known in (("objective", OBJECTIVES), ("penalty", ("none", *PENALTIES)), ("net", ("mlp", "dense"))):
            if (value := getattr(self, name)) not in known:
                raise Usage(f"{name}={value!r} is not one of {', '.join(known)}.{did_you_mean(value, known)}")
        if self.modes < 1 or self.weight < 0 or self.lazy < 1 or not 0 < self.anneal <= 1 or not 0 <= self.dropout < 1:
            raise Usage("modes and lazy are at least 1, weight is at least 0, anneal in (0, 1], dropout in [0, 1).")
        self.mixed = Mixed(space, self.modes)
        given, width = (given or 0) + self.mixed.asked, self.mixed.width
        super().build(Space("real", (width,), columns=self.mixed.columns), given)
        shown = Space("real", (self.pac * (width + len(self.mixed.numbers)),))
        how: dict[str, Any] = {"hidden": self.hidden, "activation": "leaky", "dropout": self.dropout}
        self.critic = default.into(shown, 1, self.pac * given, **how)
        if self.net == "dense":
            self.generator = Dense(self.width_, width, given, self.hidden)

    def prime(self, x, given=None):
        rows, x = self.__dict__.pop("_balanced", None), x.flatten(1)
        if rows is not None and len(rows) > len(x):
            some = permutation(len(rows))[:ROWS].sort().values
            x = self.enter(rows.take(some)[0].to(self.device), None)[0].flatten(1)
        sampled = rows is not None and len(rows.columns) > 0
        counts = rows.sorted()[1] if sampled else counted(x[:, self.mixed.codes].T, self.mixed.shares.shape[1])
        counts = counts.double().to(x.device)
        self.mixed.lay(x, counts, chances(counts) if sampled else counts / len(x))

    def unable(self, ability):
        return (
            "a row comes of a condition and of draws of its codes too. sample draws all."
            if ability == "decode"
            else None
        )

    # ---- how the game goes ---------------------------------------------------------------------------------------
    def shown(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features of rows, and what is given, with the condition that each row was drawn for."""
        with torch.no_grad():
            x = x.flatten(1)
            codes = x[:, self.mixed.codes].long()
            return self.mixed(x), self.asking(codes, self.mixed.why(codes) if self.mixed.asked else codes, given)

    def asking(self, codes: Tensor, known: Tensor, given: Tensor | None) -> Tensor | None:
        """What is given and the condition, side by side."""
        if not self.mixed.asked:
            return given
        c = self.mixed.condition(codes, known)
        return c if given is None else torch.cat([given, c], 1)

    def generate(self, n: int, given: Tensor | None = None) -> Tensor:
        """n fakes that have what was asked for, with a graph back to the generator's weights."""
        y = super().generate(n, given)
        return y if given is None else self.mixed.put(y, given[:, given.shape[1] - self.mixed.asked :])

    def opinion(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        rows = x.reshape(-1, self.mixed.width)
        return super().opinion(torch.cat([rows, self.mixed.values(rows)], 1).view(len(x), -1), given)

    def judge(self, x, given=None):
        held, cond = self.shown(*self.enter(x, given)[:2])
        if "_seen" in self.__dict__ and len(held) >= self.pac <= len(self._seen[0]):
            sides = (self._seen, (held, cond), (self.generate(len(held), cond), cond))
            heights = [self.opinion(self.pack(side), self.pack(g)).float() for side, g in sides]
            self._record.append({"step": self.step, **numbers(memory(*heights))})

    # ---- abilities -----------------------------------------------------------------------------------------------
    def drawn(self, codes: Tensor, known: Tensor, given: Tensor | None, whole: bool = False) -> Tensor:
        """Rows that have the codes that are asked for, as `generate` without its gradients; `whole`: without missing cells."""
        mixed = self.mixed
        y = self.generator(normal(len(codes), self.width_).to(mixed.means), self.asking(codes, known, given))
        y = y.masked_fill(mixed.lost, -torch.inf) if whole else y
        u = uniform(len(codes), self.blocks_.width).to(y)
        y[:, len(mixed.numbers) :] -= u.clamp_(min=1e-12).log_().neg_().log_()
        x = mixed.inverse(y)
        x[:, mixed.codes] = torch.where(known, codes.to(x), x[:, mixed.codes])
        return x

    def _sample(self, n, given=None):
        return self.drawn(*self.mixed.drawn(n), given)

    def _complete(self, x, known, given=None):
        x, known = x.flatten(1), known.flatten(1)
        m = self.mixed.numbers
        draws = CHOICES if bool(known[:, m].any()) else 1
        u = uniform(len(x), 1)[:, 0].to(x)
        found = torch.stack([self.drawn(*self.told(x, known), given, whole=True) for _ in range(draws)], 1)
        apart = ((found[:, :, m] - x[:, None, m]) / NEAR).square() * known[:, None, m]
        return found[torch.arange(len(x), device=x.device), pick((-0.5 * apart.sum(2)).softmax(1), u)]

    def told(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The codes that are known; where none is, a condition as it is drawn."""
        codes, there = x[:, self.mixed.codes].long(), known[:, self.mixed.codes]
        drawn, asked = self.mixed.drawn(len(x), whole=True)
        some = there.any(1, keepdim=True)
        return torch.where(some, codes, drawn), torch.where(some, there, asked)
