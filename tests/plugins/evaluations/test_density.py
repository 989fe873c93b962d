"""Density against a model whose log-likelihood is known in closed form: a linear code with Gaussian noise."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from harness.errors import TrainingFailed
from harness_plugins.evaluations import density
from harness_plugins.evaluations.density import Config, evidence_bound, importance_bound, run

LATENT, NOISE = 2, 0.25


class LinearGaussian(nn.Module):
    """x = z A + m + noise with z from N(0, I); q(z|x) is the posterior, or one that is `wider` times as wide."""

    def __init__(self, images: Tensor, wider: float = 1.0) -> None:
        super().__init__()
        pixels = images.flatten(1).double() / 255
        self.mean = pixels.mean(0)
        _, scales, axes = torch.linalg.svd(pixels - self.mean, full_matrices=False)
        self.loading = axes[:LATENT] * scales[:LATENT, None] / len(images) ** 0.5  # (L,P)
        self.covariance = torch.linalg.inv(torch.eye(LATENT).double() + self.loading @ self.loading.T / NOISE**2)
        self.wider = wider
        self.most = 0  # images times samples that were ever asked for at once

    def log_likelihood_bound(self, images: Tensor, samples: int) -> Tensor:
        self.most = max(self.most, len(images) * samples)
        x = images.double().flatten(1)
        centre = (x - self.mean) @ self.loading.T @ self.covariance / NOISE**2  # (B,L)
        q = MultivariateNormal(centre, self.wider**2 * self.covariance)
        z = q.sample((samples,))  # (K,B,L)
        prior = Normal(0.0, 1.0).log_prob(z).sum(2)
        likelihood = Normal(z @ self.loading + self.mean, NOISE).log_prob(x).sum(2)
        return (prior + likelihood - q.log_prob(z)).logsumexp(0) - log(samples)

    def exact(self, images: Tensor) -> Tensor:
        covariance = self.loading.T @ self.loading + NOISE**2 * torch.eye(len(self.mean)).double()
        return MultivariateNormal(self.mean, covariance).log_prob(images.flatten(1).double() / 255)


class Fails(LinearGaussian):
    def __init__(self, images: Tensor, answer: object) -> None:
        super().__init__(images)
        self.answer = answer

    def log_likelihood_bound(self, images: Tensor, samples: int) -> Tensor:
        return self.answer(super().log_likelihood_bound(images, samples))  # type: ignore[operator]


DATA = digits_dataset()


def test_with_the_posterior_itself_every_bound_is_exact(tmp_path: Path) -> None:
    model = LinearGaussian(DATA.train.values)
    exact = float(model.exact(DATA.test.values).mean())
    scores = run(example_subject(model, DATA, tmp_path), Config(samples=3))
    assert scores["elbo"].value == pytest.approx(exact, abs=1e-6)
    assert scores["log_likelihood"].value == pytest.approx(exact, abs=1e-6)
    assert scores["bits_per_dim"].value == pytest.approx(-exact / 64 / log(2))
    assert scores["log_likelihood"].n == len(DATA.test)


def test_every_test_image_has_its_own_outcome(tmp_path: Path) -> None:
    model = LinearGaussian(DATA.train.values)
    scores = run(example_subject(model, DATA, tmp_path), Config(samples=2))
    for name, factor in (("elbo", 1.0), ("log_likelihood", 1.0), ("bits_per_dim", -1 / 64 / log(2))):
        assert scores[name].rows is None
        torch.testing.assert_close(scores[name].outcomes, factor * model.exact(DATA.test.values), rtol=0, atol=1e-5)
    outcomes = scores["log_likelihood"].outcomes
    assert f"over images {float(outcomes.std()) / len(outcomes) ** 0.5:.2g}" in scores["log_likelihood"].note


def test_all_seeds_judge_the_same_images_in_blocks_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearGaussian(DATA.train.values)
    runs = [run(example_subject(model, DATA, tmp_path, seed=seed), Config(samples=2, limit=50)) for seed in (0, 1)]
    monkeypatch.setattr(density, "AT_ONCE", 17)
    runs.append(run(example_subject(model, DATA, tmp_path), Config(samples=2, limit=50)))
    exact = model.exact(DATA.test.values)
    for scores in runs:
        assert torch.equal(scores["elbo"].rows, runs[0]["elbo"].rows)
        torch.testing.assert_close(scores["elbo"].outcomes, exact[scores["elbo"].rows], rtol=0, atol=1e-5)
    assert run(example_subject(model, DATA, tmp_path), Config(samples=2, limit=10_000))["elbo"].rows is None


def test_more_samples_come_nearer_to_the_likelihood_from_below(tmp_path: Path) -> None:
    model = LinearGaussian(DATA.train.values, wider=2.0)
    runs = [run(example_subject(model, DATA, tmp_path), Config(samples=samples, limit=120)) for samples in (1, 10, 400)]
    exact = float(model.exact(DATA.test.values[runs[0]["elbo"].rows]).mean())
    bounds = [scores["log_likelihood"].value for scores in runs]
    assert bounds == sorted(bounds)
    assert bounds[-1] < exact
    assert bounds[-1] == pytest.approx(exact, abs=0.03)
    # the gap of one sample is the divergence of q from the posterior: L (w^2 - 1 - log w^2) / 2
    divergence = LATENT * (4 - 1 - log(4)) / 2
    assert runs[-1]["elbo"].value == pytest.approx(exact - divergence, abs=0.3)


def test_parts_combine_to_the_bound_of_all_samples_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LinearGaussian(DATA.train.values, wider=1.5)
    subject = example_subject(model, DATA, tmp_path)
    monkeypatch.setattr(density, "AT_ONCE", 30)
    monkeypatch.setattr(density, "SAMPLES_AT_ONCE", 7)
    images = DATA.test.values[:20]
    torch.manual_seed(0)
    values = torch.stack([importance_bound(subject, images, 40) for _ in range(10)])
    assert model.most <= 30
    torch.manual_seed(1)
    whole = torch.stack([model.log_likelihood_bound(images / 255, 40) for _ in range(30)])
    assert float(values.mean()) == pytest.approx(float(whole.mean()), abs=0.05)
    assert evidence_bound(subject, images, 2).shape == (20,)


def test_the_same_seed_gives_the_same_bits_and_no_more_than_the_limit_is_used(tmp_path: Path) -> None:
    model, state = LinearGaussian(DATA.train.values, wider=2.0), torch.get_rng_state()
    first, second = (run(example_subject(model, DATA, tmp_path), Config(samples=5, limit=60)) for _ in range(2))
    assert first == second
    assert all(torch.equal(score.outcomes, second[name].outcomes) for name, score in first.items())
    assert first["elbo"].n == 60
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(lambda bound: bound.mean(), r"gave \(\), expected"), (lambda bound: bound / 0, "not finite")],
)
def test_what_is_no_bound_fails_with_a_reason(tmp_path: Path, answer: object, reason: str) -> None:
    with pytest.raises(TrainingFailed, match=reason):
        run(example_subject(Fails(DATA.train.values, answer), DATA, tmp_path), Config(samples=2))


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"draws": 0}, {"limit": 1}])
def test_a_config_is_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Config(**wrong)
