"""What is true of heads: they are distributions, their cdf and icdf are inverse, and stress gives no NaN."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from pushforward.errors import Usage
from pushforward.maths.heads import (
    Bernoulli,
    Categorical,
    Gaussian,
    GaussianMixture,
    Head,
    LatticeMixture,
    Logistic,
    LogisticMixture,
    Missing,
    Product,
    Whole,
    log_scale,
    of,
)

CONTINUOUS: list[Head] = [Gaussian(), Logistic(), GaussianMixture(3)]
DISCRETE: list[tuple[Head, Tensor]] = [
    (Bernoulli(), torch.arange(2.0)),
    (Categorical(7), torch.arange(7.0)),
    (LogisticMixture(3, 16), torch.arange(16.0)),
    (LatticeMixture(3, 0.25, low=-1.0, high=2.0), torch.arange(-1.0, 2.01, 0.25)),
    (LatticeMixture(3, 0.25, low=-1.0), torch.arange(-1.0, 400.0, 0.25)),
    (LatticeMixture(3, 0.25, high=1.1, origin=0.1), torch.arange(-400.15, 1.11, 0.25)),
    (LatticeMixture(3, 0.25, origin=0.1), torch.arange(-400.15, 400.0, 0.25)),
]
EVERY = [*CONTINUOUS, *(head for head, _ in DISCRETE), Missing(Gaussian()), Missing(DISCRETE[-1][0])]


def name(value: Head | Tensor) -> str:
    return str(value) if isinstance(value, Head) else f"{len(value)} values"


def some(head: Head, n: int, size: float = 1.0, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """(n, F) parameters."""
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(n, head.features, generator=generator, dtype=torch.float64).to(dtype)


def even(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The middles of n equal parts of (0, 1)."""
    return (torch.arange(n, dtype=dtype) + 0.5) / n


# ---- distributions -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("head", "support"), DISCRETE, ids=name)
def test_probabilities_sum_to_one_and_the_cdf_adds_them_up(head, support):
    p, x = some(head, 5)[:, None], support.double().expand(5, -1)
    mass = head.log_prob(x, p.expand(-1, len(support), -1)).exp()
    torch.testing.assert_close(mass.sum(1), torch.ones(5).double(), atol=1e-9, rtol=0)
    q = p.expand(-1, len(support), -1)
    torch.testing.assert_close(head.cdf(x, q), mass.cumsum(1), atol=1e-9, rtol=0)
    torch.testing.assert_close(head.cdf(x, q) - head.below(x, q), mass, atol=1e-12, rtol=0)


@pytest.mark.parametrize("head", CONTINUOUS, ids=name)
def test_densities_integrate_to_one_and_the_cdf_is_the_integral(head):
    grid, p = torch.linspace(-80, 80, 200_001, dtype=torch.float64), some(head, 3, 0.7)[:, None]
    density = head.log_prob(grid.expand(3, -1), p.expand(-1, len(grid), -1)).exp()
    area = torch.cumulative_trapezoid(density, grid)
    torch.testing.assert_close(area[:, -1], torch.ones(3).double(), atol=1e-8, rtol=0)
    cdf = head.cdf(grid.expand(3, -1), p.expand(-1, len(grid), -1))
    torch.testing.assert_close(cdf[:, 1:], area, atol=1e-6, rtol=0)


@pytest.mark.parametrize("missing", [Missing(Gaussian()), Missing(LatticeMixture(2, 0.5))], ids=name)
def test_missing_is_one_more_atom_before_the_numbers(missing):
    p, nan = some(missing, 1)[0], torch.tensor(torch.nan, dtype=torch.float64)
    atom = torch.sigmoid(p[0])
    torch.testing.assert_close(missing.log_prob(nan, p).exp(), atom)
    assert missing.below(nan, p) == 0 and missing.cdf(nan, p) == atom
    far = torch.tensor(1e4, dtype=torch.float64)
    torch.testing.assert_close(missing.below(-far, p), atom)
    torch.testing.assert_close(missing.cdf(far, p), torch.ones_like(far))
    assert missing.icdf(atom * 0.999, p).isnan() and not missing.icdf(atom * 1.001, p).isnan()


@pytest.mark.parametrize("levels", [256, 65_536])
@pytest.mark.parametrize("width", [-7.0, -5.0, -2.0, 0.0])
@pytest.mark.parametrize("middle", [-3.0, -1.0, 0.123, 1.0, 3.0])
def test_discretised_logistics_sum_to_one_in_float32(levels, width, middle):
    head = LogisticMixture(3, levels)
    p = torch.tensor([0.3, -0.2, 0.0, middle - 0.1, middle, middle + 0.3, width, width - 0.5, width + 0.5])
    x = torch.arange(float(levels))
    log_mass = head.log_prob(x, p.expand(levels, -1))
    assert abs(log_mass.exp().double().sum().item() - 1) < 5e-6
    exact = head.log_prob(x.double(), p.double().expand(levels, -1))
    torch.testing.assert_close(log_mass.double(), exact, rtol=3e-4, atol=3e-4)


def test_two_levels_are_a_bernoulli():
    p = some(LogisticMixture(1, 2), 50)
    logits = p[:, 1] / log_scale(p[:, 2] - torch.tensor(2.0).log(), -4.0).exp() / 2
    for x in (torch.zeros(50).double(), torch.ones(50).double()):
        torch.testing.assert_close(LogisticMixture(1, 2).log_prob(x, p), Bernoulli().log_prob(x, logits[:, None]))


def test_a_value_beyond_the_bounds_is_impossible():
    head = LatticeMixture(2, 0.5, low=-1.0, high=1.0)
    assert head.log_prob(torch.tensor([-1.5, 1.5]), torch.zeros(2, 6)).tolist() == [-torch.inf, -torch.inf]


def test_densities_are_those_of_torch():
    p, x = some(GaussianMixture(3), 40), some(Bernoulli(), 40, seed=1)[:, 0]
    scale = log_scale(p[:, 6:]).exp()
    normals = torch.distributions.Normal(p[:, 3:6], scale)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=p[:, :3]), normals)
    torch.testing.assert_close(GaussianMixture(3).log_prob(x, p), mixture.log_prob(x))
    torch.testing.assert_close(GaussianMixture(3).cdf(x, p), mixture.cdf(x))
    one = torch.distributions.Normal(p[:, 0], log_scale(p[:, 1]).exp())
    torch.testing.assert_close(Gaussian().log_prob(x, p[:, :2]), one.log_prob(x))


# ---- pushforwards --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("head", [*CONTINUOUS, Missing(Gaussian())], ids=name)
def test_icdf_inverts_the_cdf_of_a_density(head):
    p = some(head, 200)
    u = even(200)
    x = head.icdf(u, p)
    here = ~x.isnan()
    torch.testing.assert_close(head.cdf(x, p)[here], u[here], atol=1e-10, rtol=0)
    torch.testing.assert_close(head.icdf(head.cdf(x, p), p)[here], x[here], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quantiles_of_mixtures_with_far_and_narrow_parts(dtype):
    head, eps = GaussianMixture(4), torch.finfo(dtype).eps
    p = some(head, 4000, seed=3, dtype=dtype)
    p[:, 4:8] *= 30
    p[:, 8:] = 4 * p[:, 8:] - 2
    u = torch.rand(4000, generator=torch.Generator().manual_seed(4), dtype=torch.float64).to(dtype)
    x = head.icdf(u, p)
    # An error of a few units in the last place of x moves F by no more than density times that.
    slack = 16 * eps * (1 + head.log_prob(x, p).exp() * p[:, 4:8].abs().amax(1))
    assert bool(((head.cdf(x, p) - u).abs() <= slack).all())


@pytest.mark.parametrize(("head", "support"), DISCRETE, ids=name)
def test_icdf_of_a_discrete_head_is_the_first_value_past_u(head, support):
    p = some(head, 300)
    u = even(300)
    x = head.icdf(u, p)
    assert bool(((head.below(x, p) <= u) & (u < head.cdf(x, p))).all())
    # The step [F(x-), F(x)) belongs to x: its start does, its end to the next value.
    q = some(head, 1).expand(len(support), -1)
    values, likely = support.double(), head.log_prob(support.double(), q) > -25
    torch.testing.assert_close(head.icdf(head.below(values, q), q)[likely], values[likely])
    inner = likely & (head.cdf(values, q) < 1 - 1e-9)
    assert bool((head.icdf(head.cdf(values, q), q)[inner] > values[inner]).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("head", EVERY, ids=name)
def test_the_ends_of_the_unit_interval_stay_in_range(head, dtype):
    ends = torch.tensor([0.0, 1e-30, 1 - 2**-24, 1 - 2**-53, 1.0], dtype=torch.float64)
    for size in (1.0, 50.0):
        p = some(head, 200, size, dtype=dtype)[:, None].expand(-1, 5, -1)
        x = head.icdf(ends.expand(200, -1), p)
        assert bool((x.isfinite() | x.isnan() if isinstance(head, Missing) else x.isfinite()).all())
        if head.discrete and not isinstance(head, Missing):
            assert bool((head.log_prob(x, p) > -torch.inf).all())


def test_impossible_codes_are_never_drawn():
    p = torch.tensor([-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf])
    u = torch.tensor([0.0, 0.1, 0.5, 1 - 2**-24, 1.0])
    assert Categorical(5).icdf(u, p.expand(5, -1)).tolist() == [1, 1, 3, 3, 3]


def test_a_large_alphabet_in_float32():
    p = some(Categorical(50_000), 8, 2.0, dtype=torch.float32)
    for u in (torch.zeros(8), torch.full((8,), 1 - 2**-24), torch.rand(8, generator=torch.Generator().manual_seed(0))):
        x = Categorical(50_000).icdf(u, p)
        assert bool((x >= 0).all() and (x < 50_000).all())


@pytest.mark.parametrize("head", [h for h in EVERY if not isinstance(h, Missing)], ids=name)
def test_the_mean_is_that_of_samples(head):
    p = some(head, 4, 0.5)[:, None]
    x = head.sample(p.expand(-1, 40_000, -1), even(40_000).expand(4, -1))
    # Discretised mixtures state half a cell; at these scales, of a cell and more, a tenth holds.
    cell = {LogisticMixture: 1.0, LatticeMixture: 0.25}.get(type(head), 0.0)
    torch.testing.assert_close(x.mean(1), head.mean(p[:, 0]), atol=2e-3 + 0.1 * cell, rtol=0)


@pytest.mark.parametrize("width", [-9.0, -6.0, -3.0, 0.0, 3.0])
@pytest.mark.parametrize("middle", [-4.0, -0.98, 0.017, 1.3])
def test_the_mean_of_levels_is_within_half_a_level(width, middle):
    head, p = LogisticMixture(1, 16), torch.tensor([0.0, middle, width], dtype=torch.float64)
    x = torch.arange(16.0).double()
    assert abs(head.mean(p) - (x * head.log_prob(x, p.expand(16, -1)).exp()).sum()) <= 0.5


@pytest.mark.parametrize(("head", "support"), DISCRETE, ids=name)
@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
def test_the_mode_of_a_discrete_head_is_its_likeliest_value(head, support, size):
    p, x = some(head, 300, size), support.double()
    nats = head.log_prob(x.expand(300, -1), p[:, None].expand(-1, len(x), -1))
    found = nats.gather(1, (head.mode(p)[:, None] - x).abs().argmin(1, keepdim=True))[:, 0]
    if isinstance(head, Bernoulli | Categorical):
        assert torch.equal(found, nats.amax(1))
    else:  # a hill that several components make between their centres may be a little higher than any of them
        assert bool(((head.mode(p)[:, None] - x).abs().amin(1) < 1e-5).all()) and bool(
            (found > nats.amax(1) - 0.2).all()
        )
        assert float((found == nats.amax(1)).double().mean()) > 0.7


def test_the_mode_of_a_density():
    p = some(Gaussian(), 20)
    assert torch.equal(Gaussian().mode(p), p[:, 0]) and torch.equal(Logistic().mode(p), p[:, 0])
    # A heavy broad component is lower than a light narrow one.
    peaks = torch.tensor([0.0, -1.0, -1.0, 0.0, 5.0, 9.0, 2.0, -2.0, 0.0])
    assert GaussianMixture(3).mode(peaks) == 5.0
    assert Missing(GaussianMixture(3)).mode(torch.cat([torch.tensor([-0.1]), peaks])) == 5.0
    assert Missing(GaussianMixture(3)).mode(torch.cat([torch.tensor([0.1]), peaks])).isnan()


# ---- arithmetic ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1.0, 50.0, 500.0])
@pytest.mark.parametrize("head", EVERY, ids=name)
def test_gradients_are_finite_under_stress(head, size):
    p = some(head, 400, size, dtype=torch.float32)
    x = head.sample(some(head, 400, seed=5, dtype=torch.float32), even(400, torch.float32))
    p.requires_grad_()
    value = head.log_prob(x, p)
    value.sum().backward()
    assert bool(value.isfinite().all()) and p.grad is not None and bool(p.grad.isfinite().all())


@pytest.mark.parametrize("head", EVERY, ids=name)
def test_gradients_are_those_of_differences(head):
    p = some(head, 6).requires_grad_()
    x = head.sample(p.detach(), even(6))
    assert torch.autograd.gradcheck(lambda p: head.log_prob(x, p), (p,), atol=1e-6)


def test_a_scale_has_a_floor_where_the_gradient_goes_on():
    raw = torch.tensor([-20.0, 0.0, 100.0], requires_grad=True)
    scale = log_scale(raw)
    scale.sum().backward()
    torch.testing.assert_close(scale, torch.tensor([-8.0, 0.0, 20.0]), atol=4e-4, rtol=0)
    assert raw.grad is not None and raw.grad[0] > 0


# ---- events --------------------------------------------------------------------------------------------------------
THREE = [Gaussian(), Categorical(3), Bernoulli()]
MIXED = [*THREE, Gaussian(), Missing(Gaussian()), Categorical(4), Categorical(3), LatticeMixture(2, 0.5), Bernoulli()]
EVENTS = {"mixed": MIXED, "equal": [Categorical(5)] * 6, "one": [Bernoulli()], "mixture": [GaussianMixture(2)] * 3}


@pytest.mark.parametrize("heads", EVENTS.values(), ids=EVENTS.keys())
def test_grouping_is_the_loop_over_variables(heads):
    event = Product(heads)
    p = torch.randn(11, event.total, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = torch.rand(11, len(heads), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = event.sample(p, u)

    def loop(method: str, values: Tensor | None) -> Tensor:
        each = []
        for d in range(len(heads)):
            head, place = event.one(d)
            each.append(getattr(head, method)(*([] if values is None else [values[:, d]]), p[:, place]))
        return torch.stack(each, 1)

    for method, values in {"log_prob": x, "cdf": x, "below": x, "icdf": u, "mean": None, "mode": None}.items():
        grouped = {"log_prob": event.log_probs}.get(method, getattr(event, method))
        found = grouped(p) if values is None else grouped(values, p)
        torch.testing.assert_close(found, loop(method, values), equal_nan=True)
    torch.testing.assert_close(event.log_prob(x, p), loop("log_prob", x).sum(1))
    assert event.widths == tuple(head.features for head in heads) and event.total == sum(event.widths)
    assert event.start().shape == (event.total,)
    assert event.discrete == all(head.discrete for head in heads)


def test_equal_heads_are_one_call(monkeypatch):
    calls = []
    plain = Bernoulli.log_prob
    monkeypatch.setattr(Bernoulli, "log_prob", lambda self, x, p: calls.append(x.shape) or plain(self, x, p))
    Product([Bernoulli(), Categorical(3), Bernoulli(), Bernoulli()]).log_prob(torch.zeros(2, 4), torch.zeros(2, 6))
    assert calls == [(2, 3)]


def test_many_bits_at_once_are_the_sum_over_bits():
    generator = torch.Generator().manual_seed(0)
    p = (4 * torch.randn(3, 7, generator=generator, dtype=torch.float64)).requires_grad_()
    x = torch.randint(2, (3, 7), generator=generator)
    event = Product([Bernoulli()] * 7)
    torch.testing.assert_close(event.log_prob(x, p), event.log_probs(x, p).sum(1))
    soft = torch.rand(3, 7, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(event.log_prob, (soft, p)) and torch.autograd.gradgradcheck(
        event.log_prob, (soft, p)
    )
    one = x[:1].double()  # a row against many parameters
    torch.testing.assert_close(event.log_prob(one, p), event.log_probs(one.expand(3, 7), p).sum(1))
    torch.testing.assert_close(event.log_prob(x, 300 * p), event.log_probs(x, 300 * p).sum(1))


def test_of_a_cell_with_a_gap_only_its_presence_is_told():
    columns = (column(missing=True), column(), column(discrete=True, size=4, missing=True))
    table = space("table", 3, columns=columns)
    event = of(table)
    p = torch.randn(5, event.total, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = Whole(table, event)
    x = event.sample(whole(p), torch.rand(5, 3, generator=torch.Generator().manual_seed(1)))
    assert not torch.isnan(x).any() and (x[:, 2] < 3).all()
    nothing = torch.zeros(5, 3, dtype=torch.bool)
    there = torch.stack([torch.sigmoid(-p[:, 0]), torch.ones(5), 1 - p[:, 5:].softmax(1)[:, 3]], 1)
    torch.testing.assert_close(whole.told(x, nothing, p).exp(), there.double())
    torch.testing.assert_close(whole.told(x, ~nothing, p), event.log_probs(x, p))


def test_an_event_takes_axes_before_the_variables_and_half_precision():
    event = Product(MIXED)
    p, u = torch.randn(3, 4, event.total), torch.rand(3, 4, len(MIXED))
    x = event.sample(p, u)
    assert event.log_prob(x, p).shape == (3, 4)
    assert event.log_prob(x, p.bfloat16()).dtype == torch.float32


def test_the_price_of_a_head():
    prices = {
        Bernoulli(): 1, Categorical(256): 256, Gaussian(): 2, Logistic(): 2, GaussianMixture(10): 30,
        LogisticMixture(9, 16): 27, LatticeMixture(5, 0.1): 15, Missing(Gaussian()): 3, Missing(GaussianMixture(9)): 28,
    }  # fmt: skip
    assert {head: head.features for head in prices} == prices


# ---- what a space asks for --------------------------------------------------------------------------------
def space(kind: str, size: int, levels: int = 0, columns: tuple = ()) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, shape=(size,), size=size, levels=levels, columns=columns)


def column(discrete: bool = False, size: int = 1, missing: bool = False, step: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(discrete=discrete, size=size, missing=missing, step=step, low=-1.0, high=2.0)


def test_of_a_space_of_one_kind():
    assert of(space("binary", 3)).heads == (Bernoulli(),) * 3
    assert of(space("real", 2)).heads == (Gaussian(),) * 2
    assert of(space("real", 2), components=4, continuous="mixture").heads == (GaussianMixture(4),) * 2
    assert of(space("real", 2), continuous="logistic").heads == (Logistic(),) * 2
    assert of(space("levels", 2, 16)).heads == (Categorical(16),) * 2
    assert of(space("levels", 2, 16), levels="logistic").heads == (LogisticMixture(10, 16),) * 2
    assert of(space("tokens", 2, 96)).heads == (Categorical(96),) * 2


def test_of_a_table():
    numbers = (column(step=0.5), column(missing=True), column(missing=True, step=0.5))
    columns = (column(), column(True, 2), column(True, 5), *numbers)
    lattice = LatticeMixture(10, 0.5, origin=-1.0)
    table = space("table", 6, columns=columns)
    assert of(table).heads == (Gaussian(), Bernoulli(), Categorical(5), lattice, Missing(Gaussian()), Missing(lattice))
    assert of(table, bounded=True).heads[3] == LatticeMixture(10, 0.5, -1.0, 2.0, origin=-1.0)
    assert of(table, components=3).heads[3].features == 9


def test_a_misspelt_head_is_told():
    with pytest.raises(Usage, match="Did you mean 'mixture'"):
        of(space("real", 2), continuous="mixtur")
    with pytest.raises(Usage, match="awaited: categorical, logistic"):
        of(space("levels", 2, 4), levels="x")
