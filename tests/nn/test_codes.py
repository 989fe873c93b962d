"""What lies between encoder and decoder: lines, active units, and the Gaussian that sampling draws from."""

from __future__ import annotations

import torch

from harness.nn.codes import CodeGaussian, active_units, decoded_line


def test_a_line_is_evenly_spaced_and_has_both_ends() -> None:
    start, end = torch.zeros(2, 3), torch.tensor([[1.0, 2.0, 4.0], [0.0, -4.0, 8.0]])
    path = decoded_line(lambda code: code[:, None, None, :], start, end, 5)  # (2,5,1,1,3)
    expected = torch.stack([end * part for part in (0.0, 0.25, 0.5, 0.75, 1.0)], dim=1)
    torch.testing.assert_close(path[:, :, 0, 0], expected)


def test_units_are_active_above_the_published_threshold() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(4_000, 4, generator=generator) * torch.tensor(
        [1.0, 0.2, 0.05, 0.0]
    )  # variances 1, .04, .0025, 0
    assert active_units(codes) == 2


def test_the_first_batches_give_the_moments_of_all_codes() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(10, 30, 4, generator=generator) @ torch.randn(4, 4, generator=generator) + 5
    gaussian = CodeGaussian(4, decay=0.99)
    for batch in codes:
        gaussian.update(batch)
    everything = codes.flatten(0, 1)
    torch.testing.assert_close(gaussian.mean, everything.mean(0))
    torch.testing.assert_close(gaussian.covariance, torch.cov(everything.T, correction=0), rtol=1e-4, atol=1e-4)


def test_moments_are_float32_under_autocast() -> None:
    codes = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    gaussian = CodeGaussian(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gaussian.update(codes.bfloat16())
    expected = torch.cov(codes.bfloat16().float().T, correction=0)
    torch.testing.assert_close(gaussian.covariance, expected, rtol=1e-4, atol=1e-5)


def test_later_batches_replace_earlier_ones() -> None:
    gaussian = CodeGaussian(2, decay=0.9)
    for _ in range(20):
        gaussian.update(torch.full((8, 2), 100.0))
    for _ in range(200):
        gaussian.update(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    torch.testing.assert_close(gaussian.mean, torch.tensor([2.0, 0.0]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gaussian.covariance, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), rtol=1e-3, atol=1e-3)


def test_draws_have_the_moments() -> None:
    gaussian = CodeGaussian(3)
    root = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])  # the last unit never varies
    generator = torch.Generator().manual_seed(0)
    gaussian.update(torch.randn(5_000, 3, generator=generator) @ root.T + torch.tensor([1.0, -1.0, 7.0]))
    drawn = gaussian.draw(20_000, generator)
    torch.testing.assert_close(drawn.mean(0), gaussian.mean, rtol=0, atol=0.05)
    torch.testing.assert_close(torch.cov(drawn.T), gaussian.covariance, rtol=0.05, atol=0.05)
    assert drawn[:, 2].std() < 0.01


def test_before_training_it_is_the_standard_normal() -> None:
    drawn = CodeGaussian(2).draw(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cov(drawn.T), torch.eye(2), rtol=0, atol=0.05)
