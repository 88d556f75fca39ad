"""Adversarial models: a generator pushes noise forward, a critic tells what comes out from the data, and each learns from the other.

    x = G(z),  z ~ N(0, I),      D: x -> a number, high where the critic takes x for an example

p(x) is what the map G makes of the noise; it can be drawn from and has no density that could be computed. In a table the generator
gives numbers as they are and logits for each discrete column, of which a code is drawn by the Gumbel trick; its gradient is that of the
softmax at a temperature ("straight through": Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017, §2.2).

B examples of F features, L latents, C blocks (discrete columns) of at most S codes:   z (B, L)   x (B, *F)   D(x) (B,)   logits (B, C, S)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ...errors import Usage
from ...model import Model
from ...nets import default
from ...noise import normal, uniform

NO_DENSITY = "a map from noise that cannot be inverted gives no density. Compare what it draws."


class Adversarial(Model):
    """A game of two players; a system gives the losses and the order of `moves`."""

    latent: int = 16  # L, width of the noise that is pushed forward
    hidden: tuple = (128, 128)  # widths of generator and critic
    critic_steps: int = 1  # steps of the critic for one of the generator, each on its own part of the batch
    temperature: float = 0.5  # of the softmax that carries gradients through the codes of a table

    players: ClassVar[tuple[str, ...]] = ("critic", "generator")
    coordinates: ClassVar[str] = "features"
    why_not: ClassVar[dict[str, str]] = {
        "log_prob": NO_DENSITY,
        "bound": NO_DENSITY,
        "energy": "the critic compares data with this generator's fakes; it does not say how likely an example is.",
        "evidence": NO_DENSITY,
        "encode": "the generator has no inverse.",
        "complete": "without a density there is no p(unknown | known). Fit with given=… what will be known.",
    }
    small: ClassVar[dict[str, Any]] = {"hidden": (32, 32), "latent": 4}

    def build(self, space, given=None):
        if self.latent < 1 or self.critic_steps < 1 or self.temperature <= 0:
            raise Usage(
                f"{type(self).__name__}: latent and critic_steps are whole numbers of at least 1, temperature is above 0."
            )
        self.event_, self.blocks_ = space.shape, Blocks(space.columns)
        self.generator = default.out_of(self.latent, space, prod(space.shape), given or 0, hidden=self.hidden)
        self.critic = default.into(space, 1, given or 0, hidden=self.hidden, activation="leaky")

    def generate(self, n: int, given: Tensor | None = None) -> Tensor:
        """n fakes, with a graph back to the generator's weights."""
        like = next(self.generator.parameters())
        z = normal(n, self.latent).to(like)
        u = uniform(n, self.blocks_.width).to(like) if self.blocks_.width else None
        return self.blocks_(self.generator(z, given), u, self.temperature).view(n, *self.event_)

    def opinions(self, real: Tensor, fake: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """D(real) (B,), D(fake) (B,): one pass for both, since no layer looks across examples."""
        both = self.critic(torch.cat([real, fake]), None if given is None else torch.cat([given, given]))
        return both[: len(real), 0], both[len(real) :, 0]

    def lots(self, x: Tensor, given: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The batch in as many equal parts as the critic takes steps."""
        size, steps = -(-len(x) // self.critic_steps), self.critic_steps
        if size * steps > len(x):  # filled up from the start
            rows = torch.arange(size * steps, device=x.device) % len(x)
            x, given = x[rows], None if given is None else given[rows]
        yield from zip(x.split(size), [None] * steps if given is None else given.split(size), strict=True)

    def _sample(self, n, given=None):
        return self.generate(n, given)

    def _decode(self, z, given=None):
        return self.blocks_(self.generator(z, given), None, self.temperature).view(len(z), *self.event_)


class Blocks(nn.Module):
    """The logits of each discrete column become one-hot; numbers pass. A number that may be missing has two logits beside it,
    whether it is there, and is 0 where it is not.

    >>> from ...space import Column
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


def slopes(critic: Callable[..., Tensor], x: Tensor, given: Tensor | None = None) -> Tensor:
    """|dD/dx|^2 of each example (B,), with a graph for a second derivative."""
    x = x.detach().requires_grad_()
    with torch.compiler.set_stance("force_eager"):  # a compiled graph cannot be differentiated twice
        (slope,) = torch.autograd.grad(critic(x, given).sum(), x, create_graph=True)
    return slope.flatten(1).square().sum(1)
