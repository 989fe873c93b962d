"""Backbones: sizes, standardisation, normalisation layers and dropout."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness_plugins.backbones import convnet, mlp, resnet18

SPEC = DataSpec(inputs=ImageField(channels=3, size=16, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3)))
BUILDERS = {"convnet": convnet, "resnet18": resnet18}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize(("norm", "layer"), [("batch", nn.BatchNorm2d), ("layer", nn.GroupNorm), ("none", None)])
def test_normalisation_is_a_parameter(name: str, norm: str, layer: type | None) -> None:
    module = BUILDERS[name]
    net = module.build(SPEC, module.Config(norm=norm))
    found = {type(part) for part in net.modules() if isinstance(part, (nn.BatchNorm2d, nn.GroupNorm))}
    assert found == ({layer} if layer else set())
    assert net(torch.rand(2, 3, 16, 16)).shape == (2, net.dim)
    assert net.trunk(torch.rand(2, 3, 9, 9)).shape == (2, net.dim)


@pytest.mark.parametrize("name", BUILDERS)
def test_dropout_acts_in_training_alone(name: str) -> None:
    module = BUILDERS[name]
    net = module.build(SPEC, module.Config(dropout=0.5, norm="layer"))
    images = torch.rand(4, 3, 16, 16)
    assert not torch.equal(net.train()(images), net(images))
    assert torch.equal(net.eval()(images), net(images))


def test_a_perceptron_gets_pixels_as_they_are_if_asked() -> None:
    images = torch.rand(4, 3, 16, 16)
    net = mlp.build(SPEC, mlp.Config(hidden=8, standardise=False))
    assert torch.equal(net.standardise(images), images)
    torch.testing.assert_close(net(images), net.trunk(images))
    usual = mlp.build(SPEC, mlp.Config(hidden=8))
    assert float((usual.standardise(images) - images).abs().max()) > 1
    assert usual.state_dict().keys() == net.state_dict().keys()


@pytest.mark.parametrize(("norm", "layer"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm), ("none", None)])
def test_a_perceptron_has_the_same_parameters(norm: str, layer: type | None) -> None:
    net = mlp.build(SPEC, mlp.Config(hidden=8, layers=2, norm=norm, dropout=0.5))
    assert sum(isinstance(part, nn.Dropout) for part in net.modules()) == 2
    assert {type(part) for part in net.trunk} - {nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout} == (
        {layer} if layer else set()
    )
    images = torch.rand(4, 3, 16, 16)
    assert not torch.equal(net.train()(images), net(images))
    assert torch.equal(net.eval()(images), net(images))


def test_inputs_are_standardised_by_the_source() -> None:
    net = mlp.build(SPEC, mlp.Config(hidden=8))
    images = torch.rand(5, 3, 16, 16)
    expected = (images - torch.tensor(SPEC.inputs.mean).view(3, 1, 1)) / torch.tensor(SPEC.inputs.std).view(3, 1, 1)
    torch.testing.assert_close(net.standardise(images), expected)
    torch.testing.assert_close(net(images), net.trunk(expected))


def test_resnet18_has_the_small_image_stem() -> None:
    """11,173,962 weights with ten classes on CIFAR-10 in the literature: 11,168,832 without the classifier."""
    net = resnet18.build(DataSpec(inputs=ImageField(channels=3, size=32)), resnet18.Config())
    assert sum(weight.numel() for weight in net.parameters()) == 11_173_962 - 512 * 10 - 10
    assert net.trunk.conv1.stride == (1, 1)


@pytest.mark.parametrize(
    ("module", "params"),
    [(convnet, {"dropout": 1.0}), (convnet, {"width": 0}), (mlp, {"hidden": 0}), (mlp, {"dropout": 1.0})],
)
def test_bad_parameters_are_named(module, params: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        module.Config(**params)


@pytest.mark.parametrize(("stem", "size", "strides"), [
    ("auto", 8, [1, 2, 2]),
    ("auto", 28, [2, 2, 1]),
    ("full", 28, [1, 2, 2]),
    ("half", 8, [2, 2, 1]),
])  # fmt: skip
def test_the_stem_keeps_the_resolution_of_small_images(stem: str, size: int, strides: list[int]) -> None:
    net = convnet.build(DataSpec(inputs=ImageField(channels=1, size=size)), convnet.Config(stem=stem))
    assert [layer.stride[0] for layer in net.modules() if isinstance(layer, nn.Conv2d)] == strides


@pytest.mark.parametrize(("name", "size", "maps"), [
    ("convnet", 8, 2),
    ("convnet", 16, 4),
    ("convnet", 28, 7),
    ("resnet18", 16, 2),
    ("resnet18", 28, 4),
])  # fmt: skip
def test_the_mean_of_the_maps_is_the_representation(name: str, size: int, maps: int) -> None:
    spec = DataSpec(inputs=ImageField(channels=3, size=size, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3)))
    net = BUILDERS[name].build(spec, BUILDERS[name].Config(dropout=0.5)).eval()
    images = torch.rand(3, 3, size, size)
    with torch.no_grad():
        assert net.maps(images).shape == (3, net.dim, maps, maps)
        torch.testing.assert_close(net.maps(images).mean((2, 3)), net(images))
    assert net.map_size(size) == maps


def test_asking_for_the_size_of_the_maps_changes_nothing() -> None:
    net = convnet.build(SPEC, convnet.Config()).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert net.map_size(16) == 4
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_copy_of_a_backbone_has_maps_of_its_own() -> None:
    net = convnet.build(SPEC, convnet.Config()).eval()
    images = torch.rand(2, 3, 16, 16)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    assert not net.maps(images).any()
    assert twin.maps(images).any()


def test_a_perceptron_has_no_maps() -> None:
    with pytest.raises(NotApplicable, match="convolutional backbone"):
        mlp.build(SPEC, mlp.Config(hidden=8)).maps(torch.rand(2, 3, 16, 16))
