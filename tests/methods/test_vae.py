"""The VAE's loss against torch.distributions, and its abilities."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from harness.data.batches import Batch
from harness.records import ImageSpec
from harness_plugins.backbones import convnet, mlp
from harness_plugins.models.vae import VAE, Config, bernoulli_nll, kl_from_standard_normal

DIGITS = ImageSpec(channels=1, size=8, classes=tuple("0123456789"), mean=(0.3,), std=(0.35,))


def test_the_divergence_is_that_of_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    mu, log_variance = torch.randn(2, 5, 7, generator=generator)
    expected = kl_divergence(Normal(mu, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_from_standard_normal(mu, log_variance), expected)
    assert kl_from_standard_normal(torch.zeros(3, 2), torch.zeros(3, 2)) == 0


def test_the_reconstruction_term_is_the_bernoulli_likelihood_of_binary_images() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 8, 8, generator=generator)
    images = torch.randint(0, 2, (4, 1, 8, 8), generator=generator).float()
    expected = -Bernoulli(logits=logits).log_prob(images).sum((1, 2, 3)).mean()
    torch.testing.assert_close(bernoulli_nll(logits, images), expected)


def test_beta_weighs_the_divergence_alone() -> None:
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    losses = {}
    for beta in (0.0, 1.0, 4.0):
        torch.manual_seed(0)
        method = VAE(convnet.build(DIGITS, convnet.Config()), DIGITS, Config(beta=beta)).eval()
        torch.manual_seed(1)
        batch = Batch(inputs=images)
        losses[beta] = method.loss(batch).item()
    divergence = batch.scalars["divergence"].item()
    assert losses[1.0] - losses[0.0] == pytest.approx(divergence, rel=1e-4)
    assert losses[4.0] - losses[0.0] == pytest.approx(4 * divergence, rel=1e-4)


@pytest.mark.parametrize("size", [8, 28, 30, 32])
@pytest.mark.parametrize("decoder", ["conv", "mlp"])
def test_it_decodes_to_any_size(size: int, decoder: str) -> None:
    spec = ImageSpec(channels=3, size=size)
    method = VAE(mlp.build(spec, mlp.Config(hidden=16)), spec, Config(decoder=decoder, latent_dim=4)).eval()
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        assert method.reconstruct(images).shape == images.shape
        path = method.interpolate(images[:1], images[1:], 5)
        assert path.shape == (1, 5, 3, size, size)
        torch.testing.assert_close(path[:, 0], method.reconstruct(images[:1]))
        torch.testing.assert_close(path[:, -1], method.reconstruct(images[1:]))
        assert method.encode(images).shape == (2, 4)


@pytest.mark.parametrize(
    ("params", "message"), [({"latent_dim": 0}, "at least 1"), ({"beta": -1.0}, "not be negative")]
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
