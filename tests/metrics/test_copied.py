"""How far samples are copies, of all training rows there are."""

import numpy as np
import pytest
from scipy import stats

from pushforward.metrics import closest, copied


@pytest.mark.parametrize(("n", "h"), [(900, 100), (4000, 200), (150, 150)])
def test_a_copier_is_seen_however_few_rows_are_held_out(n, h):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n + h, 3))
    fake = x[rng.integers(n, size=300)]
    found = copied(x[:n], x[n:], fake)
    assert found.value > 0.999 and found.p_value < 1e-3 and found.value > closest(x[:n], x[n:], fake).value - 1e-9


def test_of_fresh_rows_it_is_0_and_its_error_is_right():
    """z of 200 draws: mean 0 within 4 errors, and normal by Kolmogorov's test (one seed in a thousand fails)."""
    z = []
    for seed in range(200):
        x = np.random.default_rng(seed).normal(size=(500, 2))
        found = copied(x[:300], x[300:360], x[360:])
        z.append(found.value / found.stderr)
    assert abs(np.mean(z)) < 4 * np.std(z) / 200**0.5 and 0.8 < np.std(z) < 1.2
    assert stats.kstest(z, "norm").pvalue > 1e-3


@pytest.mark.parametrize("columns", [6, 10])
def test_ties_do_not_lean_to_the_larger_side(columns):
    """Rows of bits: of 64 or 1,024 different ones most stand on both sides, or several times on one. z as above."""
    z = []
    for seed in range(100):
        x = np.random.default_rng(seed).integers(0, 2, size=(700, columns)).astype(bool)
        found = copied(x[:400], x[400:450], x[450:])
        z.append(found.value / found.stderr)
    assert abs(np.mean(z)) < 4 * np.std(z) / 100**0.5 and 0.7 < np.std(z) < 1.3


def test_half_copies_are_half():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3000, 4))
    fake = np.concatenate([x[:300], rng.normal(size=(300, 4))])
    found = copied(x[:2500], x[2500:], fake)
    assert abs(found.value - 0.5) < 4 * found.stderr
