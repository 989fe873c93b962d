"""The sparse autoencoder: its penalty against torch.distributions, and that it makes the code sparse."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import mlp
from harness_plugins.models.sparse_autoencoder import Config, SparseAutoencoder, sparsity_penalty

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
IMAGES = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()


def build(**params) -> SparseAutoencoder:
    torch.manual_seed(0)
    config = Config(latent_dim=24, hidden=32, decoder="mlp", **params)
    return SparseAutoencoder(mlp.build(SPEC, mlp.Config(hidden=32)), SPEC, config)


def trained(steps: int, **params) -> SparseAutoencoder:
    method = build(**params).train()
    optimiser = torch.optim.Adam(method.parameters(), 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        method.loss(Batch(inputs=IMAGES)).backward()
        optimiser.step()
    return method.eval().requires_grad_(False)


def test_the_penalty_is_the_divergence_of_torch_distributions() -> None:
    means = torch.tensor([0.01, 0.1, 0.3, 0.99])
    expected = kl_divergence(Bernoulli(torch.tensor(0.1)), Bernoulli(means)).sum()
    torch.testing.assert_close(sparsity_penalty(means, 0.1), expected)
    assert sparsity_penalty(torch.full((5,), 0.1), 0.1).abs() < 1e-6
    assert sparsity_penalty(torch.tensor([0.0, 1.0]), 0.1).isfinite()


def test_the_weight_weighs_the_penalty_alone() -> None:
    batches = [Batch(inputs=IMAGES) for _ in range(2)]
    without, with_it = (build(weight=weight).loss(batch) for weight, batch in zip((0.0, 5.0), batches, strict=True))
    torch.testing.assert_close(with_it - without, 5 * batches[0].scalars["penalty"])
    torch.testing.assert_close(without.detach(), batches[0].scalars["reconstruction"])


def test_codes_are_as_active_as_was_asked_for() -> None:
    rare, often = (float(trained(200, activity=activity, weight=5.0).code(IMAGES).mean()) for activity in (0.05, 0.4))
    assert rare == pytest.approx(0.05, abs=0.02)
    assert often == pytest.approx(0.4, abs=0.04)


def test_a_code_starts_at_the_wanted_activity() -> None:
    assert build(activity=0.1).code(IMAGES).mean().item() == pytest.approx(0.1, abs=0.05)


def test_a_dead_code_is_diagnosed() -> None:
    method = build().eval().requires_grad_(False)
    assert method.diagnose(IMAGES) == ""
    method.units.weight.zero_()
    assert method.diagnose(IMAGES).startswith("dead code: the activity of no unit")


@pytest.mark.parametrize(
    ("params", "message"),
    [({"activity": 0.0}, "mean in"), ({"weight": -1.0}, "not be negative"), ({"latent_dim": 0}, "at least 1")],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
