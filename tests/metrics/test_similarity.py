"""Errors, PSNR and SSIM of images against torchmetrics, plain sums and a double loop."""

from __future__ import annotations

from math import exp

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error

from harness.metrics.similarity import (
    absolute_error,
    peak_signal_to_noise,
    squared_error,
    ssim_window,
    structural_similarity,
)

GENERATOR = torch.Generator().manual_seed(0)


def noisy_pair(shape: tuple[int, ...], noise: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(shape, generator=GENERATOR)
    return images, (images + noise * torch.randn(shape, generator=GENERATOR)).clamp(0, 1)


@pytest.mark.parametrize("shape", [(6, 1, 28, 28), (4, 3, 32, 32), (3, 3, 11, 11)])
def test_similarity_agrees_with_torchmetrics(shape: tuple[int, ...]) -> None:
    one, two = noisy_pair(shape)
    theirs = peak_signal_noise_ratio(two.double(), one.double(), data_range=1.0, dim=(1, 2, 3), reduction="none")
    torch.testing.assert_close(peak_signal_to_noise(squared_error(one, two)), theirs, atol=1e-5, rtol=0)
    # torchmetrics reflects the border, then cuts it off where it returns the mean of the whole map: compare insides
    _, whole = structural_similarity_index_measure(two.double(), one.double(), data_range=1.0, return_full_image=True)
    inside = whole[..., 5:-5, 5:-5].flatten(1).mean(1)
    torch.testing.assert_close(structural_similarity(one, two), inside, atol=1e-12, rtol=0)


def test_ssim_on_small_images_is_the_formula_position_by_position() -> None:
    one, two = (part.double() for part in noisy_pair((1, 1, 8, 8)))
    window = ssim_window(8, 8)
    line = torch.tensor([exp(-0.5 * ((place - 3) / 1.5) ** 2) for place in range(window)], dtype=torch.float64)
    weights = torch.outer(line, line) / line.sum() ** 2
    values = []
    for top in range(8 - window + 1):
        for left in range(8 - window + 1):
            x = one[0, 0, top : top + window, left : left + window]
            y = two[0, 0, top : top + window, left : left + window]
            mx, my = (weights * x).sum(), (weights * y).sum()
            sx, sy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            sxy = (weights * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + 1e-4) * (2 * sxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (sx + sy + 9e-4)))
    torch.testing.assert_close(structural_similarity(one, two), torch.stack(values).mean()[None])


def test_similarity_of_equal_and_of_opposite_images() -> None:
    images, _ = noisy_pair((2, 3, 16, 16))
    torch.testing.assert_close(structural_similarity(images, images), torch.ones(2, dtype=torch.float64))
    assert peak_signal_to_noise(squared_error(images, images)).tolist() == [100.0, 100.0]
    assert (structural_similarity(images, 1 - images) < 0).all()
    black, white = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    assert float(squared_error(black, white)) == 1.0
    assert float(peak_signal_to_noise(squared_error(black, white))) == 0.0
    one, two = noisy_pair((5, 1, 12, 12))
    torch.testing.assert_close(structural_similarity(one, two), structural_similarity(two, one))


@pytest.mark.parametrize("shape", [(6, 1, 8, 8), (4, 3, 32, 32), (1, 1, 8, 8), (0, 1, 8, 8)])
def test_errors_are_means_over_each_image_to_the_last_bit(shape: tuple[int, ...]) -> None:
    one, two = noisy_pair(shape)
    gap = one.double() - two.double()
    assert torch.equal(squared_error(one, two), gap.square().flatten(1).mean(1))
    assert torch.equal(absolute_error(one, two), gap.abs().flatten(1).mean(1))
    last = two.to(memory_format=torch.channels_last)  # the order in memory is no matter
    assert torch.equal(squared_error(one, last), squared_error(one, two))
    for ours, theirs in ((squared_error, mean_squared_error), (absolute_error, mean_absolute_error)):
        if len(one):
            assert float(ours(one, two).mean()) == pytest.approx(float(theirs(two.double(), one.double())))
        with pytest.raises(RuntimeError, match="same shape"):
            ours(one, two[:, :, :-1])


def test_a_copy_has_100_dB_and_nothing_has_more() -> None:
    images, _ = noisy_pair((2, 1, 8, 8))
    assert peak_signal_noise_ratio(images, images, data_range=1.0) == torch.inf
    near = images.double() + 1e-6  # 120 dB
    assert peak_signal_to_noise(squared_error(images, near)).tolist() == [100.0, 100.0]
    near = images.double() + 1e-4
    assert peak_signal_to_noise(squared_error(images, near)).tolist() == pytest.approx([80.0, 80.0])


def test_small_images_have_a_similarity_where_torchmetrics_has_none() -> None:
    one, two = noisy_pair((2, 1, 4, 5))
    assert ssim_window(4, 5) == 3
    assert ((structural_similarity(one, two) > 0) & (structural_similarity(one, two) < 1)).all()
    assert structural_similarity(one, one).tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="Padding size"):
        structural_similarity_index_measure(two, one, data_range=1.0)
