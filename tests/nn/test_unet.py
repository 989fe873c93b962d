"""The U-Net: shapes at every size, what its output depends on, guidance, and what is read inside it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.data.columns import Texts
from harness.data.fields import DataSpec, ImageField, TextField
from harness.errors import NotApplicable
from harness.nn.unet import FREQUENCIES, ConditionalUNet, time_embedding
from harness_plugins.backbones import convnet

CLASSES = tuple("0123456789")


def unet(size: int = 8, channels: int = 1, condition: str = "", **spec: object) -> ConditionalUNet:
    torch.manual_seed(0)
    data = DataSpec(inputs=ImageField(channels=channels, size=size), classes=CLASSES, **spec)
    return ConditionalUNet(convnet.build(data, convnet.Config(width=8)), data, width=8, condition=condition).eval()


def noisy(n: int = 4, channels: int = 1, size: int = 8) -> Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (9, 1), (16, 3), (28, 1), (30, 3), (32, 3)])
def test_the_field_has_the_shape_of_the_image(size: int, channels: int) -> None:
    with torch.no_grad():
        field = unet(size, channels)(noisy(2, channels, size), torch.rand(2))
    assert field.shape == (2, channels, size, size)


def test_every_weight_and_the_backbone_get_gradients() -> None:
    network = unet(condition="labels").train()
    network(noisy(), torch.rand(4), torch.arange(4), torch.ones(4)).square().sum().backward()
    assert not [name for name, weight in network.named_parameters() if weight.grad is None]
    assert all(bool(weight.grad.any()) for weight in network.parameters() if weight.ndim == 4)  # every convolution


def test_the_field_depends_on_time_label_and_backbone() -> None:
    network, x, time = unet(condition="labels"), noisy(), torch.full((4,), 0.5)
    labels = torch.arange(4)
    with torch.no_grad():
        field = network(x, time, labels)
        assert not torch.allclose(field, network(x, time + 0.1, labels))
        assert not torch.allclose(field, network(x, time, labels + 1))
        assert not torch.allclose(field, network(x, time))
        for weight in network.backbone.parameters():
            weight.zero_()
        assert not torch.allclose(field, network(x, time, labels))


def test_a_row_that_asks_for_nothing_is_as_without_a_condition() -> None:
    network, x, time = unet(condition="labels"), noisy(), torch.rand(4)
    with torch.no_grad():
        field = network(x, time, torch.arange(4), torch.tensor([1.0, 0.0, 1.0, 0.0]))
        torch.testing.assert_close(field[1::2], network(x, time)[1::2])
        torch.testing.assert_close(field[0::2], network(x, time, torch.arange(4))[0::2])


def test_guidance_is_linear_in_its_weight_and_0_is_the_plain_condition() -> None:
    network, x, time, labels = unet(condition="labels"), noisy(), torch.rand(4), torch.arange(4)
    with torch.no_grad():
        asked, free = network(x, time, labels), network(x, time)
        assert torch.equal(network.guided(x, time, labels, 0.0), asked)
        torch.testing.assert_close(network.guided(x, time, labels, 1.0), 2 * asked - free)
        torch.testing.assert_close(network.guided(x, time, labels, 0.5), 1.5 * asked - 0.5 * free)
        assert torch.equal(network.guided(x, time, None, 3.0), free)


def test_captions_steer_it_and_the_order_of_words_does_not() -> None:
    network = unet(condition="captions", captions=TextField(length=3).measured(Texts(("red dot",))))
    x, time = noisy(1), torch.rand(1)
    with torch.no_grad():
        red_dot, dot_red, red = (network(x, time, torch.tensor([t])) for t in ([3, 2, 0], [2, 3, 0], [3, 0, 0]))
    torch.testing.assert_close(red_dot, dot_red)
    assert not torch.allclose(red_dot, red)


def test_features_are_means_over_positions_and_those_of_the_backbone() -> None:
    network, x, time = unet(16), noisy(size=16), torch.rand(4)
    with torch.no_grad():
        features = network.features(x, time)
        torch.testing.assert_close(features["backbone"], network.backbone((x + 1) / 2))
    assert {name: tuple(values.shape) for name, values in features.items()} == {
        "inner": (4, 32),
        "outer": (4, 8),
        "backbone": (4, 32),
    }


def test_times_are_embedded_as_sines_and_cosines_of_their_thousandfold() -> None:
    embedded = time_embedding(torch.tensor([0.0, 0.003]))
    assert embedded.shape == (2, 2 * FREQUENCIES)
    torch.testing.assert_close(embedded[0], torch.tensor([0.0, 1.0]).repeat_interleave(FREQUENCIES))
    torch.testing.assert_close(embedded[1, 0], torch.tensor(3.0).sin())
    torch.testing.assert_close(embedded[1, -1], torch.tensor(3.0 * 10_000 ** (-31 / 32)).cos())


def test_what_the_source_does_not_have_cannot_be_asked_for() -> None:
    with pytest.raises(NotApplicable, match="no captions to learn from"):
        unet(condition="captions")
