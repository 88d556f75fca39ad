"""The local behaviour of a differentiable game: the eigenvalues that tell whether it spirals in, circles or flies apart.

Player i moves its own theta_i down its own loss L_i. In continuous time d theta / dt = v(theta), v_i = -dL_i / dtheta_i, and a point of
rest attracts where every eigenvalue of v' has a negative real part. With learning rate h, one step theta -> theta + h v(theta)
(all at once, or one player after the other) attracts where the spectral radius of the step's Jacobian is below 1.

Mescheder, Geiger & Nowozin, "Which training methods for GANs do actually converge?", ICML 2018, §2 and lemma A.1;
Mescheder, Nowozin & Geiger, "The numerics of GANs", NIPS 2017.
P players with n numbers in all:   theta_i (any shape)   Jacobian (n, n)   eigenvalues (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Losses = Sequence[Callable[..., Tensor]]  # L_i(theta_1, …, theta_P), one a player


def downhill(losses: Losses, at: Sequence[Tensor], player: int) -> Tensor:
    """v_i, differentiable: the partial slope, even where another player's place already depends on this one's."""
    own = at[player].clone()
    here = [*at[:player], own, *at[player + 1 :]]
    return -torch.autograd.grad(losses[player](*here), own, create_graph=True)[0]


def field(losses: Losses, at: Sequence[Tensor]) -> list[Tensor]:
    """v: each player's direction down its own loss."""
    return [downhill(losses, at, player) for player in range(len(losses))]


def step(losses: Losses, at: Sequence[Tensor], rate: float, alternating: bool = False) -> list[Tensor]:
    """One step of gradient descent of all players: at once, or each after the one before it has moved."""
    if not alternating:
        return [own + rate * v for own, v in zip(at, field(losses, at), strict=True)]
    moved = list(at)
    for player in range(len(losses)):
        moved[player] = moved[player] + rate * downhill(losses, moved, player)
    return moved


def spectrum(losses: Losses, at: Sequence[Tensor]) -> Tensor:
    """The eigenvalues of v' at a point of rest.

    >>> circle = (lambda x, y: x * y, lambda x, y: -x * y)      # one player's gain is the other's loss
    >>> spectrum(circle, (torch.zeros(()), torch.zeros(()))).imag.abs().tolist()
    [1.0, 1.0]
    """
    return torch.linalg.eigvals(jacobian(lambda *theta: field(losses, theta), at))


def radius(losses: Losses, at: Sequence[Tensor], rate: float, alternating: bool = False) -> float:
    """The spectral radius of one step: below 1 the game comes to rest, above it flies apart."""
    return float(torch.linalg.eigvals(jacobian(lambda *theta: step(losses, theta, rate, alternating), at)).abs().max())


def jacobian(move: Callable[..., Sequence[Tensor]], at: Sequence[Tensor]) -> Tensor:
    """d move(theta) / d theta as one matrix (n, n), the players' numbers in a row."""
    theta = [t.detach().clone().requires_grad_() for t in at]
    out = torch.cat([t.flatten() for t in move(*theta)])
    rows = [torch.autograd.grad(one, theta, retain_graph=True, materialize_grads=True) for one in out]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
