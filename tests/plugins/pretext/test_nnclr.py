"""NNCLR: neighbours and equation 2 by loops, gradients through predictions alone, two processes as one."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from two_processes import assert_two_processes_agree_with_one

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.nnclr import Config, NnClr, nearest, nnclr_loss

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))


def method(**config: float) -> NnClr:
    torch.manual_seed(0)
    return NnClr(convnet.build(SPEC, convnet.Config()), SPEC, Config(**{"queue": 20, **config}))


def rows(n: int, seed: int, dim: int = 5) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def cosine(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt())


def test_the_nearest_row_has_the_largest_cosine() -> None:
    embeddings, queue = rows(6, 0), rows(20, 1)
    for embedding, found in zip(embeddings, nearest(embeddings, queue), strict=True):
        best = max(queue, key=lambda row, asked=embedding: cosine(asked, row))
        torch.testing.assert_close(found, best / best.square().sum().sqrt())


def test_loss_and_gradient_are_those_of_equation_2() -> None:
    neighbours, predictions = rows(6, 0), rows(6, 1).requires_grad_()
    loss = nnclr_loss(neighbours, predictions, 0.3)
    terms = []
    for i in range(6):
        alike = [torch.cosine_similarity(neighbours[i], predictions[k], dim=0) / 0.3 for k in range(6)]
        terms.append(-(alike[i].exp() / torch.stack(alike).exp().sum()).log())
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(loss, expected)
    found, theirs = (torch.autograd.grad(value, predictions)[0] for value in (loss, expected))
    torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-6)


def test_both_views_play_both_parts_and_the_first_enters_the_queue() -> None:
    nnclr, images = method(temperature=0.3), torch.rand(6, 1, 8, 8)
    before = nnclr.queue.values.clone()
    torch.manual_seed(1)
    loss = nnclr.loss(Batch(inputs=images)).item()
    torch.manual_seed(1)
    one, other = nnclr.projections(images)
    predictions = nnclr.predictor(torch.cat([one, other])).detach()
    terms = []
    for asked, given in ((one.detach(), predictions[6:]), (other.detach(), predictions[:6])):
        for i in range(6):
            neighbour = max(before, key=lambda row, asked=asked[i]: cosine(asked, row))
            alike = [exp(cosine(neighbour, prediction) / 0.3) for prediction in given]
            terms.append(-log(alike[i] / sum(alike)))
    assert loss == pytest.approx(sum(terms) / 12, abs=1e-5)
    torch.testing.assert_close(nnclr.queue.values[:6], F.normalize(one.detach(), dim=1))
    assert torch.equal(nnclr.queue.values[6:], before[6:])


def test_a_queue_of_one_place_tells_nothing() -> None:
    """Every neighbour is the same row: the best that a prediction can do is to be like all others."""
    same = nearest(rows(6, 0), rows(1, 1))
    assert nnclr_loss(same, same, 0.1).item() == pytest.approx(log(6), abs=1e-5)


QUEUE = rows(20, 2)


def both_ways(one: Tensor, other: Tensor) -> Tensor:
    return nnclr_loss(nearest(one, QUEUE), other, 0.1) + nnclr_loss(nearest(other, QUEUE), one, 0.1)


def test_two_processes_have_the_gradient_of_one() -> None:
    assert_two_processes_agree_with_one("test_nnclr:both_ways")


def test_the_method_poses_its_question() -> None:
    logits, answers = method().eval().solve(Batch(inputs=torch.rand(16, 1, 8, 8)))
    assert logits.shape == (16, 16)
    assert answers.tolist() == list(range(16))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"queue": 0}, "hidden, projection, layers and queue must be at least 1"),
        ({"blur": -1.0}, "blur is -1, expected a number"),
    ],
)
def test_impossible_configs_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
