"""Decoders give logits of the source's size, whatever that is."""

from __future__ import annotations

import pytest
import torch

from harness.data.fields import DataSpec, ImageField
from harness.nn.decoders import ConvDecoder, MapDecoder, MlpDecoder, code_decoder


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
