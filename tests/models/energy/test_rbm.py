"""What is true of the restricted Boltzmann machine alone: its energy, its two gradients, its chains, its log Z."""

import numpy as np
import pytest
import torch
from sklearn.neural_network import BernoulliRBM

from pushforward import noise
from pushforward.errors import Unable, Usage
from pushforward.maths import chains
from pushforward.models.energy import RBM
from pushforward.models.energy.rbm import Gap
from pushforward.space import Space


def built(visible: int = 5, hidden: int = 4, scale: float = 1.0, given: int | None = None, **fields) -> RBM:
    """A machine with random weights in float64, not trained."""
    model = RBM(hidden=hidden, **fields)
    model.make(Space("binary", (visible,)), None, None, 0, torch.float64)
    with noise.stream(1, dtype=torch.float64), torch.no_grad():
        for weights in model.parameters():
            weights.copy_(scale * noise.normal(*weights.shape))
        model.base.copy_(noise.normal(visible))
    return model


def everything(units: int) -> torch.Tensor:
    return chains.states(0, 1 << units, units, torch.zeros(1, dtype=torch.float64))


def frequencies(x: torch.Tensor) -> torch.Tensor:
    codes = (x.long() << torch.arange(x.shape[1])).sum(1)
    return torch.bincount(codes, minlength=1 << x.shape[1]).double() / len(x)


def far(p: torch.Tensor, q: torch.Tensor, n: int) -> float:
    """Total variation in units of what n exact draws have on average."""
    return float((p - q).abs().sum() / (2 * p * (1 - p) / (np.pi * n)).sqrt().sum())


def transitions(model: RBM) -> torch.Tensor:
    """The enumerated kernel T[v, v'] = sum_h P(h | v) P(v' | h)."""
    machine, v, h = model.machine(), everything(len(model.visible_bias)), everything(model.hidden)
    up = torch.nn.functional.logsigmoid(machine.hidden_field(v)[:, None] * (2 * h - 1)).sum(-1).exp()
    down = torch.nn.functional.logsigmoid(machine.visible_field(h)[:, None] * (2 * v - 1)).sum(-1).exp()
    return (up @ down).detach()


def slope(model: RBM, data: torch.Tensor, chain: torch.Tensor) -> list[torch.Tensor]:
    """Gradient of sum_v (data(v) - chain(v)) F(v) over all states, by autograd."""
    total = ((data - chain) * model.machine().energy(everything(len(model.visible_bias)))).sum()
    return list(torch.autograd.grad(total, [model.weight, model.visible_bias, model.hidden_bias]))


def learned(model: RBM, x: torch.Tensor, seed: int = 0) -> list[torch.Tensor]:
    """Gradient of the training loss on x."""
    with noise.stream(seed, dtype=torch.float64):
        return list(torch.autograd.grad(model.loss(x), [model.weight, model.visible_bias, model.hidden_bias]))


def gap(one: list[torch.Tensor], two: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, two, strict=True))


# ---- energy and gradient ------------------------------------------------------------------------------------------------


def test_free_energy_is_that_of_scikit_learn():
    model, v = built(6, 4), everything(6)
    other = BernoulliRBM(4)
    machine = model.machine()
    other.components_ = machine.weight.detach().numpy().T
    other.intercept_visible_, other.intercept_hidden_ = (
        machine.visible.detach().numpy(),
        machine.hidden.detach().numpy(),
    )
    assert np.abs(model.energy(v.numpy()) - other._free_energy(v.numpy())).max() < 1e-12
    assert np.abs(model.encode(v.numpy()) - other.transform(v.numpy())).max() < 1e-12


def test_gradient_by_hand_is_that_of_autograd():
    model, v = built(7, 5), everything(7)
    machine = model.machine()
    for data, chain in ((v[:40], v[60:100]), (v[:50], v[90:97])):
        plain = machine.energy(data).mean() - machine.energy(chain).mean()
        loss, chances = Gap.apply(data, chain, model.base.sigmoid(), *model.parameters())
        assert abs((loss - plain).item()) < 1e-12 and not chances.requires_grad
        assert torch.allclose(chances, machine.hidden_field(torch.cat([data, chain])).sigmoid(), rtol=0, atol=1e-12)
        by_hand = torch.autograd.grad(3 * loss, list(model.parameters()))
        by_autograd = torch.autograd.grad(3 * plain, list(model.parameters()), retain_graph=True)
        assert gap(list(by_hand), list(by_autograd)) < 1e-12


@pytest.mark.parametrize("sweeps", [1, 2])
def test_contrastive_divergence_is_the_kernel_to_the_k(sweeps):
    """E[gradient of CD-k] = sum_v (q - q T^k)(v) dF(v); the bounds separate k from its neighbours."""
    model = built(objective="cd", sweeps=sweeps, scale=3.0)
    x = everything(5)[[0, 3, 3, 30]].repeat(15_000, 1)
    q, t = frequencies(x), transitions(model)
    found = learned(model, x)
    for k in (sweeps - 1, sweeps, sweeps + 1):
        away = gap(found, slope(model, q, q @ torch.linalg.matrix_power(t, k)))
        assert away < 0.012 if k == sweeps else away > 0.035, k


def test_persistent_chains_at_p_stay_there_and_give_the_likelihoods_gradient():
    n = 40_000
    model = built(chains=n, renew=0.0, scale=1.5)
    machine, h = model.machine(), everything(4)
    p_h = (-machine.turned().energy(h)).softmax(0).detach()
    p_v = (-machine.energy(everything(5))).softmax(0).detach()
    x = everything(5)[[0, 3, 3, 30]].repeat(n // 4, 1)
    with noise.stream(9):
        model.resting.copy_(h[torch.searchsorted(p_h.cumsum(0), noise.uniform(n).double())] - 0.5)
    before = model.resting.clone()
    for seed in range(5):
        found = learned(model, x, seed)
    assert far(p_h, frequencies(model.resting + 0.5), n) < 4 and (model.resting != before).any()
    assert gap(found, slope(model, frequencies(x), p_v)) < 0.012


def test_renewed_chains_start_at_the_examples():
    model = built(chains=20_000, renew=1.0)
    x = everything(5)[[7]].repeat(20_000, 1)
    learned(model, x)
    p = (
        torch.nn.functional.logsigmoid(model.machine().hidden_field(x[:1]) * (2 * everything(4) - 1))
        .sum(1)
        .exp()
        .detach()
    )
    assert far(p, frequencies(model.resting + 0.5), 20_000) < 4
    model.renew = 0.0
    model.resting.fill_(-0.5)
    learned(model, x)
    assert far(p, frequencies(model.resting + 0.5), 20_000) > 10


def test_a_step_moves_the_chains_of_its_rows_alone():
    model = built(chains=12, renew=0.0, scale=0.1)
    for start, moved in ((0, range(0, 4)), (4, range(4, 8)), (22, range(10, 12))):
        model.resting.fill_(9.0)
        with noise.stream(0, start=start, dtype=torch.float64):
            model.loss(everything(5)[:4])
        assert (model.resting != 9.0).all(1).nonzero()[:, 0].tolist() == list(moved)


def test_chains_are_kept_with_the_training_and_not_with_the_weights():
    model = built()
    assert "resting" not in model.state_dict() and "resting" in dict(model.named_buffers())
    assert "base" in model.state_dict()


# ---- what it says -------------------------------------------------------------------------------------------------------


def test_probabilities_sum_to_one_and_follow_the_weights():
    model, v = built(6, 30, scale=0.5), everything(6).numpy()
    assert abs(np.exp(model.log_prob(v)).sum() - 1) < 1e-10
    with torch.no_grad():
        model.weight.mul_(2)  # log Z of the old weights must not be used
    assert abs(np.exp(model.log_prob(v)).sum() - 1) < 1e-10


def test_each_condition_has_a_log_z_of_its_own():
    model = built(4, 3)
    x = np.array([[0, 0, 1, 1], [1, 1, 0, 0]] * 50, dtype=bool)
    model = RBM(hidden=6).fit(x, given=["low", "high"] * 50, steps=300, lr=0.2, precision="float64", quiet=True)
    v = everything(4).numpy().astype(bool)
    low, high = (np.exp(model.log_prob(v, given=g)) for g in ("low", "high"))
    assert abs(low.sum() - 1) < 1e-10 and abs(high.sum() - 1) < 1e-10
    assert low[12] > 0.7 and high[3] > 0.7 and low[3] < 0.1 and high[12] < 0.1
    both = np.exp(model.log_prob(v[[12, 12]], given=["low", "high"]))
    assert np.allclose(both, [low[12], high[12]])
    assert (model.sample(50, given="low", seed=0) == x[0]).mean() > 0.9


def test_evidence_is_annealed_within_its_bracket():
    model, v = built(8, 7, scale=0.5), everything(8).numpy()[::4]
    true = model.log_prob(v)
    found = model.evidence(v, chains=200, steps=500)
    away = found - true
    assert np.abs(away - away[0]).max() < 1e-10 and abs(away[0]) < 0.02
    told = model.evidence_
    assert (told["low"].numpy() <= true).all() and (true <= told["high"].numpy()).all()
    assert (told["high"] - told["low"]).max() < 0.2
    assert told["stderr"].shape == (64,) and 0 < told["stderr"][0] < 0.02
    assert np.array_equal(found, model.evidence(v, chains=200, steps=500))
    assert not np.array_equal(found, model.evidence(v, chains=200, steps=500, seed=1))


def test_a_large_machine_says_why_it_has_no_log_prob():
    model = built(30, 25)
    with pytest.raises(Unable, match=r"2\^25 states.* evidence\(x\)"):
        model.log_prob(np.zeros((1, 30), dtype=bool))
    assert not hasattr(model, "log_prob") and "log_prob" not in model.abilities
    assert not model.judges() and built(30, 3).judges()
    assert np.isfinite(model.evidence(np.zeros((2, 30), dtype=bool), chains=10, steps=10)).all()


def test_a_large_machine_is_trained_with_a_validation_set():
    x = np.random.default_rng(0).random((300, 30)) > 0.5
    model = RBM(hidden=25).fit(x, steps=20, valid=0.1, quiet=True)
    assert model.outcome_["step"] == 20


def test_samples_follow_the_exact_probabilities():
    model, n = built(5, 4, scale=1.5, burn=40), 8_000
    p = (-model.machine().energy(everything(5))).softmax(0).detach()
    assert far(p, frequencies(torch.as_tensor(model.sample(n, seed=0))), n) < 4


def test_completion_follows_the_exact_conditional():
    model, n = built(5, 4, scale=1.5, burn=40), 8_000
    p, v = (-model.machine().energy(everything(5))).softmax(0).detach(), everything(5)
    agrees = (v[:, 1] == 1) & (v[:, 4] == 0)
    p = torch.where(agrees, p, 0) / p[agrees].sum()
    gaps = np.full((n, 5), np.nan)
    gaps[:, 1], gaps[:, 4] = 1, 0
    whole = torch.as_tensor(model.complete(gaps, seed=0))
    assert (whole[:, 1] == 1).all() and (whole[:, 4] == 0).all()
    assert far(p[agrees], frequencies(whole)[agrees], n) < 4


def test_a_row_of_a_large_machine_does_not_depend_on_how_many_are_drawn():
    model = RBM(hidden=300, burn=30)
    model.make(Space("binary", (1, 20, 20)), None, None)
    with torch.no_grad():
        model.weight.mul_(100)
    many = model.sample(130, seed=3)
    assert many.shape == (130, 1, 20, 20)
    assert all(np.array_equal(many[:n], model.sample(n, seed=3)) for n in (1, 3, 70))


def test_codes_are_the_conditionals_of_the_joint():
    model, v, h = built(5, 4), everything(5), everything(4)
    machine = model.machine()
    joint = torch.stack([machine.joint(v, one.expand(32, -1)) for one in h], 1).detach()  # (2^D, 2^H)
    assert np.allclose(model.encode(v.numpy()), (-joint).softmax(1) @ h, atol=1e-12)
    likeliest = ((-joint).softmax(0).T @ v > 0.5).numpy()
    assert np.array_equal(model.decode(h.numpy()).astype(bool), likeliest)


# ---- training -----------------------------------------------------------------------------------------------------------


def test_it_starts_at_the_rates_of_the_data():
    x = np.array([[1, 0, 0], [1, 0, 1], [1, 0, 1], [1, 0, 0]], dtype=bool)
    model = RBM(hidden=2).fit(x, steps=1, lr=0.0, quiet=True)
    rates = torch.tensor([4.5, 0.5, 2.5]) / 5
    assert torch.allclose(model.machine().visible.sigmoid(), rates) and torch.allclose(model.base.sigmoid(), rates)
    assert abs(model.weight.std() - 0.01) < 0.01


@pytest.mark.parametrize("objective", ["cd", "pcd"])
def test_it_learns_what_independent_bits_cannot(objective):
    rng = np.random.default_rng(0)
    half = rng.random((1000, 3)) > 0.5
    x = np.concatenate([half, half ^ (rng.random((1000, 3)) > 0.95)], 1)  # 3.60 nats of entropy; independent bits: 4.16
    model = RBM(hidden=12, objective=objective).fit(x, steps=800, lr=0.1, quiet=True)
    entropy = 3 * np.log(2) - 3 * (0.95 * np.log(0.95) + 0.05 * np.log(0.05))
    assert -model.score(x) < entropy + 0.12 < 6 * np.log(2) - 0.9


def test_wrong_fields_are_told():
    x = np.zeros((4, 3), dtype=bool)
    with pytest.raises(Usage, match="objective='pdc' is not one of cd, pcd.*Did you mean"):
        RBM(objective="pdc").fit(x, quiet=True)
    with pytest.raises(Usage, match="sweeps=0"):
        RBM(sweeps=0).fit(x, quiet=True)
