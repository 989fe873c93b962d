"""Stochastic next frames: the loss by torch.distributions, and futures that differ where the future is open."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from harness.data.batches import Batch
from harness.data.fields import DataSpec, VideoField
from harness.errors import NotApplicable
from harness_plugins.backbones import conv3d
from harness_plugins.pretext import stochastic_next_frame as module

T, SIZE = 8, 12

SPEC = DataSpec(inputs=VideoField(frames=T, channels=1, size=SIZE))


def built(spec=SPEC, **params):
    torch.manual_seed(0)
    config = module.Config(**params)
    return module.harness_method().build(conv3d.build(spec, conv3d.Config(width=4)), spec, config)


def clips(n: int = 4) -> Tensor:
    return torch.rand(n, T, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def test_the_divergence_is_that_of_torch() -> None:
    means, spreads = torch.randn(2, 2, 5, 3, generator=torch.Generator().manual_seed(0)).double()
    one, two = (Normal(mean, (0.5 * spread).exp()) for mean, spread in zip(means, spreads, strict=True))
    found = module.divergence_of((means[0], spreads[0]), (means[1], spreads[1]))
    torch.testing.assert_close(found, kl_divergence(one, two).sum(1))
    assert (module.divergence_of((means[0], spreads[0]), (means[0], spreads[0])) == 0).all()


def test_the_loss_is_equation_5_with_what_next_frame_asks_beside() -> None:
    method = built(past=7, beta=0.3, drawing=0.25, present=0.5)  # one frame ahead, so that windows begin at 0
    batch = Batch(inputs=clips())
    torch.manual_seed(3)
    loss = method.loss(batch)
    torch.manual_seed(3)
    torch.randint(1, ())
    seen, future = batch.inputs[:, :7], batch.inputs[:, 7:]
    code = method.backbone(seen)
    prior, posterior = (
        Normal(mean, (0.5 * spread).exp())
        for mean, spread in (method.prior(code), method.posterior(torch.cat([code, method.backbone(batch.inputs)], 1)))
    )
    latent = posterior.mean + posterior.stddev * torch.randn(4, 8)
    painted, drawn = method.painter(torch.cat([code, latent], 1), seen[:, -1:])
    errors = [(part - future).square().mean() for part in (painted, drawn)]
    present = (method.present(code) - seen[:, -1]).square().mean()
    divergence = kl_divergence(posterior, prior).sum(1).mean()
    torch.testing.assert_close(loss, errors[0] + 0.3 * divergence + 0.25 * errors[1] + 0.5 * present)
    torch.testing.assert_close(batch.scalars["divergence"], divergence.detach())


def test_without_its_weight_the_code_draws_no_present() -> None:
    assert built(present=0.0).present is None


@torch.no_grad()
def test_one_answer_has_the_mean_of_the_prior_and_draws_have_its_spread() -> None:
    method = built(past=4, ahead=2).eval()
    past = clips()[:, :4]
    told = method.forecast(past, 3)
    code = method.backbone(past)
    first = method.painter(torch.cat([code, method.prior(code)[0]], 1), past[:, -1:])[0].clamp(0, 1)
    torch.testing.assert_close(told[:, :2], first)
    torch.testing.assert_close(told, method.forecast(past, 4)[:, :3])
    draws = [method.sample_future(past, 3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    method.prior.layers[-1].bias[8:] = -1e3  # held at a variance of e^-10
    method.prior.layers[-1].weight[8:] = 0
    sure = method.sample_future(past, 3, torch.Generator().manual_seed(0))
    assert (sure - told).abs().max() < 0.2 * (draws[0] - told).abs().max()


def test_a_few_steps_teach_that_there_are_two_futures() -> None:
    """A bar in the middle jumps to the left or to the right edge: draws have one of both, and both are drawn."""
    bars = torch.zeros(64, T, 1, SIZE, SIZE)
    bars[:, :7, :, :, SIZE // 2] = 1
    left = torch.arange(64) % 2 == 0
    bars[left, 7:, :, :, 0] = bars[~left, 7:, :, :, -1] = 1
    method = built(past=7, drawing=1.0, present=0.0, latent=2, beta=1e-3)
    optimiser = torch.optim.Adam(method.parameters(), 5e-3)
    for _ in range(80):
        optimiser.zero_grad()
        method.loss(Batch(inputs=bars)).backward()
        optimiser.step()
    method.eval()
    with torch.no_grad():
        drawn = method.sample_future(bars[:, :7], 1, torch.Generator().manual_seed(0))
    edges = drawn[:, 0, 0, :, [0, -1]].mean(1)  # (B,2): ink at the left, and at the right
    assert 0.2 < float((edges[:, 0] > 0.6).float().mean()) < 0.8
    assert 0.2 < float((edges[:, 1] > 0.6).float().mean()) < 0.8
    assert ((edges > 0.6).sum(1) <= 1).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [({"latent": 0}, "at least 1"), ({"beta": -1.0}, "weights: at least 0")],
)
def test_odd_parameters_are_refused(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module.Config(**params)


def test_clips_without_a_future_are_skipped_with_the_reason() -> None:
    spec = DataSpec(inputs=VideoField(frames=4, channels=1, size=SIZE))
    with pytest.raises(NotApplicable, match="no future after past=4"):
        built(spec)
