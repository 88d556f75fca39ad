"""The laws that every bijection owes, over one table of all of them; then what is true of each alone."""

import copy
import math

import pytest
import torch
from torch import nn

from pushforward.errors import Usage
from pushforward.maths.bijections import (
    LU,
    ActNorm,
    Affine,
    AffineScalar,
    Autoregressive,
    BatchNorm,
    Chain,
    Coupling,
    Elementwise,
    Flatten,
    Inverse,
    Permutation,
    Spline,
    Split,
    Squeeze,
    halves,
)
from pushforward.nets.masked import MaskedNet

G = 3  # features given


class Dense(nn.Module):
    """A conditioner of vectors or, pixel by pixel, of images."""

    def __init__(self, a, b, given=0):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(a + given, 12), nn.Tanh(), nn.Linear(12, b))

    def forward(self, x, given=None):
        if given is not None:
            x = torch.cat([x, given.view(*given.shape, *(1,) * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])], 1)
        return self.layers(x.movedim(1, -1)).movedim(-1, 1)


def coupling(scalar, dims, turn, given=0, own=None):
    stay = halves(dims, turn)
    return Coupling(scalar, Dense(len(stay), (dims - len(stay)) * scalar.features, given), dims, stay, own)


def autoregressive(scalar, dims, given=0, **fields):
    return Autoregressive(
        scalar, MaskedNet(dims, (16, 16), [scalar.features] * dims, torch.randperm(dims), given, **fields)
    )


def image(given=0):
    step = [ActNorm(4), LU(4), coupling(AffineScalar(), 4, 0, given)]
    inner = Chain([coupling(Spline(4, 2.0), 2, 1, given), Flatten(2, 2, 3)])
    return Chain([Squeeze(), *step, Split((4, 2, 3), inner, Dense(2, 4, given))])


# name: (the map, the shape of a row, whether features are given)
TABLE = {
    "permutation": (lambda: Permutation([2, 0, 3, 1]), (4,), False),
    "affine": (lambda: Affine(4), (4,), False),
    "affine of an image": (lambda: Affine(2), (2, 3, 2), False),
    "elementwise affine": (lambda: Elementwise(AffineScalar(), 4), (4,), False),
    "elementwise spline": (lambda: Elementwise(Spline(4, 2.0), 4), (4,), False),
    "elementwise spline of an image": (lambda: Elementwise(Spline(4, 2.0), 2, 1, 2), (2, 1, 2), False),
    "LU": (lambda: LU(4), (4,), False),
    "PLU": (lambda: Chain([Permutation([2, 0, 3, 1]), LU(4)]), (4,), False),
    "LU of an image": (lambda: LU(3), (3, 2, 2), False),
    "actnorm": (lambda: ActNorm(4), (4,), False),
    "actnorm of an image": (lambda: ActNorm(2), (2, 3, 2), False),
    "batch norm": (lambda: BatchNorm(4), (4,), False),
    "batch norm of an image": (lambda: BatchNorm(2), (2, 3, 2), False),
    "affine coupling": (lambda: coupling(AffineScalar(), 4, 0), (4,), False),
    "affine coupling given": (lambda: coupling(AffineScalar(), 5, 1, G), (5,), True),
    "spline coupling": (lambda: coupling(Spline(4, 2.0), 5, 0), (5,), False),
    "spline coupling, own splines": (
        lambda: coupling(Spline(4, 2.0), 5, 0, G, Elementwise(Spline(4, 2.0), 2)),
        (5,),
        True,
    ),
    "coupling of an image": (lambda: coupling(AffineScalar(), 3, 0, G), (3, 2, 2), True),
    "spline coupling of an image": (lambda: coupling(Spline(4, 2.0), 3, 1), (3, 2, 2), False),
    "affine autoregressive": (lambda: autoregressive(AffineScalar(), 5), (5,), False),
    "affine autoregressive given": (lambda: autoregressive(AffineScalar(), 5, G, residual=True), (5,), True),
    "spline autoregressive": (lambda: autoregressive(Spline(4, 2.0), 4), (4,), False),
    "inverse autoregressive": (lambda: Inverse(autoregressive(AffineScalar(), 4, G)), (4,), True),
    "one variable, coupling": (lambda: coupling(Spline(4, 2.0), 1, 0, G), (1,), True),
    "one variable, autoregressive": (lambda: autoregressive(Spline(4, 2.0), 1), (1,), False),
    "one variable, autoregressive given": (lambda: autoregressive(AffineScalar(), 1, G), (1,), True),
    "one variable, LU": (lambda: LU(1), (1,), False),
    "squeeze": (Squeeze, (2, 4, 2), False),
    "flatten": (lambda: Flatten(2, 3, 2), (2, 3, 2), False),
    "split": (lambda: Split((3, 2, 2), Flatten(2, 2, 2)), (3, 2, 2), False),
    "split of variables": (lambda: Split((4,), LU(2), Dense(2, 4)), (4,), False),
    "multi-scale": (image, (1, 4, 6), False),
    "multi-scale given": (lambda: image(G), (1, 4, 6), True),
    "chain": (lambda: Chain([autoregressive(Spline(4, 2.0), 4), LU(4), coupling(AffineScalar(), 4, 1)]), (4,), False),
}


@torch.no_grad()
def make(name, seed=0):
    """A map in float64 with parameters of some size, past its start."""
    torch.manual_seed(seed)
    build, shape, conditional = TABLE[name]
    map = build().double()
    for parameter in map.parameters():
        parameter.add_(0.4 * torch.randn_like(parameter))
    for layer in map.modules():
        if hasattr(layer, "bake"):
            layer.bake(layer.mask)
    x, given = rows(name)
    map(x, given)  # the first batch starts the normalisations
    return map.eval()


def rows(name, n=6):
    torch.manual_seed(5)
    _, shape, conditional = TABLE[name]
    x = 1.2 * torch.randn(n, *shape).double()  # some of them in the tails of the splines
    return x, torch.randn(n, G).double() if conditional else None


every = pytest.mark.parametrize("name", TABLE)


@every
def test_the_inverse_undoes_it(name):
    map, (x, given) = make(name), rows(name)
    z, ladj = map(x, given)
    back, ladj_back = map.inverse(z, given)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(ladj_back, -ladj, rtol=0, atol=1e-9)
    assert ladj.shape == ladj_back.shape == (len(x),)
    torch.testing.assert_close(map(back, given)[0], z, rtol=0, atol=1e-10)


@every
def test_the_log_determinant_is_that_of_the_jacobian(name):
    map, (x, given) = make(name), rows(name, 2)
    ladj = map(x, given)[1]
    for i in range(len(x)):
        g = None if given is None else given[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda row, g=g: map(row[None], g)[0][0], x[i])
        size = x[i].numel()
        torch.testing.assert_close(torch.linalg.slogdet(jacobian.view(size, size))[1], ladj[i], rtol=0, atol=1e-9)


@every
def test_the_inverse_has_the_inverse_jacobian(name):
    map, (x, given) = make(name), rows(name, 1)
    z = map(x, given)[0].detach()
    there = torch.autograd.functional.jacobian(lambda x: map(x, given)[0], x).view(x.numel(), -1)
    back = torch.autograd.functional.jacobian(lambda z: map.inverse(z, given)[0], z).view(x.numel(), -1)
    torch.testing.assert_close(back @ there, torch.eye(x.numel()).double(), rtol=0, atol=1e-8)


@every
def test_there_and_back_is_the_identity_for_every_parameter(name):
    """d/dp f(f^-1(z; p); p) = 0, and the same of the two log-Jacobians: so the inverse carries the right gradients."""
    map, (x, given) = make(name), rows(name, 3)
    z = map(x, given)[0].detach()
    back, ladj = map.inverse(z, given)
    again, ladj_again = map(back, given)
    learned = list(map.parameters())
    if not learned:
        return
    weight = torch.randn_like(again)
    for scalar in ((weight * again).sum(), (ladj + ladj_again).sum()):
        for grad in torch.autograd.grad(scalar, learned, retain_graph=True, allow_unused=True, materialize_grads=True):
            assert grad.abs().max() < 1e-8


@every
def test_a_row_does_not_see_the_others(name):
    map, (x, given) = make(name), rows(name)
    z, ladj = map(x, given)
    one, ladj_one = map(x[2:3], None if given is None else given[2:3])
    torch.testing.assert_close(one[0], z[2], rtol=0, atol=1e-13)
    torch.testing.assert_close(ladj_one[0], ladj[2], rtol=0, atol=1e-12)


@every
def test_what_is_given_matters_where_it_can_be_given(name):
    map, (x, given) = make(name), rows(name)
    if given is not None:
        assert not torch.allclose(map(x, given)[0], map(x, given + 1)[0])


@every
def test_a_saved_map_is_the_same_map(name):
    map, other, (x, given) = make(name), make(name, seed=1), rows(name)
    z, ladj = map(x, given)
    back, ladj_back = map.inverse(z, given)
    other.load_state_dict(map.state_dict())
    for loaded in (other, copy.deepcopy(map)):
        if "batch" not in name:
            loaded.train()  # nothing starts again
        for (image, l), wanted in ((loaded(x, given), (z, ladj)), (loaded.inverse(z, given), (back, ladj_back))):
            assert torch.equal(image, wanted[0]) and torch.equal(l, wanted[1])


# --- splines -------------------------------------------------------------------------------------------------------------


def by_the_book(x, p, bins, bound, floor=1e-3):
    """One number through one spline, as section 3.1 of Durkan et al. writes it down."""
    softmax = lambda v: torch.softmax(v, 0)  # noqa: E731
    w, h = (2 * bound * (floor + (1 - floor * bins) * softmax(p[: 2 * bins].view(bins, 2)[:, side])) for side in (0, 1))
    d = [1.0, *(floor + torch.nn.functional.softplus(p[2 * bins :] + math.log(math.expm1(1 - floor)))).tolist(), 1.0]
    xs = [-bound, *(-bound + w.cumsum(0)).tolist()]
    ys = [-bound, *(-bound + h.cumsum(0)).tolist()]
    if not -bound < x < bound:
        return x, 0.0
    k = max(k for k in range(bins) if xs[k] <= x)
    s, t = (ys[k + 1] - ys[k]) / (xs[k + 1] - xs[k]), (x - xs[k]) / (xs[k + 1] - xs[k])
    below = s + (d[k + 1] + d[k] - 2 * s) * t * (1 - t)
    y = ys[k] + (ys[k + 1] - ys[k]) * (s * t * t + d[k] * t * (1 - t)) / below  # eq. 4
    slope = s * s * (d[k + 1] * t * t + 2 * s * t * (1 - t) + d[k] * (1 - t) ** 2) / below**2  # eq. 5
    return y, math.log(slope)


@pytest.mark.parametrize("bins", [1, 2, 8])
def test_a_spline_is_that_of_the_paper(bins):
    spline = Spline(bins, 3.0).double()
    x, p = 2 * torch.randn(50).double(), 2 * torch.randn(50, spline.features).double()
    book = torch.tensor([by_the_book(x[i].item(), p[i], bins, 3.0) for i in range(50)], dtype=torch.float64)
    torch.testing.assert_close(torch.stack(spline(x, p), 1), book, rtol=0, atol=1e-10)


def test_a_spline_of_zero_parameters_is_the_identity():
    x = torch.linspace(-6, 6, 101).double()
    z, ladj = Spline().double()(x, torch.zeros(101, 23).double())
    torch.testing.assert_close(z, x, rtol=0, atol=1e-14)
    torch.testing.assert_close(ladj, torch.zeros(101).double(), rtol=0, atol=1e-14)


def test_a_spline_and_its_slope_are_continuous_at_its_knots_and_tails():
    spline = Spline(8, 3.0).double()
    p = 2 * torch.randn(23).double()
    knots, _ = spline.knots(p)
    at = torch.cat([knots[0, :, 0], torch.tensor([3.0]).double()])
    torch.testing.assert_close(at[[0, -1]], torch.tensor([-3.0, 3.0]).double(), rtol=0, atol=1e-12)
    before, after = (spline(at + step, p.expand(9, -1)) for step in (-1e-10, 1e-10))
    torch.testing.assert_close(before[0], after[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(before[1], after[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("bound", [3.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 3.0, 5.0, 10.0, 20.0, 50.0])
def test_a_spline_in_float32_under_stress(scale, bound):
    """20,000 random splines of logits N(0, scale^2); peers lose digits from scale 3 on, and fail or give NaN from 10."""
    torch.manual_seed(0)
    spline, p = Spline(8, bound), scale * torch.randn(20_000, 23)
    x = bound * 1.1 * (2 * torch.rand(20_000) - 1)
    z, ladj = spline(x, p)
    again = spline(spline.inverse(z, p)[0], p)[0]
    assert (again - z).abs().max() <= 1e-4
    # Noise from anywhere: x can be no closer than its own rounding, and the slope (up to 2000) makes that much of it in z.
    back, ladj_back = spline.inverse(x, p)
    again, ladj = spline(back, p)
    rounding = torch.finfo(torch.float32).eps * (ladj.exp() * back.abs() + bound)
    assert ((again - x).abs() / rounding).max() <= 32
    assert all(torch.isfinite(v).all() for v in (z, ladj, back, ladj_back, again))
    outside = x.abs() > bound
    assert torch.equal(z[outside], x[outside]) and (ladj_back[outside] == 0).all()


@pytest.mark.parametrize("way", ["forward", "inverse"])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_gradients_of_a_spline_are_finite_in_float32(way, scale):
    torch.manual_seed(0)
    spline, p = Spline(), (scale * torch.randn(5000, 23)).requires_grad_()
    edges = torch.tensor([-5.0, 5.0, 0.0, -1e30, 1e30, -5.0000005, 5.0000005])
    x = torch.cat([6 * torch.randn(4993), edges]).requires_grad_()
    image, ladj = getattr(spline, way)(x, p)
    (image.clamp(-9, 9).sum() + ladj.sum()).backward()
    assert torch.isfinite(x.grad).all() and torch.isfinite(p.grad).all()
    assert (p.grad[x.abs() > 5.1] == 0).all()


def test_a_spline_keeps_the_order_of_numbers():
    torch.manual_seed(0)
    spline = Spline(8, 3.0)
    z, _ = spline(torch.linspace(-4, 4, 20_001), (3 * torch.randn(1, 23)).expand(20_001, -1))
    assert (z.diff() >= 0).all()


def test_bfloat16_autocast_does_not_round_the_knots():
    spline, lu = Spline(), LU(4)
    x, p = torch.randn(100), torch.randn(100, 23)
    y = torch.randn(100, 4)
    with torch.autocast("cpu", torch.bfloat16):
        z, image = spline(x, p)[0], lu(y)[0]
    assert torch.equal(z, spline(x, p)[0]) and torch.equal(image, lu(y)[0])


@pytest.mark.parametrize("fields", [{"bins": 0}, {"bound": -1.0}, {"bins": 100, "floor": 0.01}])
def test_a_wrong_spline_is_refused(fields):
    with pytest.raises(Usage, match="were awaited"):
        Spline(**fields)


# --- autoregressive ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scalar", [AffineScalar(), Spline(4, 2.0)], ids=["affine", "spline"])
@pytest.mark.parametrize("given", [0, G])
def test_the_incremental_inverse_is_the_naive_one(scalar, given):
    """D full passes, each of which settles one more variable."""
    torch.manual_seed(0)
    map = autoregressive(scalar, 40, given).double()
    nn.init.normal_(map.net.output.weight, std=0.3)
    map.net.output.bake(map.net.output.mask)
    z, features = torch.randn(6, 40).double(), torch.randn(6, G).double() if given else None
    x = torch.zeros_like(z)
    with torch.no_grad():
        for _ in range(40):
            p = map.net(x, features).view(6, 40, scalar.features)
            x = scalar.inverse(z, p)[0]
        torch.testing.assert_close(map.inverse(z, features)[0], x, rtol=0, atol=1e-12)
        torch.testing.assert_close(map(x, features)[0], z, rtol=0, atol=1e-10)


def test_the_jacobian_is_triangular_in_the_order_of_the_net():
    map, (x, _) = make("affine autoregressive"), rows("affine autoregressive", 1)
    jacobian = torch.autograd.functional.jacobian(lambda x: map(x)[0], x)[0, :, 0]
    order = map.net.order
    assert (jacobian[order][:, order].triu(1) == 0).all()


def test_a_second_derivative_of_the_inverse_is_refused():
    map, (z, _) = make("affine autoregressive"), rows("affine autoregressive")
    z.requires_grad_()
    first = torch.autograd.grad(map.inverse(z)[0].square().sum(), z, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_conditioned_maps_begin_as_the_identity():
    x = torch.randn(5, 6)
    for scalar in (AffineScalar(), Spline()):
        z, ladj = autoregressive(scalar, 6)(x)
        torch.testing.assert_close(z, x, rtol=0, atol=1e-6)
        torch.testing.assert_close(ladj, torch.zeros(5), rtol=0, atol=1e-5)


# --- normalisations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (3, 4, 5)])
def test_actnorm_starts_once_and_for_all(shape):
    norm, x = ActNorm(3), 5 + 3 * torch.randn(64, *shape)
    assert torch.equal(norm.eval()(x)[0], x), "only learning starts it"
    z, _ = norm.train()(x)
    channels = z.movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(channels.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(channels.var(0, correction=0), torch.ones(3), rtol=0, atol=1e-4)
    norm(x + 100)
    assert torch.equal(norm(x)[0], z)
    fresh = ActNorm(3)
    fresh.load_state_dict(norm.state_dict())
    assert torch.equal(fresh.train()(x + 100)[0], norm(x + 100)[0])


def test_batch_norm_uses_the_batch_while_it_learns_and_its_memory_afterwards():
    norm, x = BatchNorm(3, momentum=1.0), 5 + 3 * torch.randn(64, 3).double()
    norm.double()
    z, ladj = norm(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(3).double(), rtol=0, atol=1e-4)
    later, ladj_later = norm.eval()(x)
    torch.testing.assert_close(later, z)
    torch.testing.assert_close(ladj_later, ladj)


# --- the rest ------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_lu_begins_as_the_identity_and_with_a_permutation_it_is_any_matrix_up_to_signs():
    torch.manual_seed(0)
    x, lu, target = torch.randn(4, 3).double(), LU(3).double(), torch.randn(3, 3).double()
    assert torch.equal(lu(x)[0], x)
    P, L, U = torch.linalg.lu(target.T)  # target = (U' / d) (d L') P'
    pivots, signs = U.diagonal().abs(), U.diagonal().sign()
    lower = signs[:, None] * (U.T / U.diagonal()) * signs
    lu.packed.copy_(lower.tril(-1) + (pivots[:, None] * L.T).triu(1) + pivots.log().diag())
    z, ladj = Chain([Permutation(P.T.argmax(1)), lu])(x)
    torch.testing.assert_close(signs * z, x @ target.T)
    torch.testing.assert_close(ladj[0], torch.linalg.slogdet(target)[1])


def test_halves_take_turns_and_leave_nothing_out():
    for dims in (1, 2, 3, 6):
        for turn in range(3):
            stay = halves(dims, turn)
            assert set(stay) < set(range(dims))
        if dims > 1:
            assert sorted(halves(dims, 0) + halves(dims, 1)) == list(range(dims))


def test_a_wrong_split_or_permutation_is_named():
    with pytest.raises(Usage, match="each once and not all"):
        Coupling(AffineScalar(), nn.Identity(), 3, [0, 1, 2])
    with pytest.raises(Usage, match="permutation of 0 .. 2"):
        Permutation([0, 0, 1])


def test_factored_out_channels_are_gaussian_given_the_rest():
    """log p(x) of a split = log N(noise) + log-Jacobian = log q(a) + log N(b; m(a), s(a))."""
    map, (x, _) = make("split of variables"), rows("split of variables")
    z, ladj = map(x)
    joint = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1) + ladj
    a, b = x[:, :2], x[:, 2:]
    mean, raw = map.prior.net(a).view(len(x), 2, 2).unbind(-1)
    inner, more = map.inner(a)
    rest = torch.distributions.Normal(0.0, 1.0).log_prob(inner).sum(1) + more
    told = torch.distributions.Normal(mean, (raw / (1 + raw.abs() / 5)).exp()).log_prob(b).sum(1)
    torch.testing.assert_close(joint, rest + told, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["chain", "multi-scale", "affine autoregressive given", "batch norm"])
def test_it_is_one_graph(name):
    found = torch._dynamo.explain(make(name).train())(*rows(name))
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons
