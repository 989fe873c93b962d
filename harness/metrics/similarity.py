"""How alike two images are, image by image: mean squared error, PSNR and SSIM, in float64.

N images, C channels, H,W pixels, K pixels of the window's side. Values are in [0,1], so the data range is 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

SSIM_WINDOW = 11  # pixels, K
SSIM_SIGMA = 1.5  # pixels
SMALLEST_ERROR = 1e-10  # an exact copy has this squared error, and so a PSNR of 100 dB instead of infinity


def squared_error(images: Tensor, others: Tensor) -> Tensor:
    """Mean squared error over all values of each image: (N,C,H,W) twice -> (N,) float64. By torchmetrics.

    RuntimeError for different shapes.

    >>> squared_error(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))
    tensor([0.2500], dtype=torch.float64)
    """
    from torchmetrics.functional.regression import mean_squared_error

    one, two = _as_outputs(images), _as_outputs(others)
    return mean_squared_error(two, one, num_outputs=len(images)).reshape(-1)


def absolute_error(images: Tensor, others: Tensor) -> Tensor:
    """Mean absolute error over all values of each image: (N,C,H,W) twice -> (N,) float64. By torchmetrics.

    RuntimeError for different shapes.

    >>> absolute_error(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))
    tensor([0.5000], dtype=torch.float64)
    """
    from torchmetrics.functional.regression import mean_absolute_error

    one, two = _as_outputs(images), _as_outputs(others)
    return mean_absolute_error(two, one, num_outputs=len(images)).reshape(-1)


def _as_outputs(images: Tensor) -> Tensor:
    """(N,C,H,W) -> (CHW,N) float64: each image an output of its own, since torchmetrics averages over examples."""
    return images.double().flatten(1).T


def peak_signal_to_noise(error: Tensor) -> Tensor:
    """PSNR in dB of images with these mean squared errors (N,), for values in [0,1]: -10 log10(MSE), at most 100 dB.

    Own: torchmetrics takes images instead of errors, is infinite for a copy, and multiplies by 10 / ln 10 in float32,
    which is 1e-6 dB.

    >>> peak_signal_to_noise(torch.tensor([0.01, 0.0], dtype=torch.float64))
    tensor([ 20., 100.], dtype=torch.float64)
    """
    return -10.0 * error.clamp_min(SMALLEST_ERROR).log10()


def ssim_window(height: int, width: int) -> int:
    """The side of the SSIM window in pixels: 11, or the largest odd number that fits into smaller images.

    >>> ssim_window(28, 28), ssim_window(8, 8)
    (11, 7)
    """
    fits = min(height, width, SSIM_WINDOW)
    return fits if fits % 2 else fits - 1


def structural_similarity(images: Tensor, others: Tensor) -> Tensor:
    """SSIM of each pair: (N,C,H,W) twice, values in [0,1] -> (N,) float64 in [-1,1], where 1 means equal.

    The mean, over channels and over all positions where the window lies inside the image, of
    (2 m1 m2 + c1)(2 s12 + c2) / ((m1^2 + m2^2 + c1)(s1^2 + s2^2 + c2)), with moments under a Gaussian window
    (sigma 1.5 pixels, 11x11 or what fits), c1 = 0.01^2 and c2 = 0.03^2.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", eq. 13. Own:
    torchmetrics has no value for images smaller than its window, and takes a hundred times as long in float64.

    >>> images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> structural_similarity(images, images)
    tensor([1., 1.], dtype=torch.float64)
    """
    one, two = images.double(), others.double()
    height, width = one.shape[-2:]
    window = ssim_window(height, width)
    rows, columns = _window_matrix(height, window), _window_matrix(width, window)

    def local_mean(values: Tensor) -> Tensor:
        return rows @ values @ columns.T  # (N,C,H,W) -> (N,C,H-K+1,W-K+1)

    mean_one, mean_two = local_mean(one), local_mean(two)
    variance_one = (local_mean(one * one) - mean_one.square()).clamp_min(0)
    variance_two = (local_mean(two * two) - mean_two.square()).clamp_min(0)
    covariance = local_mean(one * two) - mean_one * mean_two
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_one * mean_two + c1) / (mean_one.square() + mean_two.square() + c1)
    structure = (2 * covariance + c2) / (variance_one + variance_two + c2)
    return (luminance * structure).flatten(1).mean(1)


def _window_matrix(length: int, window: int) -> Tensor:
    """The 1-D Gaussian window as a banded matrix: (length-K+1, length) float64, rows sum to 1."""
    offsets = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    weights = torch.exp(-0.5 * (offsets / SSIM_SIGMA).square())
    matrix = torch.zeros(length - window + 1, length, dtype=torch.float64)
    for row in range(len(matrix)):
        matrix[row, row : row + window] = weights / weights.sum()
    return matrix
