"""Effective dimensions: of known spectra, in limit cases, and against the formula by singular values."""

from __future__ import annotations

import pytest
import torch

from harness.metrics.geometry import effective_dimension, rankme, spread


@pytest.mark.parametrize("shape", [(40, 7), (7, 40)])
def test_effective_dimension_is_the_participation_ratio_of_the_covariance(shape: tuple[int, int]) -> None:
    features = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = torch.linalg.svdvals(features - features.mean(0)).square()
    assert effective_dimension(features) == pytest.approx(float(values.sum() ** 2 / values.square().sum()))


def test_equal_rows_have_no_direction() -> None:
    assert effective_dimension(torch.ones(5, 3)) == 0
    assert spread(torch.ones(5, 3)) == 0
    assert rankme(torch.ones(5, 3)) == pytest.approx(1, abs=1e-4)
