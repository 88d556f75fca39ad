"""The Wasserstein-1 distance from below, by a critic.   W_1(P, Q) = sup over 1-Lipschitz f of E_P f - E_Q f

Kantorovich & Rubinstein 1958; lecture 002; Arjovsky, Chintala & Bottou, "Wasserstein GAN", ICML 2017, eq. 2.
The critic trained here is 1-Lipschitz by construction, not by a penalty: every layer is orthogonal, every activation sorts pairs (Anil, Lucas &
Grosse, "Sorting out Lipschitz function approximation", ICML 2019). So what it reaches on examples held out is a lower bound in expectation.
A critic that is given may be as steep as it likes: its gap is divided by the steepest slope that is seen.

x (n, D)   y (m, D)   f (n,)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from ... import noise
from ...errors import BadData
from ..divergences.variational import Critic, lot, opinion, parts, weights

PAIRS = 4096  # pairs of examples between which slopes are looked for
EVERY = 25  # steps between looks at the examples that choose


class Sorted(nn.Module):
    """(B, 2H) -> (B, 2H): the larger of each pair, then the smaller. 1-Lipschitz, and it turns no slope flat."""

    def forward(self, h: Tensor) -> Tensor:
        a, b = h.chunk(2, 1)
        return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1)


def lipschitz(inputs: int, hidden: Sequence[int]) -> nn.Sequential:
    """A network whose slope is at most 1 everywhere.

    >>> net = lipschitz(3, (8, 8)).double()
    >>> x = torch.eye(3, dtype=torch.float64)
    >>> bool((net(x) - net(2 * x)).abs().max() <= 1 + 1e-9)
    True
    """
    layers: list[nn.Module] = []
    for a, b in pairwise((inputs, *hidden)):
        layers += [orthogonal(nn.Linear(a, b).double(), orthogonal_map="cayley"), Sorted()]
    return nn.Sequential(*layers, orthogonal(nn.Linear((inputs, *hidden)[-1], 1).double(), orthogonal_map="cayley"))


def gap(critic: Critic, x: Tensor, y: Tensor) -> tuple[float, float]:
    """E f(x) - E f(y), and its standard error."""
    with torch.no_grad():
        f, g = opinion(critic, x), opinion(critic, y)
    return float(f.mean() - g.mean()), float((f.var() / len(f) + g.var() / len(g)).sqrt())


def steepest(critic: Critic, x: Tensor, y: Tensor, seed: int = 0) -> float:
    """The steepest slope of a critic that is seen: between examples, and where it can be differentiated on the lines between them."""
    with noise.stream(seed):
        i, j = (torch.randint(len(side), (PAIRS,), generator=noise.generator()) for side in (x, y))
        between = torch.lerp(x[i], y[j], noise.uniform(PAIRS, 1).to(x))
    every, length = torch.cat([x[i], y[j], between]), torch.linalg.norm(x[i] - y[j], dim=1)
    with torch.no_grad():
        f, g = opinion(critic, x[i]), opinion(critic, y[j])
    chords = ((f - g).abs() / length)[length > 0]
    at = every.clone().requires_grad_()
    out = torch.as_tensor(critic(at)).sum()
    slopes = torch.autograd.grad(out, at)[0].norm(dim=1) if out.requires_grad else torch.zeros(1)
    return max(float(chords.max()) if len(chords) else 0.0, float(slopes.max()))


def judged(critic: Critic, x: Tensor, y: Tensor, seed: int = 0) -> tuple[float, float, float]:
    """The bound by a critic that is given, its standard error, and the slope that it was divided by."""
    (value, stderr), slope = gap(critic, x, y), steepest(critic, x, y, seed)
    return (value / slope, stderr / slope, slope) if slope > 0 else (0.0, 0.0, 0.0)


def trained(
    x: Tensor, y: Tensor, hidden: Sequence[int] = (64, 64), steps: int = 300, batch: int = 256, seed: int = 0
) -> tuple[Critic, float, float]:
    """A 1-Lipschitz network that widens the gap: the critic, the gap on examples held out, its standard error."""
    if any(width % 2 for width in hidden):
        raise BadData(f"hidden={tuple(hidden)}: even widths are awaited, as the activation sorts pairs.")
    (learn_x, choose_x, judge_x), (learn_y, choose_y, judge_y) = parts(x.double()), parts(y.double())
    centre = torch.cat([learn_x, learn_y]).mean(0)
    # One scale for all variables: the slope of f(x / s) s is that of f.
    scale = torch.cat([learn_x, learn_y]).std(0).max().clamp(min=1e-12)
    with noise.initialisation(seed), noise.stream(seed):
        net = lipschitz(x.shape[1], hidden)
        critic: Critic = lambda t: scale * net((t - centre) / scale)[:, 0]  # noqa: E731
        optimiser, best, kept = torch.optim.Adam(net.parameters(), lr=1e-2), -torch.inf, weights(net)
        for step in range(steps):
            a, b = lot(learn_x, batch), lot(learn_y, batch)
            f = net((torch.cat([a, b]) - centre) / scale)[:, 0]
            optimiser.zero_grad()
            (f[batch:].mean() - f[:batch].mean()).backward()
            optimiser.step()
            if step % EVERY == EVERY - 1 or step == steps - 1:
                now = gap(critic, choose_x, choose_y)[0]
                best, kept = (now, weights(net)) if now > best else (best, kept)
    net.load_state_dict(kept)
    return critic, *gap(critic, judge_x, judge_y)
