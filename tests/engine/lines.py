"""A small model for the engine's tests: a Gaussian with learned mean and scale, and a network that does nothing wrong."""

import math

import torch
from torch import nn

from pushforward.model import Model
from pushforward.noise import normal


class Line(Model):
    """x = mean + scale * z, plus a small network so that there is something to shard and to drop out."""

    width: int = 8  # of the network
    drop: float = 0.0  # share of it that is dropped

    def build(self, space, given=None):
        self.mean = nn.Parameter(torch.zeros(space.size))
        self.log_scale = nn.Parameter(torch.zeros(space.size))
        self.net = nn.Sequential(
            nn.Linear(1, self.width), nn.Tanh(), nn.Dropout(self.drop), nn.Linear(self.width, space.size)
        )
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def centre(self):
        return self.mean + self.net(torch.ones(1, 1).to(self.mean))[0]

    def _log_prob(self, x, given=None):
        if self.training:
            self.seen += 1
        z = (x - self.centre()) / self.log_scale.exp()
        return -0.5 * (z**2 + math.log(2 * math.pi)).sum(1) - self.log_scale.sum()

    def loss(self, x, given=None):
        # Noise in the loss, so that resuming and sharing it out are put to the test.
        return -self._log_prob(x + 0.01 * normal(*x.shape).to(x), given).mean()

    def _sample(self, n, given=None):
        return self.centre() + self.log_scale.exp() * normal(n, len(self.mean)).to(self.mean)


class Trap(Line):
    """Gives NaN from a step on, as often as told."""

    at: int = 30  # the step
    times: int = 1  # how often

    def loss(self, x, given=None):
        if self.step >= self.at and self.__dict__.setdefault("sprung", 0) < self.times:
            self.__dict__["sprung"] += 1
            return super().loss(x) * torch.nan
        return super().loss(x)
