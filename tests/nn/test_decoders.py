"""Decoders give logits of the source's size, whatever that is."""

from __future__ import annotations

import pytest
import torch

from harness.data.fields import DataSpec, ImageField
from harness.nn.decoders import ConvDecoder, MapDecoder, MlpDecoder, ToImage, code_decoder


@pytest.mark.parametrize(("size", "start"), [(8, 2), (16, 2), (28, 7), (28, 4), (30, 8), (32, 4), (8, 8), (9, 1)])
def test_a_map_grows_to_the_size_of_the_image(size: int, start: int) -> None:
    decoder = MapDecoder(5, start, DataSpec(inputs=ImageField(channels=3, size=size)), width=4)
    assert decoder(torch.randn(2, 5, start, start)).shape == (2, 3, size, size)


@pytest.mark.parametrize("start", [4, 8])
def test_every_position_of_the_map_is_seen(start: int) -> None:
    maps = torch.randn(1, 5, start, start, requires_grad=True)
    MapDecoder(5, start, DataSpec(inputs=ImageField(channels=1, size=8)))(maps).square().sum().backward()
    assert maps.grad is not None
    assert (maps.grad.abs().sum(1) > 0).all()


def test_the_kind_of_decoder_is_a_choice() -> None:
    data = DataSpec(inputs=ImageField(channels=1, size=28))
    assert isinstance(code_decoder("conv", 4, data, 10), ConvDecoder)
    perceptron = code_decoder("mlp", 40, data, 400)
    assert isinstance(perceptron, MlpDecoder)
    assert sum(weight.numel() for weight in perceptron.parameters()) == 40 * 400 + 400 + 400 * 784 + 784


@pytest.mark.parametrize("shape", [(2, 5, 4, 4), (3, 5, 7, 7), (1, 5, 2, 3)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_the_last_layer_is_a_transposed_convolution_with_gradients_and_without(
    shape: tuple[int, ...], channels: int, bias: bool
) -> None:
    layer, maps = ToImage(5, channels, 4, stride=2, padding=1, bias=bias), torch.randn(shape)
    with torch.no_grad():
        fast = layer(maps), layer(maps.to(memory_format=torch.channels_last))
    slow = layer(maps)
    assert slow.requires_grad
    for found in fast:
        torch.testing.assert_close(found, slow, rtol=0, atol=1e-6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer(maps).dtype == torch.bfloat16
