"""Triplets: FaceNet's formula by loops, each choice of negatives, and two processes as one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from two_processes import assert_two_processes_agree_with_one

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.triplet import Config, Negatives, Triplet, chosen, triplet_losses

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
MARGIN = 0.5


def embeddings(images: int = 6, dim: int = 3) -> tuple[Tensor, Tensor]:
    one, other = torch.randn(2, images, dim, generator=torch.Generator().manual_seed(0)).requires_grad_()
    return one, other


def by_loops(one: Tensor, other: Tensor, choose: Callable[[Tensor, dict[int, Tensor]], int]) -> Tensor:
    """The formula, triplet by triplet; `choose` gets |A-P|^2 and |A-N|^2 of every N that may be taken."""
    views = [v / v.square().sum().sqrt() for v in (*one, *other)]
    n, losses = len(one), []
    for a, anchor in enumerate(views):
        positive = (anchor - views[(a + n) % (2 * n)]).square().sum()
        negatives = {i: (anchor - view).square().sum() for i, view in enumerate(views) if i % n != a % n}
        negative = negatives[choose(positive, negatives)]
        losses.append(torch.relu(positive - negative + MARGIN))
    return torch.stack(losses)


def hardest(positive: Tensor, negatives: dict[int, Tensor]) -> int:
    return min(negatives, key=lambda i: negatives[i].item())


def semi_hard(positive: Tensor, negatives: dict[int, Tensor]) -> int:
    farther = {i: d for i, d in negatives.items() if d > positive}
    return hardest(positive, farther) if farther else max(negatives, key=lambda i: negatives[i].item())


@pytest.mark.parametrize(("negatives", "choose"), [("hard", hardest), ("semi-hard", semi_hard)])
def test_losses_and_gradients_are_those_of_the_formula(negatives: Negatives, choose: Callable[..., int]) -> None:
    one, other = embeddings()
    found, expected = triplet_losses(one, other, MARGIN, negatives), by_loops(one, other, choose)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert int((found > 0).sum()) > 0
    gradients = [torch.autograd.grad(losses.mean(), (one, other)) for losses in (found, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_random_negatives_are_any_view_of_any_other_image() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([chosen(torch.zeros(8, 8), "random") for _ in range(400)])  # (400,8)
    for anchor in range(8):
        taken = drawn[:, anchor].bincount(minlength=8)
        own = {anchor, (anchor + 4) % 8}
        assert all((taken[view] == 0) == (view in own) for view in range(8))
        assert taken.max() < 110  # of 400 among 6


def test_random_negatives_keep_the_formula() -> None:
    one, other = embeddings()
    torch.manual_seed(3)
    drawn = iter(chosen(torch.zeros(12, 12), "random").tolist())
    torch.manual_seed(3)
    found = triplet_losses(one, other, MARGIN, "random")
    torch.testing.assert_close(found, by_loops(one, other, lambda *_: next(drawn)), rtol=1e-5, atol=1e-6)


def test_without_a_farther_negative_the_farthest_is_taken() -> None:
    """The positive of anchor 0 is opposite to it: no other view can be farther."""
    one = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    other = torch.tensor([[-1.0, 0.0], [0.6, 0.8]])
    losses = triplet_losses(one, other, MARGIN, "semi-hard")
    assert losses[0].item() == pytest.approx(4 - 0.8 + MARGIN)  # |A-N|^2 = 2 - 2 * 0.6


def test_embeddings_that_tell_images_apart_cost_nothing_and_collapsed_ones_the_margin() -> None:
    apart = torch.eye(4)
    for negatives in ("random", "semi-hard", "hard"):
        assert not triplet_losses(apart, 3 * apart, MARGIN, negatives).any()
        collapsed = triplet_losses(torch.ones(4, 2), torch.ones(4, 2), MARGIN, negatives)
        assert torch.equal(collapsed, torch.full((8,), MARGIN))


def of_random_negatives(one: Tensor, other: Tensor) -> Tensor:
    torch.manual_seed(0)  # the same draws on each process
    return triplet_losses(one, other, MARGIN, "random").mean()


def of_semi_hard_negatives(one: Tensor, other: Tensor) -> Tensor:
    return triplet_losses(one, other, MARGIN, "semi-hard").mean()


def of_hard_negatives(one: Tensor, other: Tensor) -> Tensor:
    return triplet_losses(one, other, MARGIN, "hard").mean()


def test_two_processes_have_the_gradient_of_one() -> None:
    """Negatives are looked for among the views of both."""
    losses = ("of_random_negatives", "of_semi_hard_negatives", "of_hard_negatives")
    assert_two_processes_agree_with_one(*[f"test_triplet:{loss}" for loss in losses])


def test_the_method_logs_how_many_triplets_still_teach_and_poses_its_question() -> None:
    torch.manual_seed(0)
    method = Triplet(convnet.build(SPEC, convnet.Config()), SPEC, Config())
    batch = Batch(inputs=torch.rand(16, 1, 8, 8))
    assert 0 < method.loss(batch).item() < 4 + Config().margin
    assert 0 < batch.scalars["within margin"].item() <= 1
    cosines, answers = method.eval().solve(batch)
    assert cosines.shape == (16, 16)
    assert answers.tolist() == list(range(16))
    assert -1.001 < cosines.min() <= cosines.max() < 1.001


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"margin": 0.0}, "margin is one of squared distances between points of a unit sphere, in"),
        ({"hidden": 0}, "hidden and projection must be at least 1"),
        ({"crop": 0.0}, "crop is 0, expected a fraction"),
    ],
)
def test_impossible_configs_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
