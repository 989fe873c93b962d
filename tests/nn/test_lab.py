"""L*a*b*: against published values, against scikit-image, and back again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.nn.lab import lab_to_rgb, rgb_to_lab

# L*, a*, b* of sRGB by D65, as Bruce Lindbloom's calculator gives them.
KNOWN = {
    (1.0, 1.0, 1.0): (100.0, 0.0, 0.0),
    (0.0, 0.0, 0.0): (0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0): (53.2408, 80.0925, 67.2032),
    (0.0, 1.0, 0.0): (87.7347, -86.1827, 83.1793),
    (0.0, 0.0, 1.0): (32.2970, 79.1875, -107.8602),
}


def colours(side: int = 32) -> torch.Tensor:
    """Random colours, of which some are nearly black: below the knees of both curves."""
    images = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    images[0] *= 0.03
    return images


@pytest.mark.parametrize("rgb", KNOWN)
def test_published_values(rgb: tuple[float, float, float]) -> None:
    lab = rgb_to_lab(torch.tensor(rgb).view(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(lab, torch.tensor(KNOWN[rgb]), atol=0.02, rtol=0)


def test_greys_have_no_colour() -> None:
    lab = rgb_to_lab(torch.linspace(0, 1, 101).expand(1, 3, 1, 101))
    assert lab[0, 1:].abs().max() < 1e-3
    assert (lab[0, 0, 0].diff() > 0).all()


def test_values_of_scikit_image() -> None:
    color = pytest.importorskip("skimage.color")
    images = colours()
    expected = np.moveaxis(color.rgb2lab(np.moveaxis(images.double().numpy(), 1, -1)), -1, 1)
    torch.testing.assert_close(rgb_to_lab(images).double(), torch.from_numpy(expected), atol=0.01, rtol=0)


def test_there_and_back_again() -> None:
    images = colours()
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(images)), images, atol=2e-5, rtol=0)
    eight_bits = torch.randint(0, 256, (4, 3, 16, 16)) / 255
    assert torch.equal((lab_to_rgb(rgb_to_lab(eight_bits)) * 255).round(), (eight_bits * 255).round())


def test_what_no_screen_shows_is_clipped() -> None:
    rgb = lab_to_rgb(torch.tensor([50.0, -100.0, -100.0]).view(1, 3, 1, 1))
    assert rgb.min() == 0.0
    assert torch.isfinite(rgb).all()


def test_autocast_rounds_nothing() -> None:
    images = colours()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lab = rgb_to_lab(images.bfloat16().float())
        back = lab_to_rgb(lab)
    assert lab.dtype == back.dtype == torch.float32
    assert torch.equal(lab, rgb_to_lab(images.bfloat16().float()))


def test_channels_last_images_give_the_same() -> None:
    images = colours()
    assert torch.equal(rgb_to_lab(images.contiguous(memory_format=torch.channels_last)), rgb_to_lab(images))
