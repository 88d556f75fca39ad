"""The lower bound of an f-divergence by a critic.   D_f(P || Q) >= E_P T(v(x)) - E_Q f*(T(v(x))),   for every v

The critic's output v stands for log p/q; T and f* are those of `generators`. The bound holds in expectation on examples that the critic has
not learned from, so it is judged on a part held out from learning and from the choice of the best step.

Nguyen, Wainwright & Jordan, "Estimating divergence functionals and the likelihood ratio by convex risk minimization", IEEE Trans. Inf. Theory
2010; Nowozin, Cseke & Tomioka, "f-GAN", NIPS 2016, eq. 4.
x (n, D)   y (m, D)   v (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ... import noise
from ...errors import BadData, Diverged
from ...nets.mlp import mlp
from .generators import Divergence, bound, of
from .plugin import standard

Critic = Callable[[Tensor], Tensor]
FAR = 30.0  # standard deviations from the centre to which a critic sees: any function will do for a bound
EVERY = 25  # steps between looks at the examples that choose


def judged(d: Divergence | str, critic: Critic, x: Tensor, y: Tensor) -> tuple[float, float]:
    """The bound by a critic on examples, and its standard error."""
    with torch.no_grad():
        return bound(of(d), opinion(critic, x), opinion(critic, y))


def opinion(critic: Critic, x: Tensor) -> Tensor:
    """One finite number an example from a critic, or a word about why it is refused."""
    v = torch.as_tensor(critic(x))
    if v.numel() != len(x):
        raise BadData(f"The critic gave {tuple(v.shape)} for {len(x)} examples; one number each is awaited.")
    v = v.reshape(len(x)).double()
    wrong = ~torch.isfinite(v)
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise BadData(
            f"The critic gave NaN or infinity for {int(wrong.sum())} of {len(x)} examples, the first in row {first}: a bound from it would mean "
            "nothing. Train it again with a smaller step, or clamp what it gives."
        )
    return v


def parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Half of the rows to learn from, a quarter to choose by, a quarter to judge by."""
    if len(x) < 8:
        raise BadData(
            f"{len(x)} examples: at least 8 of each side are needed to train a critic and to judge it on others."
        )
    a, b = len(x) // 2, len(x) // 2 + len(x) // 4
    return x[:a], x[a:b], x[b:]


def trained(
    d: Divergence | str,
    x: Tensor,
    y: Tensor,
    hidden: Sequence[int] = (64, 64),
    steps: int = 600,
    batch: int = 256,
    seed: int = 0,
) -> tuple[Critic, float, float]:
    """A small network that climbs the bound: the critic, the bound on examples held out, its standard error.

    The first half of the steps climbs the bound of the game (logistic regression: it cannot run away), which leads to the same v.
    """
    d, start, (centre, scale) = of(d), of("gan"), standard(x, y)
    (learn_x, choose_x, judge_x), (learn_y, choose_y, judge_y) = parts(x), parts(y)
    with noise.initialisation(seed), noise.stream(seed):
        net = mlp(x.shape[1], 1, hidden, "silu").double()
        critic: Critic = lambda t: net(((t - centre) / scale).clamp(-FAR, FAR))[:, 0]  # noqa: E731
        for weight in net[-1].parameters():
            nn.init.zeros_(weight)  # v = 0, whose bound is D(P || P): nothing worse is kept
        optimiser, best, kept = torch.optim.Adam(net.parameters(), lr=1e-2), d.least, weights(net)
        for step in range(steps):
            a, b = lot(learn_x, batch), lot(learn_y, batch)
            climb(start if step < steps // 2 else d, critic, net, optimiser, a, b)
            if step % EVERY == EVERY - 1 or step == steps - 1:
                now = judged(d, critic, choose_x, choose_y)[0]
                best, kept = (now, weights(net)) if now > best else (best, kept)
    net.load_state_dict(kept)
    return critic, *judged(d, critic, judge_x, judge_y)


def lot(x: Tensor, size: int) -> Tensor:
    """So many rows, drawn with repetition."""
    return x[torch.randint(len(x), (size,), generator=noise.generator())]


def weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def climb(
    f: Divergence, critic: Critic, net: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor
) -> None:
    """One step up the bound."""
    loss = f.conjugate(critic(y)).mean() - f.slope(critic(x)).mean()
    if not bool(torch.isfinite(loss)):
        raise Diverged(
            f"The bound of {f} ran away while the critic learned. Take 'js' or 'hellinger', whose bounds cannot, or fewer steps."
        )
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimiser.step()
