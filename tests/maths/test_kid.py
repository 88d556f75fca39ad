"""The cubic kernel without its matrix: the U-statistic of the matrix, in blocks, to six digits from float32."""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.errors import BadData
from pushforward.maths import discrepancy
from pushforward.maths.discrepancy import cubic, gram, kernel_distances, p_value, shuffled, squared


def looks(n, d, seed, shift=0.0):
    """As features of a network are: not negative, far from 0, related."""
    rng = np.random.default_rng(seed)
    turn = np.random.default_rng(7).normal(size=(d, d)) / np.sqrt(d)
    return torch.from_numpy(np.maximum(rng.normal(0.3 + shift, 1, size=(n, d)) @ turn + 0.4, 0).astype(np.float32))


def by_matrix(x, y):
    return squared(gram(torch.cat([x, y]), "polynomial")[0], len(x))


@pytest.mark.parametrize("n, m, d", [(300, 300, 64), (200, 150, 512), (50, 80, 2)])
def test_it_is_the_matrix_to_six_digits(n, m, d):
    x, y = looks(n, d, 0), looks(m, d, 1, 0.1)
    value, error = by_matrix(x, y)
    assert cubic(x, y)[0] == pytest.approx(value, rel=1e-6) and cubic(x, y)[1] == pytest.approx(error, rel=1e-5)


def test_a_budget_bounds_every_block_and_changes_little(monkeypatch):
    x, y, sizes, cubed = looks(90, 30, 0), looks(70, 30, 1, 0.2), [], discrepancy.cubed
    whole = cubic(x, y)
    monkeypatch.setattr(discrepancy, "TILE", 400)

    def seen(*told, **more):
        sizes.append(cubed(*told, **more).numel())
        return cubed(*told, **more)

    monkeypatch.setattr(discrepancy, "cubed", seen)
    monkeypatch.setattr(discrepancy, "level", lambda x, y: 0.5)
    assert cubic(x, y) == pytest.approx(whole, rel=1e-5) and max(sizes) <= 400 and len(sizes) > 30


def test_subsets_of_everything_are_the_whole_and_their_mean_is_kid():
    x, y = looks(60, 20, 0), looks(60, 20, 1, 0.3)
    assert kernel_distances(x, y, 2, 60).tolist() == pytest.approx([by_matrix(x, y)[0]] * 2, rel=1e-5)
    values = kernel_distances(x, y, 400, 30, seed=1)
    assert abs(float(values.mean()) - by_matrix(x, y)[0]) < 4 * float(values.std()) / 20
    assert torch.equal(values, kernel_distances(x, y, 400, 30, seed=1)) and float(values.std()) > 0


def test_p_values_of_equal_laws_are_uniform():
    """100 seeds, 99 shuffles; Kolmogorov and Smirnov at 0.002."""
    found = []
    for s in range(100):
        k, _ = gram(torch.cat([looks(25, 5, 2 * s), looks(20, 5, 2 * s + 1)]), "polynomial")
        found.append(p_value(squared(k, 25)[0], shuffled(k, 25, 99, s)))
    assert stats.kstest(found, "uniform").pvalue > 0.002


def test_too_few_are_refused():
    with pytest.raises(BadData, match="at least 2"):
        cubic(looks(1, 3, 0), looks(5, 3, 1))
    with pytest.raises(BadData, match="can be drawn"):
        kernel_distances(looks(9, 3, 0), looks(5, 3, 1), 3, 6)
