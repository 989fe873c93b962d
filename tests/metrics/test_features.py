"""What is done to frozen features."""

from __future__ import annotations

import pytest
import torch

from harness.metrics.features import drawn_rows, normalised, standardised


def test_standardised_uses_the_training_statistics_and_drops_flat_features() -> None:
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(200, 4, generator=generator) * torch.tensor([1e-7, 1.0, 1e4, 1.0]) + 3
    train[:, 3] = 0.1  # rounding alone makes it vary
    other = train[:10] + 1
    fitted, moved = standardised(train, other)
    assert fitted.shape == (200, 2)  # the first varies by rounding of 3 only
    torch.testing.assert_close(fitted.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(fitted.std(0, correction=0), torch.ones(2))
    torch.testing.assert_close(moved[:, 0], fitted[:10, 0] + 1 / train[:, 1].std(correction=0))


def test_standardised_keeps_a_small_feature_that_varies() -> None:
    train = torch.tensor([[1e-9, 5e6], [-1e-9, 1e6]])
    torch.testing.assert_close(standardised(train)[0], torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))


def test_standardised_without_any_that_varies_is_a_column_of_zeros() -> None:
    assert standardised(torch.ones(3, 5), torch.zeros(2, 5))[1].tolist() == [[0.0], [0.0]]


def test_normalised_rows_have_length_one_or_zero() -> None:
    lengths = normalised(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).norm(dim=1)
    assert lengths.tolist() == pytest.approx([1.0, 0.0])


def test_drawn_rows_keep_the_share_of_every_class() -> None:
    labels = torch.tensor([0] * 80 + [1] * 20)
    rows = drawn_rows(100, 10, torch.Generator().manual_seed(0), labels)
    assert torch.bincount(labels[rows]).tolist() == [8, 2]
    assert torch.equal(rows, rows.sort().values)
    assert torch.equal(rows, drawn_rows(100, 10, torch.Generator().manual_seed(0), labels))
    assert drawn_rows(5, 10, torch.Generator()).tolist() == [0, 1, 2, 3, 4]
