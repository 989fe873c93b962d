"""Translators and patch discriminators: shapes at every size, what skips and padding do, receptive fields."""

from __future__ import annotations

import pytest
import torch

from harness.data.fields import DataSpec, ImageField
from harness.nn.translators import (
    PatchDiscriminator,
    ResidualTranslator,
    UNet,
    same_for_all,
    symmetric_l1,
)


def spec(size: int, channels: int = 3) -> DataSpec[ImageField]:
    return DataSpec(inputs=ImageField(channels=channels, size=size), paired_domain="outline")


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (28, 1), (30, 3), (32, 3)])
def test_translators_keep_the_shape_and_stay_in_the_unit_range(size: int, channels: int) -> None:
    images = torch.rand(3, channels, size, size)
    for network in (UNet(spec(size, channels), 4), ResidualTranslator(spec(size, channels), 4, 1)):
        translated = network(images)
        assert translated.shape == images.shape
        assert 0 <= translated.min() < translated.max() <= 1


def test_images_stay_float32_where_layers_compute_in_bfloat16() -> None:
    images = torch.rand(2, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert UNet(spec(16), 8)(images).dtype == torch.float32
        assert ResidualTranslator(spec(16), 8, 1)(images).dtype == torch.float32


@pytest.mark.parametrize(("size", "inner"), [(8, 2), (16, 4), (28, 4), (32, 4)])
def test_the_bottleneck_has_two_levels_and_three_from_24_pixels_on(size: int, inner: int) -> None:
    network = UNet(spec(size), 4)
    assert network.bottleneck(torch.rand(2, 3, size, size)).shape == (2, network.dim, inner, inner)


def test_without_skips_all_passes_the_bottleneck_with_the_same_weights() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 16, 16)
    networks = {skips: UNet(spec(16), 4, skips=skips).eval() for skips in (True, False)}
    shapes = [[tuple(weight.shape) for weight in network.parameters()] for network in networks.values()]
    assert shapes[0] == shapes[1]
    for skips, network in networks.items():
        torch.nn.init.zeros_(network.ups[0][0].weight)  # nothing comes up from the bottleneck any more
        assert (same_for_all(network(images), images) == "") == skips


def test_dropout_is_noise_in_training_alone() -> None:
    torch.manual_seed(0)
    network, images = UNet(spec(16), 4, dropout=0.5), torch.rand(4, 3, 16, 16)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_a_residual_translator_judges_each_image_by_itself_in_training_too() -> None:
    torch.manual_seed(0)
    network, images = ResidualTranslator(spec(16), 8, 2).train(), torch.rand(6, 3, 16, 16)
    torch.testing.assert_close(network(images)[:2], network(images[:2]))


def test_at_first_a_residual_translator_gives_nine_tenths_of_its_input() -> None:
    torch.manual_seed(0)
    network, images = ResidualTranslator(spec(16), 8, 0), torch.rand(4, 3, 16, 16)
    torch.nn.init.zeros_(network.layers[-1].weight)
    torch.nn.init.zeros_(network.layers[-1].bias[:-1])  # grey is drawn everywhere
    torch.testing.assert_close(network(images), 0.9 * images + 0.1 * 0.5, rtol=0, atol=1e-3)


def test_every_patch_sees_its_own_surroundings_alone() -> None:
    torch.manual_seed(0)
    network, images = PatchDiscriminator(spec(32), 8), torch.rand(1, 3, 32, 32, requires_grad=True)
    logits = network(images)
    assert logits.shape == (1, 1, 8, 8)
    logits[0, 0, 4, 4].backward()
    assert images.grad is not None
    seen = images.grad.abs().sum((0, 1)).nonzero()
    field = 4 + 2 * 3 + 4 * 2  # two 4x4 convolutions of stride 2, then 3x3: 18 pixels
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [field, field]


def test_distances_are_in_the_units_of_the_paper() -> None:
    black, white = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    assert symmetric_l1(black, white) == 2  # of pixels in [-1,1]
    assert symmetric_l1(white, white) == 0


def test_one_image_for_all_is_a_failed_translator() -> None:
    images = torch.rand(8, 3, 8, 8)
    assert same_for_all(images, images) == ""
    assert "collapsed translator" in same_for_all(images[:1].expand(8, -1, -1, -1), images)
