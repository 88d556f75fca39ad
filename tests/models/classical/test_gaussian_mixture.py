"""Mixtures of Gaussians against scikit-learn, against closed forms and at the edges."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.maths.gaussians import Mixture, Rows, pick
from pushforward.models.classical import GaussianMixture

RNG = np.random.default_rng(0)
SHAPES = pytest.mark.parametrize("covariance", ["full", "diagonal", "spherical"])


def blobs(n: int = 600, d: int = 3, k: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres, turn = 3 * rng.normal(size=(k, d)), rng.normal(size=(k, d, d))
    owner = rng.integers(k, size=n)
    return centres[owner] + np.einsum("nde,ne->nd", turn[owner], rng.normal(size=(n, d)))


def some_mixture(k: int = 3, d: int = 4, full: bool = True) -> Mixture:
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=g, dtype=torch.float64)  # noqa: E731
    spread = draw(k, d, d).tril(-1) + torch.diag_embed(draw(k, d).exp()) if full else draw(k, d).exp()
    return Mixture(draw(k).log_softmax(0), draw(k, d), spread, torch.zeros(k, d, dtype=torch.float64))


@SHAPES
def test_the_same_start_climbs_as_in_scikit_learn(covariance):
    from sklearn.mixture import GaussianMixture as Peer

    x = blobs()
    x = (x - x.mean(0)) / x.std()
    model = GaussianMixture(components=4, covariance=covariance, iterations=25, tolerance=0.0)
    model.make(pf.Space.of(x), None, None, 0, torch.float64)
    with pf.noise.stream(0, dtype=torch.float64):
        start = model.start(torch.tensor(x))
    end, nats = model.climb(Rows(torch.tensor(x), covariance == "full"), start)
    model.put(end)
    width = start.spread if covariance != "full" else start.spread.diagonal(dim1=1, dim2=2)
    precision = {"full": torch.diag_embed(width**-2), "diagonal": width**-2, "spherical": width[:, 0] ** -2}[
        covariance
    ].numpy()
    kind = {"diagonal": "diag"}.get(covariance, covariance)
    peer = Peer(
        4,
        covariance_type=kind,
        max_iter=25,
        tol=0,
        weights_init=start.log_weights.exp().numpy(),
        means_init=start.means.numpy(),
        precisions_init=precision,
    )
    with pytest.warns(UserWarning, match="did not converge"):
        peer.fit(x)
    assert nats[-1] == pytest.approx(peer.lower_bound_, abs=1e-9)
    np.testing.assert_allclose(model.log_prob(x), peer.score_samples(x), atol=1e-6)
    np.testing.assert_allclose(model.encode(x), peer.predict_proba(x), atol=1e-6)


@SHAPES
@pytest.mark.parametrize("gaps", [False, True])
def test_no_step_of_em_loses_likelihood(covariance, gaps):
    x = pd.DataFrame(blobs(300), columns=list("abc"))
    if gaps:
        x = x.mask(np.random.default_rng(1).random(x.shape) < 0.2)
    model = GaussianMixture(components=4, covariance=covariance, reg=0.0, tolerance=0.0, iterations=40).fit(
        x, quiet=True
    )
    assert len(model.climb_) == 40
    assert np.diff(model.climb_).min() > -1e-10
    assert model.climb_[-1] > model.climb_[0] + 0.1
    assert model.climb_[-1] == pytest.approx(model.score(x), abs=1e-2)


def test_gaps_give_the_maximum_likelihood_that_has_a_closed_form():
    """Where b is missing for some and a for none: b = regression on a, applied to all of a (Anderson 1957)."""
    rng = np.random.default_rng(0)
    a = rng.normal(2, 3, 400)
    b = 1 + 0.7 * a + rng.normal(size=400)
    lost = rng.random(400) < 1 / (1 + np.exp(-a))  # more often where a is high: the mean of what is left is biased
    x = pd.DataFrame({"a": a, "b": np.where(lost, np.nan, b)})
    model = GaussianMixture(components=1, reg=0.0, tolerance=1e-14, iterations=2000).fit(x, quiet=True)
    slope, intercept = np.polyfit(a[~lost], b[~lost], 1)
    residual = np.mean((b[~lost] - intercept - slope * a[~lost]) ** 2)
    want = [[a.var(), slope * a.var()], [slope * a.var(), residual + slope**2 * a.var()]]
    np.testing.assert_allclose(model.means[0].numpy(), [a.mean(), intercept + slope * a.mean()], atol=1e-5)
    np.testing.assert_allclose((model.spread @ model.spread.mT)[0].numpy(), want, atol=1e-4)
    np.testing.assert_allclose(model.gone[0].numpy(), [0, lost.mean()], atol=1e-12)


def test_missing_and_present_add_up_to_one():
    values = np.where(RNG.random(300) < 0.3, np.nan, RNG.normal(size=300))
    model = GaussianMixture(components=2).fit(pd.DataFrame({"a": values}), quiet=True)
    grid = np.linspace(-9, 9, 4001)
    mass = np.exp(model.log_prob(pd.DataFrame({"a": grid}))).sum() * (grid[1] - grid[0])
    gone = float(np.exp(model.log_prob(pd.DataFrame({"a": [np.nan]})))[0])
    assert gone == pytest.approx(np.isnan(values).mean(), abs=1e-6)
    assert mass + gone == pytest.approx(1, abs=1e-6)
    assert model.sample(4000, seed=0)["a"].isna().mean() == pytest.approx(gone, abs=0.03)


@pytest.mark.parametrize("full", [True, False])
def test_known_times_unknown_given_known_is_the_joint(full):
    mixture = some_mixture(full=full)
    x = torch.randn(7, 4, dtype=torch.float64)
    o = torch.tensor([False, True, False, True])
    known, mean, spread = mixture.split(x, o)
    for k in range(3):
        covariance = spread[k] @ spread[k].T if full else torch.diag(spread[k] ** 2)
        rest = [
            stats.multivariate_normal(m[k], covariance).logpdf(row[~o]) for m, row in zip(mean.numpy(), x, strict=True)
        ]
        np.testing.assert_allclose(known[:, k] + torch.tensor(rest), mixture.log_densities(x)[:, k], atol=1e-10)


def test_what_is_completed_follows_the_conditional():
    mixture, n = some_mixture(), 20000
    model = GaussianMixture(components=3)
    model.make(pf.Space.of(np.zeros((2, 4))), None, None, 0, torch.float64)
    model.put(mixture)
    row = torch.tensor([0.3, torch.nan, -0.5, torch.nan], dtype=torch.float64)
    drawn = model.complete(row.repeat(n, 1).numpy(), seed=3)
    o = ~torch.isnan(row)
    known, mean, spread = mixture.split(row[None].nan_to_num(), o)
    shares = (mixture.log_weights + known[0]).softmax(0)
    first = (shares[:, None] * mean[0]).sum(0)
    second = (shares[:, None, None] * (spread @ spread.mT + mean[0][:, :, None] * mean[0][:, None])).sum(0)
    covariance = (second - first[:, None] * first).numpy()
    assert (drawn[:, [0, 2]] == row[o].numpy()).all()
    np.testing.assert_allclose(drawn[:, [1, 3]].mean(0), first, atol=4 * float(np.sqrt(covariance.max() / n)))
    np.testing.assert_allclose(np.cov(drawn[:, [1, 3]].T), covariance, rtol=0.1, atol=0.1 * covariance.max())


@SHAPES
def test_a_row_is_completed_alike_alone_and_among_others(covariance):
    x = blobs(200)
    model = GaussianMixture(components=3, covariance=covariance).fit(x, quiet=True)
    gaps = np.where(np.random.default_rng(2).random(x.shape) < 0.5, np.nan, x)
    whole = model.complete(gaps, seed=5)
    np.testing.assert_allclose(whole[:1], model.complete(gaps[:1], seed=5), atol=1e-12)
    assert not np.isnan(whole).any()
    kept = ~np.isnan(gaps)
    assert (whole[kept] == x[kept]).all()


def test_the_density_of_drawn_rows_and_of_data_agree():
    x = blobs(3000, d=2)
    model = GaussianMixture(components=4).fit(x, quiet=True)
    entropy = -model.log_prob(model.sample(20000, seed=0)).mean()
    assert entropy == pytest.approx(-model.score(x), abs=0.05)
    new = model.sample(100, seed=1)
    np.testing.assert_allclose(model.sample(3, seed=1), new[:3], atol=1e-12)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_units_do_not_matter(covariance):
    x, factor = blobs(), np.array([1e-5, 1.0, 1e6])
    near, far = (
        GaussianMixture(components=3, covariance=covariance).fit(y, quiet=True) for y in (x, x * factor + 1e3 * factor)
    )
    np.testing.assert_allclose(
        far.log_prob(x * factor + 1e3 * factor), near.log_prob(x) - np.log(factor).sum(), atol=1e-6
    )


def test_the_density_can_be_differentiated():
    model = GaussianMixture(components=2).fit(blobs(100), quiet=True)
    x = torch.tensor(blobs(5), requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: model.log_prob(t), x)


def test_identical_rows_and_constant_columns_keep_a_density():
    rows = np.repeat(
        [[1.0, 2.0, 3.0], [4.0, 2.0, 5.0]], 10, 0
    )  # two places for eight components, a column that never varies
    model = GaussianMixture(components=8).fit(rows, quiet=True)
    assert np.isfinite(model.log_prob(rows)).all()
    assert np.isfinite(model.sample(50, seed=0)).all()
    assert abs(model.sample(200, seed=0)[:, 1] - 2.0).max() < 0.01
    assert model.log_weights.exp().sum().item() == pytest.approx(1)


def test_fewer_rows_than_variables_keep_a_density():
    x = RNG.normal(size=(6, 20))
    model = GaussianMixture(components=2).fit(x, quiet=True)
    assert np.isfinite(model.log_prob(x)).all()
    with pytest.raises(BadData, match="singular.*reg"):
        GaussianMixture(components=2, reg=0.0).fit(x, quiet=True)


def test_a_component_that_loses_all_its_rows_stays_out_of_the_way():
    mixture = some_mixture(k=2, d=2)
    mixture.log_weights[1] = -torch.inf
    rows = Rows(torch.randn(50, 2, dtype=torch.float64), True)
    from pushforward.maths.gaussians import improved

    after = improved(rows.expect(mixture), mixture, 1e-6, False)
    assert torch.equal(after.means[1], mixture.means[1]) and torch.equal(after.spread[1], mixture.spread[1])
    assert after.log_weights[0].item() == pytest.approx(0)
    assert torch.isfinite(after.joint(torch.zeros(1, 2, dtype=torch.float64)).logsumexp(1)).all()


def test_too_few_rows_are_an_error_that_says_what_to_do():
    with pytest.raises(BadData, match=r"n_samples=1\)"):
        GaussianMixture(components=1).fit(np.zeros((1, 2)), quiet=True)
    with pytest.raises(BadData, match="5 examples.*components=2"):
        GaussianMixture().fit(RNG.normal(size=(5, 2)), quiet=True)


def test_more_restarts_are_never_less_likely():
    x = blobs(400, d=2, k=8, seed=3)
    one, five = (GaussianMixture(components=8, restarts=r).fit(x, quiet=True).climb_[-1] for r in (1, 5))
    assert five >= one


def test_a_component_of_weight_zero_is_never_picked():
    shares = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]], dtype=torch.float64).repeat(4, 1)
    assert pick(shares, torch.tensor([0.0, 0.25, 0.5, 1 - 1e-12], dtype=torch.float64)).tolist() == [1, 1, 3, 3]


def test_it_says_what_it_cannot():
    model = GaussianMixture(components=2).fit(blobs(50), quiet=True)
    assert model.abilities == {
        "sample": "exact",
        "log_prob": "exact",
        "encode": "posterior of the component",
        "complete": "exact",
    }
    with pytest.raises(Unable, match="which example it was"):
        model.decode([[1.0, 0.0]])
    with pytest.raises(Usage, match="Did you mean 'diagonal'"):
        GaussianMixture(covariance="diagonl").fit(blobs(50), quiet=True)
    with pytest.raises(Usage, match="not conditional"):
        GaussianMixture().fit(blobs(50), given=np.zeros(50), quiet=True)


def test_whole_numbers_are_bounded_not_scored():
    x = RNG.integers(0, 5, size=(300, 2)).astype(np.uint8)
    model = GaussianMixture(components=2).fit(x, quiet=True)
    assert "log_prob" not in model.abilities and model.abilities["bound"] == "lower bound"
    assert model.bound(x).mean() < -2 * np.log(5) + 0.2


def test_it_comes_back_from_a_folder(tmp_path):
    x = blobs(100)
    model = GaussianMixture(components=3).fit(x, quiet=True)
    again = pf.load(model.save(tmp_path / "m.pf"))
    assert (again.log_prob(x) == model.log_prob(x)).all()
    assert (again.sample(5, seed=0) == model.sample(5, seed=0)).all()


@SHAPES
def test_a_gap_of_what_was_never_missing_is_summed_out(covariance):
    """The marginal of the same mixture, by scipy."""
    x = blobs(300)
    model = GaussianMixture(components=3, covariance=covariance).fit(x, quiet=True)
    rows, o = torch.tensor(x[:20]), np.array([True, False, True])
    rows[:, 1] = torch.nan
    rows[10:, 0] = torch.nan
    spread = model.spread if covariance == "full" else torch.diag_embed(model.spread)
    shapes = (spread @ spread.mT).numpy()
    want = np.zeros(20)
    for part, known in ((slice(0, 10), o), (slice(10, 20), np.array([False, False, True]))):
        for w, m, s in zip(model.log_weights.exp().numpy(), model.means.numpy(), shapes, strict=True):
            want[part] += w * stats.multivariate_normal(m[known], s[np.ix_(known, known)]).pdf(x[:20][part][:, known])
    np.testing.assert_allclose(model._log_prob(rows), np.log(want), atol=1e-10)
    np.testing.assert_allclose(model._encode(rows).sum(1), 1, atol=1e-12)


def test_many_rows_are_scored_block_by_block_as_one_by_one():
    for full in (True, False):
        mixture = some_mixture(k=7, d=4, full=full)
        x = torch.randn(30000, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        whole = mixture.log_densities(x)
        assert torch.allclose(mixture.log_densities(x[29990:]), whole[29990:], atol=1e-12)
        covariance = mixture.spread[3] @ mixture.spread[3].T if full else torch.diag(mixture.spread[3] ** 2)
        want = stats.multivariate_normal(mixture.means[3].numpy(), covariance.numpy()).logpdf(x[:50].numpy())
        np.testing.assert_allclose(whole[:50, 3], want, atol=1e-10)


def test_fewer_rows_than_variables_have_the_regularised_likelihood_that_is_said():
    """The covariance of each component is that of its rows plus reg, as a share of the variance of the columns."""
    x = RNG.normal(size=(6, 20)) * np.arange(1, 21)
    model = GaussianMixture(components=1, reg=1e-3).fit(x, quiet=True)
    want = np.cov(x.T, bias=True) + 1e-3 * np.diag(x.var(0))
    np.testing.assert_allclose((model.spread @ model.spread.mT)[0], want, atol=1e-9 * want.max())


@SHAPES
def test_single_precision_is_enough_for_it(covariance):
    x = blobs(500).astype(np.float32)
    model = GaussianMixture(components=4, covariance=covariance, tolerance=0.0, iterations=10).fit(
        x, precision="float32", quiet=True
    )
    assert model.log_prob(x).dtype == np.float32
    mixture = Mixture(*(getattr(model, name).double() for name in ("log_weights", "means", "spread", "gone")))
    np.testing.assert_allclose(model.log_prob(x), mixture.log_prob(torch.tensor(x).double()), atol=2e-4)
    assert np.diff(model.climb_).min() > -1e-5


def test_rows_far_from_every_component_are_still_ranked():
    """Where every exponential underflows: log p is that of the nearest component, not minus infinity."""
    mixture = some_mixture()
    far = 1e4 * torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    want = mixture.joint(far).logsumexp(1)
    assert torch.isfinite(want).all() and torch.allclose(mixture.log_prob(far), want, rtol=1e-12)
    mixture.log_weights[:] = -torch.inf
    assert (mixture.log_prob(far) == -torch.inf).all()


def test_what_fills_a_gap_has_the_shares_that_log_prob_gives_it():
    """Two heaps, of which one loses its second number four times in five: beside a first number that tells nothing, the other heap is likelier."""
    rng = np.random.default_rng(0)
    heap = np.where(rng.random(3000) < 0.5, 1.0, -1.0)
    x = np.stack([heap, 3 * heap], 1) + rng.normal(size=(3000, 2))
    x[(heap > 0) & (rng.random(3000) < 0.8), 1] = np.nan
    model = GaussianMixture(components=2).fit(x)
    line = np.linspace(-9, 9, 721)
    chance = np.exp(model.log_prob(np.stack([np.zeros(721), line], 1)))
    drawn = model.complete(np.tile([[0.0, np.nan]], (4000, 1)), seed=0)[:, 1]
    assert (
        chance[line > 0].sum() / chance.sum() == pytest.approx((drawn > 0).mean(), abs=0.03)
        and (drawn > 0).mean() < 0.25
    )
