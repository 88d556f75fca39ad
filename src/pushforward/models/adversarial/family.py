"""Adversarial models: a generator pushes noise forward, a critic tells what comes out from the data, and each learns from the other.

    x = G(z),  z ~ N(0, I),      D: x -> a number, high where the critic takes x for an example

p(x) is what the map G makes of the noise; it can be drawn from and has no density that could be computed. In a table the generator
gives numbers as they are and logits for each discrete column, of which a code is drawn by the Gumbel trick; its gradient is that of the
softmax at a temperature ("straight through": Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017, §2.2).
The critic may be shown `pac` examples at once, all real or all fakes: what is drawn too often shows then (Lin et al., "PacGAN", NeurIPS 2018, §3).

B examples of F features, L latents, C blocks (discrete columns) of at most S codes:   z (B, L)   x (B, *F)   D(x) (B,)   logits (B, C, S)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ... import noise
from ...errors import Usage
from ...maths.critics import OBJECTIVES, PENALTIES, penalise
from ...maths.diagnosis import Diagnosis, compare, diagnose, due, memory, numbers, rivalry
from ...model import Model
from ...nets import default
from ...nets.blocks import Blocks
from ...noise import normal, uniform

NO_DENSITY = "a map from noise that cannot be inverted gives no density. Compare what it draws."


class Adversarial(Model):
    """A game of two players; a system gives the losses and the order of `moves`."""

    latent: int = 0  # L, width of the noise that is pushed forward; 0: twice as wide as an example, up to 64
    hidden: tuple = (128, 128, 128)  # widths of generator and critic
    critic_steps: int = 1  # steps of the critic for one of the generator, each on its own part of the batch
    pac: int = 1  # examples that the critic is shown at once, against collapse
    temperature: float = 0.5  # of the softmax that carries gradients through the codes of a table

    players: ClassVar[tuple[str, ...]] = ("critic", "generator")
    coordinates: ClassVar[str] = "features"
    gaps: ClassVar[bool] = True
    why_not: ClassVar[dict[str, str]] = {
        "log_prob": NO_DENSITY,
        "bound": NO_DENSITY,
        "energy": "the critic compares data with this generator's fakes; it does not say how likely an example is.",
        "evidence": NO_DENSITY,
        "encode": "the generator has no inverse.",
        "complete": "without a density there is no p(unknown | known). Fit with given=… what will be known.",
    }
    small: ClassVar[dict[str, Any]] = {"hidden": (32, 32), "latent": 4}
    plates: ClassVar[Any] = "N{(z) -> [x]}; theta -> x"

    def build(self, space, given=None):
        for name, least in (("latent", 0), ("critic_steps", 1), ("pac", 1)):
            if getattr(self, name) < least:
                raise Usage(f"{name}={getattr(self, name)!r}: a whole number of at least {least} is awaited.")
        if self.temperature <= 0:
            raise Usage(f"temperature={self.temperature!r}: a number above 0 is awaited.")
        self.event_, self.blocks_, self._record = space.shape, Blocks(space.columns), []
        self.width_ = self.latent or min(2 * prod(space.shape), 64)
        seen = replace(space, shape=(self.pac * space.shape[0], *space.shape[1:]), columns=())
        self.generator = default.out_of(self.width_, space, prod(space.shape), given or 0, hidden=self.hidden)
        self.critic = default.into(seen, 1, self.pac * (given or 0), hidden=self.hidden, activation="leaky")

    # ---- the two players -----------------------------------------------------------------------------------------
    def generate(self, n: int, given: Tensor | None = None) -> Tensor:
        """n fakes, with a graph back to the generator's weights."""
        like = next(self.generator.parameters())
        z = normal(n, self.width_).to(like)
        u = uniform(n, self.blocks_.width).to(like) if self.blocks_.width else None
        return self.blocks_(self.generator(z, given), u, self.temperature).view(n, *self.event_)

    def opinion(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """D(x), of packed examples; what is given stands for as many as there are, over and over."""
        if given is not None and len(given) < len(x):
            given = given.repeat(len(x) // len(given), 1)
        return self.critic(x, given)[:, 0]

    def opinions(self, real: Tensor, fake: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """D(real), D(fake): one pass for both, since no layer looks across examples."""
        told, fooled = self.opinion(torch.cat([real, fake]), given).chunk(2)
        return told, fooled

    def pack(self, x: Any) -> Any:
        """(B, N, …) -> (B / pac, pac N, …): the vectors end to end, the images as channels of one."""
        if x is None or self.pac == 1:
            return x
        whole = x[: len(x) // self.pac * self.pac]
        return whole.reshape(len(whole) // self.pac, self.pac * x.shape[1], *x.shape[2:])

    def lots(self, x: Tensor, given: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The batch in as many equal parts as the critic takes steps, each of whole packs."""
        packs = -(-len(x) // (self.critic_steps * self.pac))
        size, steps = packs * self.pac, self.critic_steps
        if size * steps > len(x):  # filled up from the start
            rows = torch.arange(size * steps, device=x.device) % len(x)
            x, given = x[rows], None if given is None else given[rows]
        yield from zip(x.split(size), [None] * steps if given is None else given.split(size), strict=True)

    # ---- the game ------------------------------------------------------------------------------------------------
    def moves(self, x, given=None):
        for number, (real, cond) in enumerate(self.lots(*self.shown(x, given)), 1):
            with torch.set_grad_enabled(number == self.critic_steps):
                fake = self.generate(len(real), cond)
            yield "critic", self.critic_loss(real, fake.detach(), cond)
            self.stepped()
        # The fakes of the critic's last step serve the generator too: their graph is still there.
        loss = self.generator_loss(fake, real, cond)
        self.watch(real, fake, cond, loss)
        yield "generator", loss

    def shown(self, x: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the players see of examples, and of what is given."""
        return x, given

    def stepped(self) -> None:
        """What is done after each step of the critic."""

    def critic_loss(self, real: Tensor, fake: Tensor, given: Tensor | None = None, spacing: float = 0.0) -> Tensor:
        """Of the objective, and every `lazy` steps the penalty with so much more weight."""
        real, fake, given = (self.pack(part) for part in (real, fake, given))
        loss = OBJECTIVES[self.objective].critic(*self.opinions(real, fake, given)).mean()
        if self.penalty in PENALTIES and self.weight and self.step % self.lazy == 0:
            found = penalise(self.penalty, lambda t: self.opinion(t, given), real, fake, spacing)
            loss = loss + self.weight * self.anneal**self.progress * self.lazy * found.mean()
        return loss

    def generator_loss(self, fake: Tensor, real: Tensor, given: Tensor | None = None) -> Tensor:
        real, fake, given = (self.pack(part) for part in (real, fake, given))
        objective, fooled = OBJECTIVES[self.objective], self.opinion(fake, given)
        with torch.no_grad():
            told = self.opinion(real, given) if objective.paired else fooled
        return objective.generator(fooled, told).mean()

    # ---- how the game goes ---------------------------------------------------------------------------------------
    def watch(self, real: Tensor, fake: Tensor, given: Tensor | None, loss: Tensor) -> None:
        """Take down, every few steps, what shows whether the game is going well; `loss` is the generator's, and `fake` behind it."""
        self._seen = real.detach(), given
        if not due(self.step):
            return
        (pull,) = torch.autograd.grad(loss, fake, retain_graph=True)
        with torch.no_grad():
            told, fooled = self.opinions(self.pack(real), self.pack(fake), self.pack(given))
        found = numbers(rivalry(told, fooled, pull) | compare(real, fake))
        self.notes = {name: found[name] for name in ("gap", "auc", "near", "cover") if name in found}
        self._record.append({"step": self.step, **found})

    def judge(self, x, given=None):
        """No likelihood; but the held-out examples show whether the critic knows the others by heart."""
        held, cond, _ = self.enter(x, given)
        if "_seen" in self.__dict__ and len(held) >= self.pac <= len(self._seen[0]):
            told, cond_told = self._seen
            sides = ((told, cond_told), (held, cond), (self.generate(len(held), cond), cond))
            heights = [self.opinion(self.pack(side), self.pack(g)).float() for side, g in sides]
            self._record.append({"step": self.step, **numbers(memory(*heights))})

    @property
    def diagnosis_(self) -> Diagnosis:
        """How training went: collapsed, critic won, critic overfits, oscillating, learning or converged, and by which number."""
        self.check_fitted()
        if self.training or "_seen" not in self.__dict__:
            return diagnose(self._record)
        real, given = self._seen
        with (
            torch.no_grad(),
            noise.stream(0, device=self.device, dtype=self.dtype),
        ):  # of the weights that are used in the end
            return diagnose(self._record, numbers(compare(real, self.generate(len(real), given))))

    def remark(self) -> str:
        """What is to be said when training is over."""
        return str(self.diagnosis_)

    def _sample(self, n, given=None):
        return self.generate(n, given)

    def _decode(self, z, given=None):
        return self.blocks_(self.generator(z, given), None, self.temperature).view(len(z), *self.event_)
