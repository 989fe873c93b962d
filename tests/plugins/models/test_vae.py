"""The VAE's loss against torch.distributions, its bound against an integral on a grid, and its abilities."""

from __future__ import annotations

from math import log, pi

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.nn.likelihoods import bernoulli_nll
from harness_plugins.backbones import convnet, mlp
from harness_plugins.models import vae
from harness_plugins.models.vae import VAE, Config, kl_from_standard_normal, likelihood_for

DIGITS = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.3,), std=(0.35,)), classes=tuple("0123456789"))


def test_the_divergence_is_that_of_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    mu, log_variance = torch.randn(2, 5, 7, generator=generator)
    expected = kl_divergence(Normal(mu, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_from_standard_normal(mu, log_variance), expected)
    assert kl_from_standard_normal(torch.zeros(3, 2), torch.zeros(3, 2)) == 0


def small(likelihood: str = "bernoulli", steps: int = 150) -> tuple[VAE, Tensor]:
    """A VAE with two latent dimensions, trained for a moment, and the 32 images it saw."""
    torch.manual_seed(0)
    images = torch.nn.functional.interpolate(torch.rand(32, 1, 3, 3), size=8, mode="bilinear").round()
    spec = DataSpec(inputs=ImageField(channels=1, size=8))
    config = Config(latent_dim=2, decoder="mlp", hidden=32, likelihood=likelihood)  # type: ignore[arg-type]
    method = VAE(mlp.build(spec, mlp.Config(hidden=32)), spec, config)
    optimiser = torch.optim.Adam(method.parameters(), 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        method.loss(Batch(inputs=images)).backward()
        optimiser.step()
    return method.eval().requires_grad_(False), images


def integrated_log_likelihood(method: VAE, images: Tensor, likelihood: str) -> Tensor:
    """log of the integral of p(x|z) p(z) over a grid of z in [-6,6]^2: (B,)."""
    axis = torch.linspace(-6, 6, 121)
    z = torch.cartesian_prod(axis, axis)  # (G,2)
    decoded = method.decoder(z)[:, None].double()  # (G,1,C,H,W)
    variance = method.calibrated.variance.double() if likelihood == "calibrated" else torch.ones(())
    gaussian = Normal(decoded.sigmoid(), variance.sqrt())
    density = Bernoulli(logits=decoded) if likelihood == "bernoulli" else gaussian
    log_p = density.log_prob(images.double()).sum((2, 3, 4))  # (G,B)
    log_prior = -0.5 * z.double().square().sum(1) - log(2 * pi)  # (G,)
    return (log_p + log_prior[:, None]).logsumexp(0) + 2 * log(float(axis[1] - axis[0]))


@pytest.mark.parametrize(("likelihood", "steps"), [("bernoulli", 150), ("gaussian", 150), ("calibrated", 100)])
def test_the_bound_approaches_the_integrated_likelihood(likelihood: str, steps: int) -> None:
    method, images = small(likelihood, steps)
    exact = integrated_log_likelihood(method, images[:4], likelihood).float()
    torch.manual_seed(0)
    often = images[:4].repeat(250, 1, 1, 1)
    few, many = (method.log_likelihood_bound(often, samples).view(250, 4).mean(0) for samples in (1, 10))
    torch.testing.assert_close(method.log_likelihood_bound(images[:4], 40_000), exact, rtol=0, atol=0.1)
    assert (few < many).all()
    assert (many < exact + 0.05).all()
    assert (exact - few).mean() > 0.1  # far enough from the evidence lower bound that the test can fail


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "calibrated"])
def test_one_sample_gives_the_evidence_lower_bound(likelihood: str) -> None:
    method, images = small(likelihood)
    torch.manual_seed(0)
    often = images.repeat(200, 1, 1, 1)
    bound = method.log_likelihood_bound(often, 1).mean()
    loss = method.loss(Batch(inputs=often))
    assert bound.item() == pytest.approx(-loss.item(), abs=0.15)


def test_colours_have_a_calibrated_gaussian_unless_asked_otherwise() -> None:
    colours = DataSpec(inputs=ImageField(channels=3, size=8))
    assert likelihood_for(DIGITS, Config()) == "bernoulli"
    assert likelihood_for(colours, Config()) == "calibrated"
    assert likelihood_for(colours, Config(likelihood="bernoulli")) == "bernoulli"


def test_the_bound_decodes_few_images_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    method, images = small()
    torch.manual_seed(0)
    whole = method.log_likelihood_bound(images, 64)
    decoded: list[int] = []
    method.decoder.register_forward_hook(lambda _, inputs, __: decoded.append(len(inputs[0])))
    monkeypatch.setattr(vae, "DECODED", 20)
    pieces = method.log_likelihood_bound(images, 64)
    assert max(decoded) <= 20
    assert sum(decoded) == 32 * 64
    torch.testing.assert_close(pieces.mean(), whole.mean(), rtol=0, atol=0.1)


def test_a_collapsed_posterior_is_diagnosed() -> None:
    method, images = small()
    assert method.diagnose(images) == ""
    method.posterior.weight[:2] = 0.0
    assert method.diagnose(images).startswith("posterior collapse: none of 2 latent units")


def test_beta_rises_in_the_warmup() -> None:
    method = VAE(mlp.build(DIGITS, mlp.Config()), DIGITS, Config(beta=2.0, warmup=0.5))
    assert [method.beta_at(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == [0.0, 1.0, 2.0, 2.0]
    assert VAE(mlp.build(DIGITS, mlp.Config()), DIGITS, Config()).beta_at(0.0) == 1.0


def test_the_published_perceptron_can_be_asked_for() -> None:
    """784-400-(40)-400-784, as in the reproductions of static MNIST's 89.8 nats."""
    spec = DataSpec(inputs=ImageField(channels=1, size=28))
    method = VAE(mlp.build(spec, mlp.Config()), spec, Config(latent_dim=40, decoder="mlp", hidden=400))
    layers = [tuple(layer.weight.shape) for layer in method.modules() if isinstance(layer, torch.nn.Linear)]
    assert layers == [(400, 784), (80, 400), (400, 40), (784, 400)]


def test_the_representation_can_be_read_in_two_places() -> None:
    method, images = small(steps=0)
    assert torch.equal(method.read(images, "mu"), method.encode(images))
    assert torch.equal(method.read(images, "backbone"), method.backbone(images))


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
    spec = DataSpec(inputs=ImageField(channels=3, size=size))
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
    ("params", "message"),
    [({"latent_dim": 0}, "at least 1"), ({"beta": -1.0}, "not be negative"), ({"warmup": 1.5}, "fraction")],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
