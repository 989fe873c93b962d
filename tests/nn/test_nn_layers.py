"""Layers: normalisations by name, and a spatial mean whose gradient lies in memory as its maps do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.nn.layers import Conv3d, SpatialMean, maps_of, normalisation


def maps() -> Tensor:
    values = torch.randn(4, 6, 5, 3, generator=torch.Generator().manual_seed(0))
    return values.contiguous(memory_format=torch.channels_last).requires_grad_()


def test_the_spatial_mean_is_torchs() -> None:
    given = maps()
    found, expected = SpatialMean()(given), nn.AdaptiveAvgPool2d(1)(given).flatten(1)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn(4, 6)
    (mine,) = torch.autograd.grad(found, given, upstream)
    (theirs,) = torch.autograd.grad(expected, given, upstream)
    torch.testing.assert_close(mine, theirs)


def test_a_relu_before_the_spatial_mean_has_its_gradient_channels_last() -> None:
    """Torch's mean gives one that is laid out otherwise, which makes the step backward slow."""
    for mean, alike in ((SpatialMean(), True), (nn.AdaptiveAvgPool2d(1), False)):
        seen: list[bool] = []
        after = maps().relu()
        after.register_hook(lambda grad, seen=seen: seen.append(quick(grad)))
        mean(after).flatten(1).square().sum().backward()
        assert seen == [alike]


def quick(gradient: Tensor) -> bool:
    """Does a loop over channels-last maps read it in its order: with neighbouring channels next to each other?"""
    return gradient.stride(1) == 1


def test_maps_of_a_linear_layer_and_their_gradient_are_channels_last() -> None:
    values = torch.arange(2.0 * 3 * 3 * 4).view(2, 36).requires_grad_()
    maps = maps_of(values, 4, 3)
    assert maps.shape == (2, 4, 3, 3)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert maps[1, 2, 0, 1] == 36 + 4 + 2  # the second image, the second position, the third channel
    seen: list[bool] = []
    maps.register_hook(lambda grad: seen.append(quick(grad)))
    nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1)(maps.relu()).sum().backward()
    assert seen == [True]


@pytest.mark.parametrize(("kind", "layers"), [("batch", [nn.BatchNorm2d]), ("layer", [nn.GroupNorm]), ("none", [])])
def test_normalisations_have_names(kind: str, layers: list[type[nn.Module]]) -> None:
    assert [type(layer) for layer in normalisation(kind, 4)] == layers


def test_an_unknown_normalisation_is_said() -> None:
    with pytest.raises(ValueError, match="choose batch, layer or none"):
        normalisation("instance", 4)


@pytest.mark.parametrize(("frames", "kernel"), [(1, 3), (2, 3), (3, 3), (5, 3), (2, 5), (3, 5)])
def test_gradients_in_bf16_of_clips_shorter_than_the_kernel_are_those_in_fp32(frames: int, kernel: int) -> None:
    torch.manual_seed(0)
    layer, clips = Conv3d(4, 16, kernel, padding=kernel // 2), torch.rand(8, 4, frames, 8, 8)
    layer(clips).square().mean().backward()
    assert layer.weight.grad is not None
    expected = layer.weight.grad.clone()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(clips)
    found.float().square().mean().backward()
    torch.testing.assert_close(layer.weight.grad, expected, atol=0.02 * float(expected.abs().max()), rtol=0.05)
    torch.testing.assert_close(layer(clips), nn.Conv3d.forward(layer, clips))
