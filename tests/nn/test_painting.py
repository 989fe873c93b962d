"""Painted frames: kernels move frames, masks mix them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d, shift
from torch import Tensor

from harness.data.fields import ImageField
from harness.nn.painting import FramePainter, transported

FRAMES = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def step(pixels: int, reach: int = 4) -> Tensor:
    """The kernel of a move by whole pixels."""
    return torch.eye(2 * reach + 1)[reach + pixels]


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (0, -3), (-1, 4)])
def test_a_kernel_of_one_weight_moves_a_frame(down: int, right: int) -> None:
    moved = transported(FRAMES, step(down).expand(3, -1), step(right).expand(3, -1))
    expected = shift(FRAMES.numpy(), (0, 0, down, right), order=0, mode="nearest")
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-6)


def test_a_kernel_is_a_convolution_along_each_axis() -> None:
    kernels = torch.rand(2, 9, generator=torch.Generator().manual_seed(1)).softmax(1)
    found = transported(FRAMES, kernels[:1].expand(3, -1), kernels[1:].expand(3, -1))
    expected = correlate1d(FRAMES.double().numpy(), kernels[0].flip(0).double().numpy(), axis=2, mode="nearest")
    expected = correlate1d(expected, kernels[1].flip(0).double().numpy(), axis=3, mode="nearest")
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_a_painter_begins_near_the_known_frames_and_its_masks_sum_to_one() -> None:
    torch.manual_seed(0)
    painter = FramePainter(5, ImageField(channels=2, size=8), painted=3, known=2, copies=1)
    known = FRAMES[:, None].expand(-1, 2, -1, -1, -1)
    painted, drawn = painter(torch.zeros(3, 5), known)
    assert painted.shape == drawn.shape == (3, 3, 2, 8, 8)
    white = torch.ones(3, 2, 2, 8, 8)
    copies, drawing = painter(torch.zeros(3, 5), white)
    share = (1 - copies) / (1 - drawing)  # of the drawing, where all that is known is 1
    assert ((share > 0) & (share < 1)).all()


def test_gradients_reach_the_code_through_kernels_and_through_the_drawing() -> None:
    painter = FramePainter(5, ImageField(channels=2, size=8), painted=2, known=1, copies=2)
    code = torch.zeros(3, 5, requires_grad=True)
    for part in painter(code, FRAMES[:, None]):
        (gradient,) = torch.autograd.grad(part.square().sum(), code, retain_graph=True)
        assert gradient.abs().min() > 0
