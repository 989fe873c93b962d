from __future__ import annotations

import pytest
import torch

from harness.data.binarisation import binarised


@pytest.mark.parametrize("grey", [0, 1, 51, 128, 200, 254, 255])
def test_share_of_white_pixels_is_the_grey_value(grey: int) -> None:
    n = 200_000
    white = binarised(torch.full((n,), grey, dtype=torch.uint8), "test") == 255
    p = grey / 255
    assert abs(float(white.double().mean()) - p) <= 4 * (p * (1 - p) / n) ** 0.5


def test_result_has_two_values_and_the_shape_of_the_images() -> None:
    images = torch.randint(256, (10, 1, 7, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    binary = binarised(images, "test")
    assert (binary.shape, binary.dtype) == (images.shape, torch.uint8)
    assert set(binary.unique().tolist()) == {0, 255}


def test_draw_is_fixed_by_the_purpose_and_by_nothing_else() -> None:
    images = torch.full((5000,), 128, dtype=torch.uint8)
    first = binarised(images, "mnist", "train")
    torch.manual_seed(1)
    assert torch.equal(first, binarised(images, "mnist", "train"))
    agreement = float((first == binarised(images, "mnist", "test")).double().mean())
    assert agreement == pytest.approx(0.5, abs=0.05)


def test_pixels_are_drawn_independently() -> None:
    images = torch.full((4000, 1, 2, 2), 128, dtype=torch.uint8)
    pixels = (binarised(images, "test") == 255).double().flatten(1)  # (4000,4)
    off_diagonal = torch.corrcoef(pixels.T)[~torch.eye(4, dtype=torch.bool)]
    assert off_diagonal.abs().max() < 0.07
