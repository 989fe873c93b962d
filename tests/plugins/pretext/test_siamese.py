"""The siamese network's contrastive loss: Hadsell's formula by loops over pairs, its limits, two processes as one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from two_processes import assert_two_processes_agree_with_one

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.siamese import Config, Siamese, contrastive_loss

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))


def by_pairs(one: Tensor, other: Tensor, margin: float) -> Tensor:
    """Equation 4, pair by pair, with a mean over alike and one over different pairs."""
    views = [v / v.square().sum().sqrt() for v in (*one, *other)]
    n = len(one)
    alike, different = [], []
    for i in range(2 * n):
        for j in range(i):
            distance = (views[i] - views[j]).square().sum().sqrt()
            if i % n == j % n:
                alike.append(distance**2 / 2)
            else:
                different.append(torch.relu(margin - distance) ** 2 / 2)
    return torch.stack(alike).mean() + torch.stack(different).mean()


@pytest.mark.parametrize("margin", [0.5, 1.0, 1.8])
def test_loss_and_gradient_are_those_of_the_formula(margin: float) -> None:
    one, other = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found, expected = contrastive_loss(one, other, margin), by_pairs(one, other, margin)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    gradients = [torch.autograd.grad(loss, (one, other)) for loss in (found, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_orthogonal_images_cost_nothing_and_collapsed_ones_the_whole_margin() -> None:
    apart = torch.eye(4)
    assert contrastive_loss(apart, 3 * apart, 1.4).item() == pytest.approx(0, abs=1e-6)
    assert contrastive_loss(torch.ones(4, 2), torch.ones(4, 2), 1.4).item() == pytest.approx(1.4**2 / 2, abs=1e-3)


def test_the_gradient_of_identical_views_is_finite() -> None:
    views = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(contrastive_loss(views, views, 1.0), views)
    assert torch.isfinite(gradient).all()


def of_a_margin_of_1(one: Tensor, other: Tensor) -> Tensor:
    return contrastive_loss(one, other, 1.0)


def test_two_processes_have_the_gradient_of_one() -> None:
    """Pairs of different images are made across both."""
    assert_two_processes_agree_with_one("test_siamese:of_a_margin_of_1")


def test_the_method_poses_its_question() -> None:
    torch.manual_seed(0)
    method = Siamese(convnet.build(SPEC, convnet.Config()), SPEC, Config())
    batch = Batch(inputs=torch.rand(16, 1, 8, 8))
    assert 0 < method.loss(batch).item() < 2 + Config().margin ** 2 / 2
    cosines, answers = method.eval().solve(batch)
    assert cosines.shape == (16, 16)
    assert answers.tolist() == list(range(16))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"margin": 2.1}, "margin is a distance between points of a unit sphere, in"),
        ({"projection": 0}, "hidden and projection must be at least 1"),
        ({"jitter": 2.0}, "jitter is 2, expected a number"),
    ],
)
def test_impossible_configs_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
