"""What codes hold: closed forms of Gaussian posteriors, and scores that are 1 for perfect codes and at their floor for none."""

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.errors import BadData, Unable, Usage
from pushforward.metrics.latents import dci, disentanglement, factor_vae, latents, mig, of_posteriors, purity, sap


def grid(times=1):
    """Every combination of three factors of 4, 3 and 5 values."""
    found = np.stack(np.meshgrid(np.arange(4), np.arange(3), np.arange(5), indexing="ij"), -1).reshape(-1, 3)
    return np.tile(found, (times, 1))


# ---- how much ------------------------------------------------------------------------------------------------------------


def test_kl_and_active_units_by_hand():
    mu = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    found = of_posteriors(mu, torch.tensor([[-2.0, 0.0]]).expand(4, 2))
    first = 0.5 * (1 + np.exp(-2) - 1 + 2)
    assert found.units[0].value == pytest.approx(first) and found.units[1].value == 0
    assert found.kl.value == pytest.approx(first) and found.kl.stderr == pytest.approx(0, abs=1e-9)
    assert found.active.value == 1 and "of 2 units: 0" in str(found.active)


@pytest.mark.parametrize("a, s", [(1.0, 0.5), (2.0, 1.0), (0.3, 1.0)])
def test_information_of_a_linear_code_is_between_its_ends(a, s):
    """x ~ N(0, 1), q(z | x) = N(a x, s^2): I = 1/2 log(1 + a^2 / s^2), within 4 errors and the two estimates."""
    x = np.random.default_rng(0).normal(size=(3000, 1))
    found = of_posteriors(a * x, np.full_like(x, 2 * np.log(s)), seed=1)
    truth = 0.5 * np.log(1 + a**2 / s**2)
    assert found.information.value == pytest.approx(truth, abs=4 * found.information.stderr + 5 / 3000)
    high = float(str(found.information).split("about ")[1].split(" nats")[0])
    assert found.information.value < high < found.information.value + 0.01
    total = 0.5 * (a**2 * np.mean(x**2) + s**2 - 1 - 2 * np.log(s))
    assert found.kl.value == pytest.approx(total) and found.marginal.value == pytest.approx(total - found.information.value)  # fmt: skip


def test_information_is_at_most_log_n():
    """Codes that never meet tell which of N examples it was: log N, and no more."""
    found = of_posteriors(1e3 * torch.arange(50.0)[:, None], torch.zeros(50, 1))
    assert found.information.value == pytest.approx(np.log(50), abs=1e-9)


def test_marginal_kl_is_nothing_where_codes_fill_the_prior():
    x = np.random.default_rng(0).normal(size=(3000, 1))
    found = of_posteriors(0.8 * x, np.full_like(x, np.log(1 - 0.64)))
    assert abs(found.marginal.value) < 4 * found.marginal.stderr + 0.01


def test_a_model_with_an_encoder_is_asked_and_others_say_why():
    x = pf.data.toys.moons(200)
    model = pf.VAE(latent=3, hidden=(16,)).fit(x, steps=30, quiet=True)
    found = latents(model, x)
    mu, log_var = model.posterior(*model.enter(torch.as_tensor(x), None)[:2])
    again = of_posteriors(mu, log_var)
    assert found.kl.value == pytest.approx(again.kl.value, rel=1e-5) and len(found.units) == 3
    assert set(found.to_json()) == {"kl", "units", "active", "information", "marginal"} and "KL of each unit" in str(found)  # fmt: skip
    with pytest.raises(Unable, match="Gaussian has no q\\(z \\| x\\)"):
        latents(pf.Gaussian().fit(x), x)
    with pytest.raises(BadData, match="3 of 4 posteriors are not finite|1 of 4 posteriors are not finite"):
        of_posteriors(torch.tensor([[np.nan], [0.0], [0.0], [0.0]]), torch.zeros(4, 1))
    with pytest.raises(BadData, match="are awaited"):
        of_posteriors(torch.zeros(4, 1), torch.zeros(4, 2))


# ---- one thing each ------------------------------------------------------------------------------------------------------


def test_perfect_codes_have_score_one():
    """Codes that are the factors in another order, scale and sign."""
    f = grid(8)
    codes = f[:, [2, 0, 1]] * [-3.0, 0.1, 1.0] + [5.0, 0.0, 1.0]
    found = disentanglement(codes, f)
    assert found["mig"].value == pytest.approx(1.0, abs=1e-9) and found["factor_vae"].value == 1.0
    assert found["informativeness"].value == 1.0
    for name in ("sap", "disentanglement", "completeness"):
        assert 0.9 < found[name].value <= 1.0 + 1e-9, name
    for name, score in found.items():
        assert score.floor < 0.5 and score.n == (480,), name


def test_codes_that_know_nothing_are_at_the_floor():
    f, rng = grid(15), np.random.default_rng(0)
    found = disentanglement(rng.normal(size=(len(f), 4)), f)
    assert found["mig"].value < 0.02 and found["sap"].value < 0.1 and found["informativeness"].value < 0.12
    assert found["disentanglement"].value < 0.1 and found["completeness"].value < 0.1
    assert abs(found["factor_vae"].excess) < 4 * 2**0.5 * found["factor_vae"].stderr


def test_codes_that_mix_lose_what_the_score_is_about():
    """A rotation keeps all information and mixes it: MIG, SAP and disentanglement fall, informativeness stays. A code twice: completeness falls."""
    f, rng = grid(15), np.random.default_rng(0)
    clean = f / f.std(0)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    mixed, twice = disentanglement(clean @ turn, f), disentanglement(np.concatenate([clean, clean], 1), f)
    assert mixed["mig"].value < 0.5 and mixed["sap"].value < 0.7 and mixed["disentanglement"].value < 0.8
    assert mixed["informativeness"].value > 0.7
    assert twice["mig"].value == pytest.approx(0, abs=1e-9) and twice["completeness"].value < 0.9
    assert twice["disentanglement"].value > 0.9


def test_purity_by_hand():
    """One code that tells two of ten factors alike: 1 - log 2 / log 10; codes weigh by their importance."""
    one = np.array([[0.5, 0.5] + [0.0] * 8])
    assert purity(one) == pytest.approx(1 - np.log(2) / np.log(10), abs=1e-12)
    both = np.array([[1.0, 0.0], [1.5, 1.5]])
    assert purity(both) == pytest.approx(1 / 4, abs=1e-12) and purity(np.zeros((2, 2))) == 0.0


def test_mig_by_hand():
    """A code that knows a factor of two values wholly, another that knows it for half the rows."""
    f = np.repeat([0, 1], 40)
    half = np.where(np.arange(80) % 2 == 0, f, 0)
    joint = np.array([[40, 0], [20, 20]]) / 80  # factor by half-code
    own = (joint * np.log(np.where(joint > 0, joint, 1) / np.outer(joint.sum(1), joint.sum(0)))).sum()
    found = mig(np.stack([f, half], 1).astype(float), f)
    assert found.value == pytest.approx((np.log(2) - own) / np.log(2), abs=1e-9) and found.stderr < 0.1


def test_one_code_alone_has_no_second():
    f = grid(4)[:, :1]
    assert mig(f + 0.0, f).value == pytest.approx(1.0) and sap(f + 0.0, f).value == pytest.approx(1.0)
    assert dci(f + 0.0, f)["completeness"].value == 1.0


def test_the_same_seed_the_same_scores():
    f = grid(3)
    codes = np.random.default_rng(0).normal(size=(len(f), 3)) + f
    before = np.random.get_state()[1].copy()
    assert all(a.value == b.value for a, b in zip(disentanglement(codes, f, 3).values(), disentanglement(codes, f, 3).values(), strict=True))  # fmt: skip
    assert (np.random.get_state()[1] == before).all()


def test_bad_codes_and_factors_are_said():
    f = grid()
    with pytest.raises(BadData, match="\\(N, L\\) and \\(N, F\\)"):
        mig(np.zeros((5, 2)), f)
    with pytest.raises(BadData, match="60 of 60 codes are NaN"):
        mig(np.full((60, 1), np.nan), f)
    with pytest.raises(BadData, match="Factor 0 has one value"):
        mig(f + 0.0, f * 0)
    with pytest.raises(BadData, match="a class needs rows"):
        mig(f + 0.0, np.arange(60))
    with pytest.raises(Usage, match="batch=1"):
        factor_vae(f + 0.0, f, batch=1)
    flat = np.zeros((60, 2))
    assert np.isfinite(factor_vae(flat, f).value) and mig(flat, f).value == 0
