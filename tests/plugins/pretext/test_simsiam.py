"""SimSiam: its loss by loops, where the gradient stops, and how collapse is seen."""

from __future__ import annotations

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.simsiam import Config, SimSiam, opposite, spread

SPEC = DataSpec(inputs=ImageField(channels=1, size=12))


def built() -> SimSiam:
    torch.manual_seed(0)
    return SimSiam(convnet.build(SPEC, convnet.Config()), SPEC, Config())


def test_it_is_minus_the_cosine_and_no_gradient_reaches_the_projection() -> None:
    draws = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0))
    predicted, projected = draws[0].clone().requires_grad_(), draws[1].clone().requires_grad_()
    naive = -sum(p @ z / (p.norm() * z.norm()) for p, z in zip(predicted, projected.detach(), strict=True)) / 12
    found = opposite(predicted, projected)
    torch.testing.assert_close(found, naive)
    (expected,) = torch.autograd.grad(naive, predicted)
    found.backward()
    torch.testing.assert_close(predicted.grad, expected, rtol=1e-5, atol=1e-5)
    assert projected.grad is None


def test_spread_is_1_for_a_uniform_distribution_and_0_for_one_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    assert spread(torch.randn(4000, 64, generator=generator)).item() == pytest.approx(1, abs=0.02)
    one = torch.randn(1, 64, generator=generator) * torch.rand(50, 1, generator=generator)
    assert spread(one).item() == pytest.approx(0, abs=1e-4)


def test_a_training_that_gives_one_direction_is_told() -> None:
    method = built().eval()
    images = torch.rand(32, 1, 12, 12)
    with torch.no_grad():
        trained = built()
        for _ in range(50):  # the running statistics of a network that sees these images
            trained.projector(trained.backbone(images))
        assert trained.eval().diagnose(images) == ""
        method.projector[-1].running_mean.fill_(100.0)  # type: ignore[union-attr,operator]
        assert method.diagnose(images).startswith("collapsed: the spread of the projections' directions is")


def test_its_spread_is_shown_while_it_trains() -> None:
    batch = Batch(inputs=torch.rand(32, 1, 12, 12))
    loss = built().loss(batch)
    assert -1 <= loss.item() <= 1
    assert 0.5 < batch.scalars["spread"].item() < 1.1


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"projection": 1}, {"bottleneck": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Config(**wrong)  # type: ignore[arg-type]
