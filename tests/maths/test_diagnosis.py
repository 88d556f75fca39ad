"""What one look at a game shows, and what a run of looks says."""

import math

import numpy as np
import pytest
import torch

from pushforward.data import toys
from pushforward.maths.diagnosis import LEAST, REMEDIES, Diagnosis, compare, diagnose, due, memory, numbers, rivalry

STEPS = range(0, 3000, 20)


def looks(n: int, **changes) -> dict[str, float]:
    """The mean of many looks at ring samples."""
    found = []
    for seed in range(n):
        real = torch.from_numpy(toys.eight_gaussians(256, seed=2 * seed))
        fake = torch.from_numpy(toys.eight_gaussians(2560, seed=2 * seed + 1))
        for change in changes.values():
            fake = change(fake)
        found.append({name: float(value) for name, value in compare(real, fake[:256]).items()})
    return {name: float(np.mean([look[name] for look in found])) for name in found[0]}


def test_equal_laws_look_equal():
    found = looks(20)
    assert found["cover"] == pytest.approx(1.0, abs=0.005)
    assert found["near"] > 0.99
    assert found["spread"] == pytest.approx(1.0, abs=0.01)
    assert abs(found["distance"]) < 0.002  # without bias
    assert abs(found["place"]) < 4 / math.sqrt(256 * 20)


@pytest.mark.parametrize("modes", [1, 2, 4])
def test_the_part_of_the_data_that_is_reached_is_counted(modes):
    def part(fake):
        return fake[(torch.atan2(fake[:, 1], fake[:, 0]) + math.pi / 8).remainder(2 * math.pi) < modes * math.pi / 4]

    found = looks(10, keep=part)
    assert found["near"] > 0.9
    assert found["cover"] == pytest.approx(modes / 8, abs=0.03)


def test_fakes_that_are_all_one_have_no_spread():
    found = looks(3, one=lambda fake: fake[:1].expand(256, 2))
    assert found["spread"] < 0.01 and found["cover"] < 0.1


def test_the_energy_distance_has_its_known_value():
    """N(0, 1) and N(m, 1): E|x - y| is that of a folded normal, sd sqrt 2."""
    g = torch.Generator().manual_seed(0)
    found = [
        compare(torch.randn(256, 1, generator=g), 2 + torch.randn(256, 1, generator=g))["distance"].item()
        for _ in range(50)
    ]
    same = 2 / math.sqrt(math.pi)
    apart = 2 * math.exp(-1) / math.sqrt(math.pi) + 2 * math.erf(1)
    assert np.mean(found) == pytest.approx((2 * apart - 2 * same) / same, abs=0.03)


def test_auc_gap_and_pull():

    told, fooled = torch.tensor([1.0, 3.0]).repeat(32), torch.tensor([0.0, 3.0]).repeat(32)
    found = numbers(rivalry(told, fooled, torch.full((64, 2), 0.5 / 64)))
    assert found["auc"] == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert found["gap"] == pytest.approx(0.5)
    assert found["pull"] == pytest.approx(math.sqrt(0.5))
    assert compare(torch.randn(6, 2), torch.randn(6, 2)) == numbers({}) == {}  # too few to compare


def test_what_is_known_by_heart():
    """Karras et al. 2020: 0 where held-out examples look like those seen, 1 where they look like fakes."""
    g = torch.Generator().manual_seed(0)
    seen, fake = 3 + torch.randn(400, generator=g), torch.randn(400, generator=g)
    assert memory(seen, 3 + torch.randn(400, generator=g), fake)["memory"].item() == pytest.approx(0, abs=0.1)
    found = numbers(memory(seen, torch.randn(400, generator=g), fake))
    assert found["memory"] == pytest.approx(1, abs=0.1) and found["sure"] > 10


def run(**series) -> list[dict[str, float]]:
    """Looks of a run; a number stands for all steps, a function is one of the share of the run."""
    healthy = {"gap": 0.3, "auc": 0.6, "near": 0.93, "cover": 0.97, "spread": 1.0, "place": 0.0, "pull": 0.4}
    healthy["distance"] = lambda t: 0.004 + math.exp(-20 * t)
    rng = np.random.default_rng(0)
    return [
        {
            "step": step,
            **{
                name: (value(step / STEPS[-1]) if callable(value) else value) + 0.002 * rng.normal()
                for name, value in (healthy | series).items()
            },
        }
        for step in STEPS
    ]


def test_a_healthy_run_is_said_to_have_converged_and_when():
    found = diagnose(run())
    assert found.verdict == "converged" and found.healthy
    assert 0.1 < found.step / STEPS[-1] < 0.5  # exp(-20 t) sinks into its tolerance of 0.02 at t = 0.2
    assert "converged at step" in str(found) and "distance" in str(found)


def test_a_run_that_still_comes_nearer_is_learning():
    found = diagnose(run(distance=lambda t: 1 - 0.9 * t))
    assert found.verdict == "learning" and found.healthy and "more steps" in found.remedy


@pytest.mark.parametrize(
    ("verdict", "series"),
    [
        ("collapsed", {"cover": 0.14, "spread": 0.05}),
        ("collapsed", {"cover": 0.8}),  # a fifth of the data is missed, the spread is that of the data
        ("collapsed", {"near": 0.0, "cover": 0.0, "spread": 0.0}),
        ("critic won", {"auc": 1.0, "near": 0.0, "cover": 0.0}),
        ("gradient vanished", {"auc": 1.0, "near": 0.0, "cover": 0.0, "pull": lambda t: math.exp(-30 * t)}),
        ("adrift", {"auc": 0.1, "near": 0.0, "cover": 0.0, "distance": 5.0}),
        ("blurred", {"near": 0.2, "cover": 0.3}),
        ("oscillating", {"place": lambda t: math.sin(40 * t), "near": 0.7, "cover": 0.7}),
        ("oscillating", {"spread": lambda t: math.exp(math.sin(40 * t)), "near": 0.7, "cover": 0.7}),
    ],
)
def test_a_failing_run_is_named(verdict, series):
    found = diagnose(run(**series))
    assert found.verdict == verdict and not found.healthy
    assert found.remedy == REMEDIES[verdict] and found.numbers


def test_the_period_of_an_oscillation_is_told():
    found = diagnose(run(place=lambda t: math.sin(2 * math.pi * 12 * t), near=0.7, cover=0.7))
    assert found.numbers["period"] == pytest.approx(STEPS[-1] / 12, rel=0.15)
    assert found.numbers["swing of the place"] == pytest.approx(math.sqrt(0.5), rel=0.05)


@pytest.mark.parametrize(
    "series",
    [
        {"place": lambda t: math.exp(-8 * t) * math.sin(60 * t)},
        {"place": lambda t: 2 - 2 * t},
        {"spread": lambda t: 0.2 + 0.8 * t},
    ],
)
def test_a_swing_that_dies_away_and_a_drift_are_no_oscillation(series):
    assert diagnose(run(**series)).verdict in ("converged", "learning")


def test_a_critic_that_knows_its_examples_by_heart():
    known = [{"step": s, "memory": min(1.0, s / 1500), "sure": 8.0} for s in STEPS[::8]]
    found = diagnose(run() + known)
    assert found.verdict == "critic overfits" and 750 <= found.step < 950
    assert diagnose(run() + [look | {"sure": 1.0} for look in known]).verdict == "converged"  # it may be chance


def test_the_graver_finding_comes_first_and_the_others_are_told():
    found = diagnose(run(cover=0.2, place=lambda t: math.sin(40 * t)))
    assert found.verdict == "collapsed" and [other.verdict for other in found.others] == ["oscillating"]
    assert str(found).endswith("Also: oscillating.")


def test_a_short_run_gets_no_verdict():
    found = diagnose(run()[: LEAST - 1])
    assert found.verdict == "too short" and not found.healthy
    assert isinstance(found, Diagnosis)


def test_looks_are_seldom():
    assert sum(due(step) for step in range(1000)) == 50 and sum(due(step) for step in range(1000, 11000)) == 100


def test_the_weights_that_are_used_in_the_end_decide():
    """Averaged weights may cover what the last ones do not, and rest where they swing."""
    last = {"near": 0.97, "cover": 0.96, "spread": 1.0, "distance": 0.003, "place": 0.0}
    assert diagnose(run(cover=0.3), last).verdict == "converged"
    assert diagnose(run(), last | {"cover": 0.3}).verdict == "collapsed"
    found = diagnose(run(place=lambda t: math.sin(40 * t)), last)
    assert found.verdict == "converged" and [other.verdict for other in found.others] == ["oscillating"]
    assert diagnose(run(place=lambda t: math.sin(40 * t)), last | {"near": 0.7, "cover": 0.7}).verdict == "oscillating"


def test_without_looks_nothing_is_known():
    assert diagnose([]).verdict == "unknown"


def test_examples_that_repeat_are_covered_by_what_rounds_to_them():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randint(2, (200, 4), generator=generator).double() * 2 - 1 for _ in range(2))
    near = y + 0.3 * torch.randn(200, 4, generator=generator, dtype=torch.float64).clamp(-1, 1)
    found = compare(x, near)
    assert found["cover"] > 0.95 and found["near"] > 0.9
    one = y[:1].repeat(200, 1)
    assert compare(x, one)["cover"] < 0.2
