"""DINO: its loss by loops, its centre, its prototypes that rest at first, and how both kinds of collapse are seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from two_processes import assert_two_processes_agree_with_one

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.optimisation import Optimisation
from harness.records import TrainConfig
from harness_plugins.backbones import convnet, mlp
from harness_plugins.pretext.dino import Config, Dino, agreement, effective_dimension, moved, told_apart

SPEC = DataSpec(inputs=ImageField(channels=1, size=12))


def built(**config: Any) -> Dino:
    torch.manual_seed(0)
    return Dino(convnet.build(SPEC, convnet.Config()), SPEC, Config(**config))


def half_a_batch_centred(one: Tensor, other: Tensor) -> Tensor:
    """Both views taught and learned, about a centre that has moved by the mean of the whole batch."""
    method = built(balance="centre", prototypes=one.shape[1], teacher=0.5)
    taught = torch.stack([one, other]).detach()
    method.centre.copy_(moved(method.centre, taught, 0.5))
    return agreement(method.targets(taught), torch.stack([one, other]).log_softmax(2))


def half_a_batch_of_equal_shares(one: Tensor, other: Tensor) -> Tensor:
    method = built(balance="sinkhorn", prototypes=one.shape[1], teacher=0.5)
    return agreement(method.targets(torch.stack([one, other])), torch.stack([one, other]).log_softmax(2))


def by_loops(targets: Tensor, logs: Tensor) -> Tensor:
    """Algorithm 1 with multi-crop: every target with every view but the one that it is of."""
    total, count = torch.zeros(()), 0
    for i in range(len(targets)):
        for j in range(len(logs)):
            for b in range(targets.shape[1] if i != j else 0):
                total, count = total - (targets[i, b] * logs[j, b]).sum(), count + 1
    return total / count


def test_the_loss_is_algorithm_1_in_value_and_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(2, 8, 5, generator=generator).softmax(2)
    scores = torch.randn(6, 8, 5, generator=generator).requires_grad_()
    found, expected = (loss(targets, scores.log_softmax(2)) for loss in (agreement, by_loops))
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, scores)[0] for loss in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_the_centre_follows_the_mean_of_the_scores() -> None:
    taught = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0))
    mean = taught.reshape(16, 5).mean(0)
    torch.testing.assert_close(moved(torch.zeros(5), taught, 0.75), mean / 4)
    torch.testing.assert_close(moved(mean, taught, 0.75), mean)


@pytest.mark.parametrize("balanced", ["centred", "of_equal_shares"])
def test_two_processes_have_the_gradient_of_one(balanced: str) -> None:
    assert_two_processes_agree_with_one(f"test_dino:half_a_batch_{balanced}")


@pytest.mark.parametrize("balance", ["centre", "sinkhorn"])
def test_what_one_prototype_would_take_alone_is_shared(balance: str) -> None:
    taught = torch.randn(1, 64, 8, generator=torch.Generator().manual_seed(0)) / 10 + torch.eye(8)[0]
    method = built(balance=balance, prototypes=8, teacher=0.05, centring=0.0)
    unbalanced = (taught / 0.05).softmax(2).mean((0, 1))
    method.centre.copy_(moved(method.centre, taught, 0.0))
    shares = method.targets(taught).mean((0, 1))
    assert float(unbalanced[0]) > 0.95
    assert float(shares.max()) < 0.2


def test_assignments_tell_all_where_each_image_has_its_own_and_nothing_after_either_collapse() -> None:
    assert told_apart(torch.eye(8)).item() == pytest.approx(1)
    assert told_apart(torch.full((8, 4), 1 / 4)).item() == pytest.approx(0, abs=1e-6)
    assert told_apart(torch.eye(8)[:1].expand(6, -1)).item() == 0


def test_the_effective_dimension_is_that_of_the_covariance() -> None:
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7)
    spread = torch.linalg.eigvalsh(features.double().T.cov())
    assert effective_dimension(features).item() == pytest.approx((spread.sum() ** 2 / (spread**2).sum()).item())


def test_a_step_moves_the_centre_and_the_teacher() -> None:
    method = built(decay=0.9)
    method.loss(Batch(inputs=torch.rand(16, 1, 12, 12)))
    assert float(method.centre.abs().max()) > 0
    slow = method.teacher.network[2].directions.clone()  # type: ignore[union-attr]
    with torch.no_grad():
        method.prototypes.directions.add_(1.0)
    method.after_step(0.0)
    torch.testing.assert_close(method.teacher.network[2].directions, slow + 0.1)  # type: ignore[arg-type,union-attr]


def test_prototypes_rest_at_first() -> None:
    method = built(frozen=0.5)
    steps = Optimisation(method, TrainConfig(learning_rate=0.01), "fp32")
    for progress, moves in ((0.0, False), (0.49, False), (0.5, True)):
        before = method.prototypes.directions.detach().clone()
        steps.step(Batch(inputs=torch.rand(16, 1, 12, 12), progress=progress))
        assert torch.equal(method.prototypes.directions, before) is not moves


def test_small_views_are_small_where_the_backbone_takes_them() -> None:
    assert built().small.size == 6
    assert Dino(mlp.build(SPEC, mlp.Config()), SPEC, Config()).small.size == 12
    loss = built(small=0).loss(Batch(inputs=torch.rand(16, 1, 12, 12)))
    assert torch.isfinite(loss)


@pytest.mark.parametrize("balance", ["centre", "sinkhorn"])
@pytest.mark.parametrize(
    ("features", "words"),
    [
        (torch.randn(64, 128, generator=torch.Generator().manual_seed(0)), ""),
        (torch.ones(64, 128), "collapsed: assignments to prototypes tell"),
        (
            torch.linspace(-1, 1, 64)[:, None] * torch.ones(128),
            "collapsed: the features have an effective dimension of 1.00",
        ),
    ],
)
def test_what_went_wrong_is_told(features: Tensor, words: str, balance: str) -> None:
    method = built(balance=balance, teacher=0.01).eval()
    method.backbone.forward = lambda inputs: features  # type: ignore[assignment]
    with torch.no_grad():
        reason = method.diagnose(torch.rand(64, 1, 12, 12))
    assert reason.startswith(words)
    assert bool(reason) is bool(words)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prototypes": 1}, "prototypes"),
        ({"teacher": 0.0}, "temperatures"),
        ({"centring": 1.5}, "centring"),
        ({"decay": -0.1}, "decay"),
        ({"frozen": 1.0}, "frozen"),
        ({"small": -1}, "small"),
        ({"small_size": 0.0}, "small_size"),
        ({"small_crop": 0.9}, "small_crop is an area in"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**wrong)  # type: ignore[arg-type]
