"""The causal transformer of GPT-2, and how it writes one token at a time.

    h_0 = input + position,    h' = h + A(LN(h)),    h'' = h' + M(LN(h')),    logits = LN(h_last) E^T
    A(h)_t = sum_{s <= t} softmax_s(q_t . k_s / sqrt(d)) v_s W + b,    M(h) = gelu(h U + b) W + b

Radford et al., "Language models are unsupervised multitask learners", 2019, §2.3: layer norm first, learned positions,
the embedding E tied to the head, and the last matrices of the 2L residual branches drawn smaller by 1 / sqrt(2L).

B rows, T positions of at most `length`, W width, H heads of d = W / H, L layers, V symbols, G conditioning features:
    tokens (B, T)   given (B, G)   logits (B, T, V)   cache (L, 2, B, H, length, d)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import Usage


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to what came in.

    >>> Block(width=8, heads=2)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    unit = True  # is gathered and freed by itself where weights are spread over processes

    def __init__(self, width: int, heads: int, dropout: float = 0.0, causal: bool = True):
        super().__init__()
        self.heads, self.dropout, self.causal = heads, dropout, causal
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm_perceptron = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def attend(self, h: Tensor) -> Tensor:
        batch, length, width = h.shape
        # One product for all three; split and not unbind, whose backward would copy the gradient twice.
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)  # (B, T, W) -> (B, H, T, d)
            for part in self.query_key_value(h).split(width, dim=2)
        )
        rate = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=self.causal)
        return found.transpose(1, 2).reshape(batch, length, width)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.drop(self.mix(self.attend(self.norm_attention(h))))
        return h + self.drop(self.down(F.gelu(self.up(self.norm_perceptron(h)), approximate="tanh")))

    def drop(self, h: Tensor) -> Tensor:
        return F.dropout(h, self.dropout, self.training) if self.dropout else h

    def weights(self) -> tuple[Tensor, ...]:
        """The tensors in the order in which `Transformer.advance` reads them."""
        parts = (self.norm_attention, self.query_key_value, self.mix, self.norm_perceptron, self.up, self.down)
        return tuple(tensor.detach() for part in parts for tensor in (part.weight, part.bias))


class Trunk(nn.Module):
    """Positions, L blocks and a last layer norm: (B, T, W) -> (B, T, W), for T up to `length`.

    >>> Trunk(length=5, layers=2, heads=2, width=8, causal=False)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, length: int, layers: int, heads: int, width: int, dropout: float = 0.0, causal: bool = True):
        super().__init__()
        if width % heads:
            raise Usage(f"width={width} cannot be shared by heads={heads}. Take a multiple of the number of heads.")
        self.length, self.heads = length, heads
        self.positions = nn.Parameter(torch.empty(length, width))
        blocks = [Block(width, heads, dropout, causal) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.positions, std=0.02)
        for block in blocks:
            for linear in (block.query_key_value, block.up, block.mix, block.down):
                branch_end = linear is block.mix or linear is block.down
                nn.init.normal_(linear.weight, std=0.02 / sqrt(2 * layers) if branch_end else 0.02)
                nn.init.zeros_(linear.bias)

    def weights(self) -> list[tuple[Tensor, ...]]:
        """Those of every block."""
        return [cast(Block, block).weights() for block in self.blocks]

    def forward(self, h: Tensor) -> Tensor:
        h = self.dropout(h + self.positions[: h.shape[1]])
        for block in self.blocks:
            h = block(h)
        return self.norm(h)


@dataclass
class State:
    """How far the incremental path has come: `filled` positions, whose keys and values are in `cache`."""

    cache: Tensor  # (L, 2, B, H, length, d), written in place
    start: Tensor  # (B, W), the input of position 0
    weights: list[tuple[Tensor, ...]]  # taken out of the modules once: attribute look-ups would cost a tenth of a step
    filled: int = 0


class Transformer(nn.Module):
    """p(x_t | x_<t, given) of T symbols: forward gives the logits of all positions, of which t sees tokens before t.

    The net shifts by itself: a learned vector, plus a projection of `given`, is the input of position 0.

    >>> net = Transformer(vocabulary=7, length=5, layers=2, heads=2, width=8)
    >>> tokens = torch.tensor([[3, 1, 4, 1, 5]])
    >>> net(tokens).shape
    torch.Size([1, 5, 7])
    >>> state = net.start(1)
    >>> steps = [net.step(state), net.step(state, tokens[:, 0])]
    >>> bool(torch.allclose(steps[1], net(tokens)[:, 1], atol=1e-5))
    True
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        layers: int = 6,
        heads: int = 6,
        width: int = 192,
        dropout: float = 0.0,
        given: int = 0,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.beginning = nn.Parameter(torch.empty(width))
        self.condition = nn.Linear(given, width, bias=False) if given else None
        self.trunk = Trunk(length, layers, heads, width, dropout)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.beginning, std=0.02)

    def head(self, h: Tensor) -> Tensor:
        return F.linear(h, self.embedding.weight)

    def first(self, batch: int, given: Tensor | None) -> Tensor:
        """The input of position 0, (B, W)."""
        start = self.beginning.expand(batch, -1)
        return start if self.condition is None else start + self.condition(given)

    def forward(self, tokens: Tensor, given: Tensor | None = None) -> Tensor:
        start = self.first(len(tokens), given)
        return self.head(self.trunk(torch.cat((start[:, None], self.embedding(tokens[:, :-1])), dim=1)))

    def following(self, tokens: Tensor) -> Tensor:
        """Without the shift, as GPT-2 itself: position t sees tokens <= t and gives the logits of token t + 1."""
        return self.head(self.trunk(self.embedding(tokens)))

    # ---- one token at a time -------------------------------------------------------------------------------------
    @torch.no_grad()
    def start(self, batch: int, given: Tensor | None = None) -> State:
        """An empty cache for `batch` rows and the weights as they are now. Steps have no gradients and no dropout."""
        weights, heads, like = self.trunk.weights(), self.trunk.heads, self.embedding.weight
        cache = like.new_empty(len(weights), 2, batch, heads, self.trunk.length, like.shape[1] // heads)
        return State(cache, self.first(batch, given), weights)

    @torch.no_grad()
    def step(self, state: State, token: Tensor | None = None) -> Tensor:
        """The logits (B, V) of the next position; `token` (B,) is what stands before it, None at the first."""
        if (token is None) != (state.filled == 0):
            raise Usage("The first step takes no token, and every other one the token (B,) of the position before it.")
        h = state.start if token is None else F.embedding(token, self.embedding.weight)
        return self.advance(state, h[:, None])

    @torch.no_grad()
    def prefill(self, state: State, tokens: Tensor) -> Tensor:
        """Take in a prompt (B, P) in one pass: the logits (B, V) of the position after it, as by its P steps."""
        h = F.embedding(tokens, self.embedding.weight)
        return self.advance(state, h if state.filled else torch.cat((state.start[:, None], h), dim=1))

    def advance(self, state: State, h: Tensor) -> Tensor:
        """Push the inputs (B, N, W) of the next N positions through all layers; only the last becomes logits."""
        batch, count, width = h.shape
        begin, end = state.filled, state.filled + count
        if end > self.trunk.length:
            raise Usage(f"Position {end} was asked of a transformer of length {self.trunk.length}. Build a longer one.")
        slots, past = state.cache[..., begin:end, :].unbind(0), state.cache[..., :end, :].unbind(0)
        # One position sees all that is stored, and a whole sequence is causal: only N later positions need a mask.
        seen = h.new_ones(count, end, dtype=torch.bool).tril(begin) if begin and count > 1 else None
        h = h + self.trunk.positions[begin:end]
        for weights, slot, (keys, values) in zip(state.weights, slots, past, strict=True):
            gain, shift, w_qkv, b_qkv, w_mix, b_mix, gain_2, shift_2, w_up, b_up, w_down, b_down = weights
            qkv = F.linear(torch.layer_norm(h, (width,), gain, shift), w_qkv, b_qkv)
            # (B, N, 3W) -> (3, B, H, N, d)
            qkv = qkv.view(batch, count, 3, self.trunk.heads, -1).permute(2, 0, 3, 1, 4)
            slot.copy_(qkv[1:])
            found = F.scaled_dot_product_attention(qkv[0], keys, values, seen, is_causal=begin == 0 and count > 1)
            h = h + F.linear(found.transpose(1, 2).reshape(batch, count, width), w_mix, b_mix)
            inner = F.gelu(F.linear(torch.layer_norm(h, (width,), gain_2, shift_2), w_up, b_up), approximate="tanh")
            h = h + F.linear(inner, w_down, b_down)
        state.filled = end
        return self.head(self.trunk.norm(h[:, -1]))
