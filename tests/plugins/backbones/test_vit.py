"""The vision transformer: what it sees of an image, at any size, and of a few patches alone."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from harness.contract.backbones import BackboneCase, gives_tokens_of_the_patches_that_it_is_shown
from harness.contract.examples import generated_images
from harness.contract.requirements import Broken
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.nn.backbone import Backbone, PatchTokens
from harness.nn.patches import chosen, patches_of
from harness.plugin import BackboneSpec
from harness_plugins.backbones import convnet, vit

SPEC = DataSpec(inputs=ImageField(channels=3, size=16, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3)))
SMALL = {"width": 12, "depth": 2, "heads": 3}
KINDS = [{}, {"pool": "class"}, {"positions": "learned"}, {"pool": "class", "positions": "learned"}]


def built(**params) -> Backbone:
    torch.manual_seed(0)
    return vit.build(SPEC, vit.Config(**{**SMALL, **params})).eval()


@pytest.mark.parametrize("params", KINDS)
@pytest.mark.parametrize("size", [16, 8, 32, 11, 3])
def test_images_of_any_size_are_encoded(params: dict, size: int) -> None:
    net = built(**params)
    images = torch.rand(2, 3, size, size)
    count = -(-size // 4)
    assert net(images).shape == (2, 12)
    assert net.tokens(images).shape == (2, net.extra_tokens + count**2, 12)


@pytest.mark.parametrize("params", KINDS)
def test_a_few_patches_are_all_that_is_seen(params: dict) -> None:
    net = built(**params)
    images, kept = torch.rand(2, 3, 16, 16), torch.tensor([[0, 5, 15], [3, 1, 8]])
    others = torch.rand(2, 3, 16, 16)
    mask = torch.zeros(2, 16).scatter(1, kept, 1.0).view(2, 1, 4, 4)
    mixed = torch.where(F.interpolate(mask, scale_factor=4) > 0, images, others)
    with torch.no_grad():
        found, again = net.tokens(images, kept), net.tokens(mixed, kept)
    assert found.shape == (2, net.extra_tokens + 3, 12)
    torch.testing.assert_close(found, again)
    assert not torch.allclose(net(images), net(mixed))


@pytest.mark.parametrize("params", KINDS)
def test_all_patches_in_another_order_are_the_same_tokens(params: dict) -> None:
    net = built(**params)
    images, order = torch.rand(2, 3, 16, 16), torch.stack([torch.randperm(16), torch.randperm(16)])
    with torch.no_grad():
        whole, found = net.tokens(images), net.tokens(images, order)
    first = net.extra_tokens
    torch.testing.assert_close(found[:, :first], whole[:, :first])
    for i in range(2):
        torch.testing.assert_close(found[i, first:], whole[i, first:][order[i]])


def test_the_representation_is_the_mean_of_the_tokens_or_the_class_token() -> None:
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        mean, token = built(), built(pool="class")
        torch.testing.assert_close(mean(images), mean.tokens(images).mean(1))
        torch.testing.assert_close(token(images), token.tokens(images)[:, 0])


def test_maps_are_the_tokens_where_their_patches_are() -> None:
    net = built()
    images = torch.rand(2, 3, 14, 14)
    with torch.no_grad():
        maps = net.maps(images)
        assert maps.shape == (2, 12, 4, 4)
        torch.testing.assert_close(maps.mean((2, 3)), net(images))
        torch.testing.assert_close(maps[:, :, 1, 2], net.tokens(images)[:, 6])
    assert net.map_size(16) == 4
    with pytest.raises(NotApplicable, match="needs feature maps"):
        built(pool="class").maps(images)


def test_patches_are_embedded_as_by_a_convolution_that_strides_over_them() -> None:
    net = built()
    images = torch.rand(2, 3, 16, 16)
    kernel = net.trunk.embed.weight.view(12, 3, 4, 4)
    expected = F.conv2d(net.standardise(images), kernel, net.trunk.embed.bias, stride=4).flatten(2).transpose(1, 2)
    expected = net.trunk.norm(net.trunk.blocks(expected + net.trunk.sines))
    torch.testing.assert_close(net.tokens(images), expected)


def test_learned_positions_are_stretched_over_images_of_another_size() -> None:
    trunk = built(positions="learned").trunk
    with torch.no_grad():
        trunk.places.copy_(torch.arange(4.0).view(1, 1, 4, 1).expand_as(trunk.places))  # the row
        assert torch.equal(trunk.positions((4, 4))[0, :, 0].view(4, 4)[:, 0], torch.arange(4.0))
        assert trunk.positions((1, 1))[0, 0, 0].item() == pytest.approx(1.5)
        finer = trunk.positions((8, 8))[0, :, 0].view(8, 8)
    assert torch.equal(finer[:, 0], finer[:, 7])
    assert bool((finer[:, 0].diff() > 0).all())


def test_position_tells_where_a_patch_is() -> None:
    """Without positions, tokens in another order would give the same mean."""
    net, images = built(), torch.rand(1, 3, 16, 16)
    assert not torch.allclose(net(images), net(images.flip(3)), atol=1e-3)


def test_hooks_of_the_trunk_see_what_is_kept() -> None:
    net, seen = built(), []
    net.trunk.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
    net.tokens(torch.rand(2, 3, 16, 16), torch.zeros(2, 5, dtype=torch.long))
    assert seen == [(2, 5, 12)]


def test_a_copy_has_tokens_of_its_own() -> None:
    net = built()
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    assert not net.tokens(torch.rand(2, 3, 16, 16)).any()
    assert twin.tokens(torch.rand(2, 3, 16, 16)).any()


def test_other_backbones_say_what_to_choose() -> None:
    net = convnet.build(SPEC, convnet.Config())
    for ask in (lambda: net.tokens(torch.rand(1, 3, 16, 16)), lambda: net.patch, lambda: net.extra_tokens):
        with pytest.raises(NotApplicable, match="choose --backbone vit"):
            ask()


@pytest.mark.parametrize(("params", "message"), [
    ({"patch": 0}, "patch, width, depth and heads must be at least 1"),
    ({"width": 10, "heads": 2}, "width must be a multiple of 4 and of heads=2"),
    ({"width": 16, "heads": 3}, "width must be a multiple of 4 and of heads=3"),
])  # fmt: skip
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vit.Config(**params)


def test_the_contract_finds_tokens_that_carry_the_position_of_another_patch() -> None:
    class ByTurn(vit.VisionTransformer):
        """Gives the first patch that it is shown the first position, whichever it is."""

        def forward(self, images, kept=None, *, pooled=True):
            patches = patches_of(images, 4)
            patches = patches if kept is None else chosen(patches, kept)
            return self.norm(self.blocks(self.embed(patches) + self.sines[: patches.shape[1]]))

    def build(data: DataSpec, config: vit.Config) -> Backbone:
        return Backbone(ByTurn(data, config), 12, data, any_size=True, patches=PatchTokens(vit.tokens_of, 4))

    data = generated_images(channels=1, size=8, classes=4)
    right = BackboneCase(vit.harness_backbone(), vit.Config(**SMALL), data)
    wrong = BackboneCase(BackboneSpec(name="wrong", build=build), vit.Config(**SMALL), data)
    assert gives_tokens_of_the_patches_that_it_is_shown(right) == "4 patches of 4 pixels"
    with pytest.raises(Broken, match=r"tokens of patches in another order differ by .*: give each its own position"):
        gives_tokens_of_the_patches_that_it_is_shown(wrong)
