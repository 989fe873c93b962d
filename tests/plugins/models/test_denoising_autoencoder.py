"""The denoising autoencoder: how it corrupts, and that the clean image is what it restores."""

from __future__ import annotations

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import mlp
from harness_plugins.models.denoising_autoencoder import Config, DenoisingAutoencoder

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
IMAGES = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.1


def build(**params) -> DenoisingAutoencoder:
    torch.manual_seed(0)
    config = Config(latent_dim=8, hidden=64, decoder="mlp", **params)
    return DenoisingAutoencoder(mlp.build(SPEC, mlp.Config(hidden=64)), SPEC, config)


def test_masking_loses_the_asked_share_and_leaves_the_rest() -> None:
    corrupted = build(corruption="masking", level=0.3).corrupted(IMAGES)
    lost = corrupted == 0
    assert float(lost.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(corrupted[~lost], IMAGES[~lost])


def test_gaussian_noise_has_the_asked_deviation() -> None:
    noise = build(corruption="gaussian", level=0.4).corrupted(IMAGES) - IMAGES
    assert float(noise.std()) == pytest.approx(0.4, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("corruption", ["masking", "gaussian"])
def test_without_corruption_it_is_an_autoencoder(corruption: str) -> None:
    method = build(corruption=corruption, level=0.0).eval()
    expected = (method.reconstruct(IMAGES) - IMAGES).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(method.loss(Batch(inputs=IMAGES)), expected)


def test_the_target_is_the_clean_image() -> None:
    """It learns to restore two patterns from copies that have lost half their pixels."""
    patterns = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)).round()
    images = patterns.repeat(32, 1, 1, 1)
    method = build(corruption="masking", level=0.5).train()
    optimiser = torch.optim.Adam(method.parameters(), 0.01)
    for _ in range(150):
        optimiser.zero_grad()
        method.loss(Batch(inputs=images)).backward()
        optimiser.step()
    method.eval()
    corrupted = method.corrupted(images)
    left = (method.reconstruct(corrupted) - images).square().mean()
    assert left < 0.1 * (corrupted - images).square().mean()


def test_the_representation_is_that_of_the_clean_image() -> None:
    method = build().eval()
    assert torch.equal(method.encode(IMAGES), method.bottleneck(method.backbone(IMAGES)))
    assert torch.equal(method.encode(IMAGES), method.read(IMAGES, method.readouts()[0]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"level": -0.1}, "not be negative"),
        ({"corruption": "masking", "level": 1.0}, "below 1"),
        ({"latent_dim": 0}, "at least 1"),
    ],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
