"""The multilayer perceptron:   (B, I) -> (B, O).

h <- dropout(activation(norm(W h + b)))     for every hidden width, then one linear layer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from ..errors import Usage, did_you_mean

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),  # a linear layer or a norm needs its own result no more
    "leaky": lambda: nn.LeakyReLU(0.2),  # the slope of DCGAN
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def activation_of(name: str) -> nn.Module:
    """A fresh activation by name.

    >>> activation_of("leaky")
    LeakyReLU(negative_slope=0.2)
    """
    if name not in ACTIVATIONS:
        hint = did_you_mean(name, ACTIVATIONS)
        raise Usage(f"There is no activation {name!r}; there are {', '.join(ACTIVATIONS)}.{hint}")
    return ACTIVATIONS[name]()


def mlp(
    inputs: int,
    outputs: int,
    hidden: Sequence[int] = (256, 256),
    activation: str = "relu",
    dropout: float = 0.0,
    norm: bool = False,
) -> nn.Sequential:
    """Linear layers with an activation between them, and on request a layer norm before it and dropout after it.

    >>> import torch
    >>> mlp(3, 2, hidden=(8,), activation="silu")(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width)]
        layers += [nn.LayerNorm(width)] if norm else []
        layers += [activation_of(activation)]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
