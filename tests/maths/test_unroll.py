"""Unrolling a tiny model, linear in what came before: the sampler against full passes and against enumeration."""

from itertools import product

import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.maths.heads import Bernoulli, Categorical, Gaussian, GaussianMixture, LatticeMixture, Missing, Product
from pushforward.maths.unroll import encode, is_prefix, naive, unroll
from pushforward.nets.masked import MaskedNet

DISCRETE = Product([Categorical(3), Bernoulli(), Categorical(4)])
TOKENS = Product([Categorical(4)] * 40)
NUMBERS = [Gaussian(), Bernoulli(), GaussianMixture(2), Missing(Gaussian())]
MIXED = Product([*NUMBERS, Categorical(3), LatticeMixture(2, 0.5)])
EVENTS = pytest.mark.parametrize("head", [DISCRETE, TOKENS, MIXED], ids=["discrete", "tokens", "mixed"])


class Linear:
    """p_d = b_d + sum of W x over the variables before d in the order; `given` is added to every parameter."""

    def __init__(self, head: Product, order: list[int] | None = None, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        size = len(head.heads)
        self.head, self.order, self.passes = head, order or list(range(size)), 0
        rank = torch.tensor(self.order).argsort()
        owner = torch.repeat_interleave(torch.arange(size), torch.tensor(head.widths))
        weight = torch.randn(size, head.total, generator=generator, dtype=torch.float64)
        self.weight = weight * (rank[:, None] < rank[owner]) * size**-0.5
        self.bias = torch.randn(head.total, generator=generator, dtype=torch.float64)

    def conditionals(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        self.passes += 1
        base = self.bias if given is None else self.bias + given
        return base + torch.nan_to_num(x).double() @ self.weight


class Steps(Linear):
    """The same with running sums: each weight is touched once."""

    def start(self, n: int, given: Tensor | None = None) -> Tensor:
        return (self.bias + (0.0 if given is None else given)).expand(n, -1).clone()

    def step(self, sums: Tensor, t: int, value: Tensor | None) -> Tensor:
        if value is not None:
            sums += torch.nan_to_num(value)[:, None] * self.weight[self.order[t - 1]]
        return sums[:, self.head.one(self.order[t])[1]]


class Prefills(Steps):
    """The same, a prompt taken in at once."""

    prompts = 0

    def prefill(self, sums: Tensor, values: Tensor) -> Tensor:
        self.prompts += 1
        sums += torch.nan_to_num(values) @ self.weight[self.order[: values.shape[1]]]
        return sums[:, self.head.one(self.order[values.shape[1]])[1]]


def uniforms(n: int, head: Product, seed: int = 1) -> Tensor:
    return torch.rand(n, len(head.heads), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@EVENTS
@pytest.mark.parametrize("reverse", [False, True])
def test_steps_give_the_values_of_full_passes(head, reverse):
    order = list(range(len(head.heads)))[:: -1 if reverse else 1]
    model, u = Steps(head, order), uniforms(64, head)
    given = torch.linspace(-1, 1, 64, dtype=torch.float64)[:, None]
    fast, slow = unroll(model, head, u, given, order=order), naive(model, head, u, given, order=order)
    codes = [d for d, one in enumerate(head.heads) if isinstance(one, Bernoulli | Categorical)]
    assert torch.equal(fast[:, codes], slow[:, codes])
    torch.testing.assert_close(fast, slow, atol=1e-10, rtol=0, equal_nan=True)


@pytest.mark.parametrize("order", [None, (3, 1, 0, 4, 2)])
def test_a_masked_network_unrolls_to_what_its_full_pass_says(order):
    head = Product([Bernoulli(), Gaussian(), Categorical(3), GaussianMixture(2), Bernoulli()])
    net = MaskedNet(5, (24, 24), head.widths, order, given=2).double()
    u, given = uniforms(50, head), uniforms(50, Product([Gaussian()] * 2), 4)

    class Made:
        conditionals, start, step = staticmethod(net), staticmethod(net.start), staticmethod(net.step)

    with torch.no_grad():
        fast, slow = (sampler(Made(), head, u, given, order=order) for sampler in (unroll, naive))
        torch.testing.assert_close(fast, slow, atol=1e-10, rtol=0)
        torch.testing.assert_close(
            naive(Made(), head, encode(Made(), head, fast, given=given), given, order=order), fast
        )


def test_a_model_without_steps_is_sampled_by_full_passes():
    model, u = Linear(DISCRETE), uniforms(8, DISCRETE)
    assert torch.equal(unroll(model, DISCRETE, u), unroll(Steps(DISCRETE), DISCRETE, u))
    assert model.passes == 3


def test_no_full_pass_is_needed_with_steps():
    model = Steps(TOKENS)
    unroll(model, TOKENS, uniforms(3, TOKENS))
    assert model.passes == 0


def test_rows_do_not_depend_on_the_batch():
    model, u = Steps(TOKENS), uniforms(9, TOKENS)
    assert torch.equal(unroll(model, TOKENS, u)[4:6], unroll(model, TOKENS, u[4:6]))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_frequencies_are_the_enumerated_probabilities(order):
    model, n = Steps(DISCRETE, order), 40_000
    states = torch.tensor(list(product(range(3), range(2), range(4))), dtype=torch.float64)
    p = DISCRETE.log_prob(states, model.conditionals(states)).exp()
    assert abs(p.sum().item() - 1) < 1e-12
    x = unroll(model, DISCRETE, uniforms(n, DISCRETE), order=order)
    counts = torch.bincount((x @ torch.tensor([8.0, 4.0, 1.0], dtype=torch.float64)).long(), minlength=24)
    assert stats.chisquare(counts.numpy(), (n * p / p.sum()).numpy()).pvalue > 1e-3


def test_a_known_prefix_is_conditioned_on():
    model, n = Steps(DISCRETE, [2, 0, 1]), 40_000
    known = torch.tensor([False, False, True])
    x = unroll(model, DISCRETE, uniforms(n, DISCRETE), known=known, x=torch.full((n, 3), 1.0), order=[2, 0, 1])
    assert bool((x[:, 2] == 1).all())
    states = torch.tensor(list(product(range(3), range(2), [1])), dtype=torch.float64)
    p = DISCRETE.log_prob(states, model.conditionals(states)).softmax(0)
    counts = torch.bincount((2 * x[:, 0] + x[:, 1]).long(), minlength=6)
    assert stats.chisquare(counts.numpy(), (n * p).numpy()).pvalue > 1e-3


def test_known_values_are_kept_whatever_the_pattern():
    model, u = Steps(MIXED), uniforms(32, MIXED)
    x, known = unroll(model, MIXED, uniforms(32, MIXED, 7)), uniforms(32, MIXED, 8) < 0.5
    for sampler in (unroll, naive):
        drawn = sampler(model, MIXED, u, known=known, x=x)
        torch.testing.assert_close(drawn[known], x[known], atol=0, rtol=0, equal_nan=True)
    torch.testing.assert_close(drawn, unroll(model, MIXED, u, known=known, x=x), equal_nan=True)


def test_a_prompt_taken_in_at_once_changes_nothing():
    x, u = unroll(Steps(TOKENS), TOKENS, uniforms(5, TOKENS, 7)), uniforms(5, TOKENS)
    model = Prefills(TOKENS)
    for length in (0, 1, 17, 39, 40):
        known = torch.arange(40) < length
        stepped = unroll(Steps(TOKENS), TOKENS, u, known=known, x=x)
        assert torch.equal(unroll(model, TOKENS, u, known=known, x=x), stepped)
    assert model.prompts == 4


@pytest.mark.parametrize("model", [Steps(TOKENS), Linear(TOKENS)], ids=["steps", "passes"])
def test_after_the_end_there_is_only_the_end(model):
    free, x = unroll(model, TOKENS, uniforms(50, TOKENS)), unroll(model, TOKENS, uniforms(50, TOKENS), end=2)
    first = (free == 2).int().argmax(1)
    assert bool((free == 2).any(1).all()) and int(first.max()) < 39
    for row, (whole, cut) in enumerate(zip(free, x, strict=True)):
        stop = int(first[row])
        assert torch.equal(whole[: stop + 1], cut[: stop + 1]) and bool((cut[stop:] == 2).all())


def test_ending_early_takes_fewer_steps_and_keeps_what_is_known():
    taken = []

    class Counted(Steps):
        def step(self, sums: Tensor, t: int, value: Tensor | None) -> Tensor:
            taken.append(t)
            return super().step(sums, t, value)

    known = torch.arange(40) == 0
    x = unroll(Counted(TOKENS), TOKENS, uniforms(4, TOKENS), known=known, x=torch.full((4, 40), 2.0), end=2)
    assert bool((x == 2).all()) and len(taken) == 16


@EVENTS
@pytest.mark.parametrize("seed", [0, 1])
def test_decoding_an_encoding_is_the_identity(head, seed):
    model, v = Steps(head), uniforms(200, head, 5 + seed)
    x = unroll(model, head, uniforms(200, head, seed))
    # The very ends of a step are safe where all is discrete: after a number, parameters come back but for rounding.
    ends = (0.0, 1 - 1e-12) if head.discrete else ()
    for inner in (v, 0.5, *ends):
        u = encode(model, head, x, inner)
        assert bool(((u >= 0) & (u < 1)).all())
        torch.testing.assert_close(naive(model, head, u), x, atol=1e-8, rtol=0, equal_nan=True)


def test_an_encoding_is_uniform():
    model, head = Steps(MIXED), MIXED
    x = unroll(model, head, uniforms(4000, head))
    u = encode(model, head, x, uniforms(4000, head, 2))
    for d in range(u.shape[1]):
        assert stats.kstest(u[:, d].numpy(), "uniform").pvalue > 1e-3
    assert bool((torch.corrcoef(u.T) - torch.eye(u.shape[1])).abs().max() < 0.06)


def test_an_encoding_of_a_density_is_its_u():
    head = Product([Gaussian()] * 4)
    model, u = Steps(head), uniforms(100, head)
    torch.testing.assert_close(encode(model, head, unroll(model, head, u)), u, atol=1e-10, rtol=0)


def test_which_known_sets_are_prefixes():
    known = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 1]]).bool()
    assert is_prefix(known).tolist() == [True, False, True, True, False]
    assert is_prefix(known, [2, 1, 0]).tolist() == [False, True, True, True, False]
