"""The autoencoder: its error, its code, and the Gaussian that it samples from."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet, mlp
from harness_plugins.models.autoencoder import Autoencoder, Config

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))


def build(**params) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(mlp.build(SPEC, mlp.Config(hidden=32)), SPEC, Config(latent_dim=4, hidden=32, **params))


@pytest.mark.parametrize("decoder", ["conv", "mlp"])
def test_the_error_is_that_of_the_decoded_image(decoder: str) -> None:
    images = torch.rand(6, 1, 8, 8)
    for error, reference in {"mse": F.mse_loss, "bce": F.binary_cross_entropy}.items():
        method = build(error=error, decoder=decoder).eval()
        expected = reference(method.reconstruct(images), images) * 64  # summed over pixels
        torch.testing.assert_close(method.loss(Batch(inputs=images)), expected)


def test_four_numbers_can_hold_four_images() -> None:
    method = build(decoder="mlp").train()
    images = torch.rand(4, 1, 8, 8).round()
    optimiser = torch.optim.Adam(method.parameters(), 0.01)
    for _ in range(300):
        optimiser.zero_grad()
        method.loss(Batch(inputs=images)).backward()
        optimiser.step()
    assert torch.equal(method.eval().reconstruct(images).round(), images)


def test_samples_are_decoded_draws_of_the_codes_of_training() -> None:
    method = build()
    for _ in range(5):
        method.train().loss(Batch(inputs=torch.rand(64, 1, 8, 8)))
    codes = method.eval().code(torch.rand(500, 1, 8, 8))
    torch.testing.assert_close(method.gaussian.mean, codes.mean(0), rtol=0, atol=0.05)
    drawn = method.gaussian.draw(3, torch.Generator().manual_seed(1))
    samples = method.sample(3, torch.Generator().manual_seed(1))
    torch.testing.assert_close(samples, method.decode(drawn))
    before = method.gaussian.mean.clone()
    method.loss(Batch(inputs=torch.zeros(8, 1, 8, 8)))  # in eval mode nothing is learned
    assert torch.equal(method.gaussian.mean, before)


def test_it_is_read_at_the_code_and_at_the_backbone() -> None:
    spec = DataSpec(inputs=ImageField(channels=3, size=16))
    method = Autoencoder(convnet.build(spec, convnet.Config(width=4)), spec, Config(latent_dim=5)).eval()
    images = torch.rand(2, 3, 16, 16)
    assert [tuple(method.read(images, name).shape) for name in method.readouts()] == [(2, 5), (2, 16)]
    assert torch.equal(method.read(images, "code"), method.encode(images))
    path = method.interpolate(images[:1], images[1:], 3)
    torch.testing.assert_close(path[:, -1], method.reconstruct(images[1:]))
    assert method.code_bits() == 160


@pytest.mark.parametrize("params", [{"latent_dim": 0}, {"hidden": 0}])
def test_bad_parameters_are_named(params: dict) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Config(**params)
