"""Chains keep p as it is, and log Z is what enumeration says."""

import math

import pytest
import torch

from pushforward import noise
from pushforward.errors import Usage
from pushforward.maths import chains
from pushforward.maths.chains import BaseRates, Bipartite, BlockGibbs


def machine(visible: int, hidden: int, scale: float = 1.0, seed: int = 0) -> Bipartite:
    with noise.stream(seed, dtype=torch.float64):
        draws = noise.normal(visible, hidden), noise.normal(1, visible)[0], noise.normal(1, hidden)[0]
    return Bipartite(scale * draws[0], draws[1], draws[2])


def table(target: Bipartite) -> tuple[torch.Tensor, torch.Tensor]:
    """All visible states (2^D, D) and their probabilities (2^D,)."""
    v = chains.states(0, 1 << len(target.visible), len(target.visible), target.weight)
    return v, (-target.energy(v) - chains.enumerated(target)).exp()


def likelihoods(field: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """P(bits | field) for all pairs: field (n, K), bits (m, K) -> (n, m)."""
    signs = 2 * bits - 1
    return torch.nn.functional.logsigmoid(field[:, None] * signs).sum(-1).exp()


def transitions(target: Bipartite) -> torch.Tensor:
    """T[v, v'] = sum_h P(h | v) P(v' | h)."""
    v, _ = table(target)
    h, _ = table(target.turned())
    return likelihoods(target.hidden_field(v), h) @ likelihoods(target.visible_field(h), v)


def frequencies(x: torch.Tensor) -> torch.Tensor:
    """The share of each state among the rows of x (n, D)."""
    codes = (x.long() << torch.arange(x.shape[1])).sum(1)
    return torch.bincount(codes, minlength=1 << x.shape[1]).double() / len(x)


def total_variation(p: torch.Tensor, q: torch.Tensor) -> float:
    return float((p - q).abs().sum() / 2)


def floor(p: torch.Tensor, n: int) -> float:
    """The total variation that n exact draws from p have from it on average."""
    return float((2 * p * (1 - p) / (math.pi * n)).sqrt().sum() / 2)


def draw(p: torch.Tensor, n: int) -> torch.Tensor:
    """The numbers of n states drawn from p."""
    return torch.searchsorted(p.cumsum(0), noise.uniform(n).double()).clamp(max=len(p) - 1)


# ---- the energy ---------------------------------------------------------------------------------------------------------


def test_free_energy_is_minus_the_logsumexp_of_the_joint():
    target = machine(6, 4)
    v, _ = table(target)
    h, _ = table(target.turned())
    joint = torch.stack([target.joint(v, one.expand(len(v), -1)) for one in h])
    torch.testing.assert_close(target.energy(v), -torch.logsumexp(-joint, 0), rtol=0, atol=1e-12)


def test_conditionals_are_those_of_bayes():
    target = machine(5, 4)
    v, _ = table(target)
    h, _ = table(target.turned())
    joint = torch.stack([target.joint(v, one.expand(len(v), -1)) for one in h], 1)  # (2^D, 2^H)
    torch.testing.assert_close((-joint).softmax(1), likelihoods(target.hidden_field(v), h), rtol=0, atol=1e-12)
    torch.testing.assert_close((-joint).softmax(0).T, likelihoods(target.visible_field(h), v), rtol=0, atol=1e-12)


def test_biases_may_differ_from_row_to_row():
    target = machine(5, 3)
    v, _ = table(target)
    rows = Bipartite(target.weight, target.visible.expand(len(v), -1), target.hidden.expand(len(v), -1))
    torch.testing.assert_close(rows.energy(v), target.energy(v))


# ---- the kernel ---------------------------------------------------------------------------------------------------------


def test_kernel_is_stationary_and_reversible():
    target = machine(6, 4)
    _, p = table(target)
    t = transitions(target)
    assert (p @ t - p).abs().max() < 1e-12
    flow = p[:, None] * t
    assert (flow - flow.T).abs().max() < 1e-12


def test_kernel_draws_what_its_transition_matrix_says():
    target, n = machine(4, 3), 40_000
    v, _ = table(target)
    t = transitions(target)
    with noise.stream(1, dtype=torch.float64):
        for start in (0, 9):
            ends = BlockGibbs().step(v[start].expand(n, -1), target)
            assert total_variation(frequencies(ends), t[start]) < 4 * floor(t[start], n)


def test_two_sweeps_are_the_kernel_twice():
    target, n = machine(4, 3), 40_000
    v, _ = table(target)
    twice = torch.linalg.matrix_power(transitions(target), 2)
    with noise.stream(1, dtype=torch.float64):
        ends = BlockGibbs(2).step(v[5].expand(n, -1), target)
    assert total_variation(frequencies(ends), twice[5]) < 4 * floor(twice[5], n)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_chains_that_start_at_p_do_not_drift(scale):
    """Holds however slowly the chains mix, so that a wrong kernel cannot hide behind a slow one."""
    target, n = machine(6, 5, scale), 40_000
    v, p = table(target)
    with noise.stream(2, dtype=torch.float64):
        x = v[draw(p, n)]
        ends = chains.walk(x, target, BlockGibbs(), 20)
    assert total_variation(frequencies(x), p) < 4 * floor(p, n)
    assert total_variation(frequencies(ends), p) < 4 * floor(p, n)


def test_known_bits_stay_and_the_rest_follows_its_conditional():
    target, n = machine(5, 4), 40_000
    v, p = table(target)
    known = torch.tensor([True, False, True, False, False])
    agrees = (v[:, 0] == 1) & (v[:, 2] == 0)
    conditional = torch.where(agrees, p, 0) / p[agrees].sum()
    with noise.stream(3, dtype=torch.float64):
        ends = chains.walk(v[1].expand(n, -1), target, BlockGibbs(known=known), 30)
    assert (ends[:, 0] == 1).all() and (ends[:, 2] == 0).all()
    assert total_variation(frequencies(ends), conditional) < 4 * floor(conditional, n)


def test_bits_of_any_type_are_the_same_state():
    target = machine(5, 4)
    v, _ = table(target)
    ends = []
    for kind in (torch.bool, torch.uint8, torch.float32, torch.float64):
        with noise.stream(4):
            ends.append(BlockGibbs(3).step(v.to(kind), target))
    assert all((end == ends[0]).all() for end in ends)
    assert set(ends[0].unique().tolist()) == {0.0, 1.0}


def test_walk_shows_the_states_on_the_way():
    target = machine(5, 4)
    v, _ = table(target)
    with noise.stream(5):
        seen = chains.walk(v, target, BlockGibbs(), 6, every=2)
    with noise.stream(5):
        last = chains.walk(v, target, BlockGibbs(), 6)
    assert seen.shape == (4, 32, 5)
    assert (seen[0] == v).all() and (seen[-1] == last).all() and (seen[1] != v).any()


def test_a_row_in_blocks_does_not_depend_on_how_many_are_drawn():
    """In float32, where a product of three rows rounds otherwise than one of a hundred."""
    g = torch.Generator().manual_seed(0)
    target = Bipartite(torch.randn(300, 200, generator=g), torch.zeros(300), torch.zeros(200))

    def ends(rows: slice) -> torch.Tensor:
        return chains.walk(noise.uniform(rows.stop - rows.start, 300).round(), target, BlockGibbs(), 30)

    drawn = []
    for n in (1, 3, 64, 150):
        with noise.stream(6):
            noise.uniform(1)  # the blocks go on with the calls of the stream they are in
            drawn.append(chains.in_blocks(n, ends))
            assert noise.current().call == 62
    assert [len(x) for x in drawn] == [1, 3, 64, 150]
    assert all((x[:3] == drawn[-1][: min(3, len(x))]).all() for x in drawn)
    assert (drawn[-1][:64] == drawn[2]).all() and (drawn[-1][64:128] != drawn[-1][:64]).any()


# ---- log Z --------------------------------------------------------------------------------------------------------------


def test_log_z_is_the_same_from_both_sides_and_by_force():
    for target in (machine(10, 8), machine(8, 10), machine(3, 12, 3.0)):
        v = chains.states(0, 1 << len(target.visible), len(target.visible), target.weight)
        h = chains.states(0, 1 << len(target.hidden), len(target.hidden), target.weight)
        force = torch.logsumexp(-target.energy(v), 0)
        assert abs(force - torch.logsumexp(-target.turned().energy(h), 0)) < 1e-10
        assert abs(force - chains.exact(target).value) < 1e-10
        assert abs(force - chains.exact(target.turned()).value) < 1e-10


def test_log_z_in_several_chunks():
    target = machine(400, 11, 0.1)  # 2^9 states a chunk
    h = chains.states(0, 1 << 11, 11, target.weight)
    assert abs(chains.exact(target).value - torch.logsumexp(-target.turned().energy(h), 0)) < 1e-10


def test_probabilities_sum_to_one():
    _, p = table(machine(9, 4, 2.0))
    assert abs(float(p.sum()) - 1) < 1e-12


def test_gradient_of_log_z_is_the_mean_over_p():
    target = machine(5, 4)
    v, p = table(target)
    weight = target.weight.clone().requires_grad_()
    chains.enumerated(Bipartite(weight, target.visible, target.hidden)).backward()
    mean = (p[:, None] * v).T @ target.hidden_field(v).sigmoid()
    torch.testing.assert_close(weight.grad, mean, rtol=0, atol=1e-12)


def test_too_many_states_are_refused_until_allowed():
    target = Bipartite(torch.zeros(30, 8), torch.zeros(30), torch.zeros(8))
    with pytest.raises(Usage, match=r"2\^8 states; at most 7"):
        chains.exact(target, most=7)
    assert abs(chains.exact(target, most=8).value - 38 * math.log(2)) < 1e-4
    with pytest.raises(Usage, match="at most 20"):
        chains.exact(Bipartite(torch.zeros(21, 21), torch.zeros(21), torch.zeros(21)))


# ---- annealed importance sampling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [None, torch.zeros(10)], ids=["own biases", "coins"])
def test_ais_is_within_a_hundredth_of_a_nat(base):
    target = machine(10, 8, 0.5)
    true = chains.exact(target).value
    with noise.stream(0, dtype=torch.float64):
        found = chains.ais(BaseRates(target, base), chains=200, steps=1000)
    assert found.kind == "ais" and found.effective > 190
    assert abs(found.value - true) < 0.01
    assert found.low <= true <= found.high and found.high - found.low < 0.1
    assert 0 < found.stderr < 0.01


def test_standard_error_is_the_spread_of_repeated_runs():
    target = machine(8, 6, 0.7)
    true = chains.exact(target).value
    runs = []
    for seed in range(60):
        with noise.stream(seed, dtype=torch.float64), torch.no_grad():
            path = BaseRates(target)
            _, log_w = chains.anneal(path, path.start(50), chains.ladder(20))
            runs.append((path.log_start, *chains.mean_weight(log_w)))
    start, value, stderr, effective = torch.tensor(runs, dtype=torch.float64).T
    assert 0.7 < value.std() / stderr.mean() < 1.4
    assert (((start + value - true) / stderr).abs() < 3).double().mean() > 0.9
    assert (effective > 1).all() and (effective < 50).all()


def test_way_up_falls_short_and_way_down_exceeds():
    """E[log w] <= log Z / Z_0 <= -E[log w down], and both weights have the right mean (Jensen; few steps, so the gap shows)."""
    target, n = machine(8, 6), 20_000
    v, p = table(target)
    true = chains.exact(target).value
    betas = chains.ladder(8)
    with noise.stream(0, dtype=torch.float64), torch.no_grad():
        path = BaseRates(target, torch.linspace(-1, 1, 8))
        _, up = chains.anneal(path, path.start(n), betas)
        _, down = chains.anneal(path, v[draw(p, n)], betas[::-1])
    for log_w, sign in ((up, 1), (down, -1)):
        log_w = log_w + sign * (path.log_start - true)  # log of a weight of mean 1
        assert abs(log_w.exp().mean() - 1) < 4 * log_w.exp().std() / math.sqrt(n)
        assert log_w.mean() + 4 * log_w.std() / math.sqrt(n) < 0


def test_samples_of_the_target_close_the_bracket():
    target = machine(8, 6, 2.0)
    v, p = table(target)
    true = chains.exact(target).value
    with noise.stream(7, dtype=torch.float64):
        found = chains.ais(BaseRates(target), 200, 200, samples=v[draw(p, 200)])
    assert found.low <= true <= found.high
    assert found.low <= found.value <= found.high
    with noise.stream(7, dtype=torch.float64):
        rough = chains.ais(BaseRates(target), 20_000, 8, samples=v[draw(p, 20_000)])
    assert 0 < rough.high - true < 0.2 and 0 < true - rough.low < 0.2


def test_mean_of_equal_weights():
    value, stderr, effective = chains.mean_weight(torch.full((5,), 1234.5, dtype=torch.float64))
    assert (round(value, 9), stderr, effective) == (1234.5, 0.0, 5.0)
    assert chains.mean_weight(torch.zeros(1, dtype=torch.float64)) == (0.0, math.inf, 1.0)


def test_path_begins_at_the_base_rates_and_ends_at_the_machine():
    target = machine(5, 4)
    base = machine(5, 4, seed=9).visible
    path = BaseRates(target, base)
    v, _ = table(target)
    gain = sum(path.advance(v, a, b)[0] for a, b in chains.pairs([0.0, 0.3, 0.9, 1.0]))
    torch.testing.assert_close(path.log_start + (v @ base).log_softmax(0) + gain, -target.energy(v), rtol=0, atol=1e-10)
    for beta in (0.0, 0.4, 1.0):
        at = target.tempered(beta, base)
        torch.testing.assert_close(
            -at.energy(v), (v @ base) + 4 * math.log(2) + path.advance(v, 0.0, beta)[0], rtol=0, atol=1e-12
        )


def test_each_step_of_the_path_keeps_its_own_density():
    target, n, beta = machine(5, 4, 2.0), 40_000, 0.6
    base = torch.linspace(-1, 1, 5, dtype=torch.float64)
    v, p = table(target.tempered(beta, base))
    with noise.stream(8, dtype=torch.float64):
        x = v[draw(p, n)]
        for _ in range(10):
            _, x = BaseRates(target, base).advance(x, beta, beta)
    assert total_variation(frequencies(x), p) < 4 * floor(p, n)


def test_ladder_climbs_from_nought_to_one():
    for steps in (1, 2, 7, 1000):
        betas = chains.ladder(steps)
        assert len(betas) == steps + 1 and betas[0] == 0 and betas[-1] == 1
        assert all(a < b for a, b in chains.pairs(betas))


def test_resampling_keeps_rows_in_proportion():
    with noise.stream(0):
        kept = chains.resample(torch.arange(4.0)[:, None], torch.tensor([0.5, 0.25, 0.25, 0.0]).log().double())
    assert kept[:, 0].tolist() in ([0, 0, 1, 2], [0, 1, 1, 2], [0, 0, 2, 2])
    with noise.stream(0):
        kept = chains.resample(torch.arange(1000.0)[:, None], torch.zeros(1000, dtype=torch.float64))
    assert kept[:, 0].unique().numel() >= 999
