"""Patches: cut as torch's unfold cuts them, put together again, and placed by the formula of the papers."""

from __future__ import annotations

from math import cos, sin

import pytest
import torch
import torch.nn.functional as F

from harness.nn.patches import chosen, grid_of, images_of, patches_of, sincos_positions


@pytest.mark.parametrize(("channels", "height", "width", "side"), [(1, 8, 8, 4), (3, 12, 8, 4), (3, 6, 9, 3)])
def test_images_are_cut_as_unfold_cuts_them(channels: int, height: int, width: int, side: int) -> None:
    images = torch.rand(2, channels, height, width)
    expected = F.unfold(images, side, stride=side).transpose(1, 2)  # (B,L,P)
    assert torch.equal(patches_of(images, side), expected)
    assert torch.equal(patches_of(images.contiguous(memory_format=torch.channels_last), side), expected)


@pytest.mark.parametrize("size", [(8, 8), (9, 9), (7, 10), (3, 3)])
def test_patches_put_together_are_the_image(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    patches = patches_of(images, 4)
    height, width = grid_of(size, 4)
    assert patches.shape == (2, height * width, 48)
    assert torch.equal(images_of(patches, 4, size), images)
    assert float(patches.sum()) == pytest.approx(float(images.sum()), rel=1e-5)  # what is added is zero


def test_values_are_chosen_for_each_image_apart() -> None:
    values, places = torch.rand(2, 5, 3), torch.tensor([[4, 0], [1, 1]])
    found = chosen(values, places)
    assert torch.equal(found[0], values[0, [4, 0]])
    assert torch.equal(found[1], values[1, [1, 1]])
    assert torch.equal(chosen(values[:1], places)[1], values[0, [1, 1]])  # one for all


def formula(row: float, column: float, dim: int) -> list[float]:
    """He et al. 2022: of each half, sines and then cosines of place / 10000^(4i/D)."""
    quarter = dim // 4
    found = []
    for place in (row, column):
        angles = [place / 10_000 ** (i / quarter) for i in range(quarter)]
        found += [sin(angle) for angle in angles] + [cos(angle) for angle in angles]
    return found


def test_positions_are_the_formula() -> None:
    found = sincos_positions((2, 3), 8)
    for row in range(2):
        for column in range(3):
            assert found[3 * row + column].tolist() == pytest.approx(formula(row, column, 8), abs=1e-6)


def test_another_grid_lies_evenly_over_the_native_one() -> None:
    assert torch.equal(sincos_positions((4, 4), 8, (4, 4)), sincos_positions((4, 4), 8))
    assert sincos_positions((1, 1), 8, (5, 3))[0].tolist() == pytest.approx(formula(2, 1, 8), abs=1e-6)  # the middle
    twice = sincos_positions((8, 8), 8, (4, 4))
    assert twice[0].tolist() == pytest.approx(formula(-0.25, -0.25, 8), abs=1e-6)
    assert twice[63].tolist() == pytest.approx(formula(3.25, 3.25, 8), abs=1e-6)


def test_positions_need_four_features_and_multiples() -> None:
    with pytest.raises(ValueError, match="multiple of 4 features, not 6"):
        sincos_positions((2, 2), 6)
