"""MoCo: its formula by loops, a queue of keys, a slow network without gradients."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
import torch.nn.functional as F

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.moco import Config, MoCo

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))


def method(**config: float) -> MoCo:
    torch.manual_seed(0)
    return MoCo(convnet.build(SPEC, convnet.Config()), SPEC, Config(**{"queue": 20, **config}))


def test_the_loss_is_the_cross_entropy_of_the_own_key_beside_the_queue() -> None:
    moco, images = method(temperature=0.3), torch.rand(6, 1, 8, 8)
    before = moco.queue.values.clone()
    torch.manual_seed(1)
    loss = moco.loss(Batch(inputs=images)).item()
    torch.manual_seed(1)
    queries = F.normalize(moco.queries(moco.view(images)), dim=1).detach()
    keys = moco.keys(moco.view(images))
    terms = []
    for query, key in zip(queries, keys, strict=True):
        own = exp(float(query @ key) / 0.3)
        terms.append(-log(own / (own + sum(exp(float(query @ other) / 0.3) for other in before))))
    assert loss == pytest.approx(sum(terms) / 6, abs=1e-5)
    assert torch.allclose(moco.queue.values[:6], keys, atol=1e-6)  # the oldest made room
    assert torch.equal(moco.queue.values[6:], before[6:])


def test_keys_have_length_1_and_no_gradient() -> None:
    keys = method().keys(torch.rand(6, 1, 8, 8))
    assert not keys.requires_grad
    torch.testing.assert_close(keys.square().sum(1), torch.ones(6))


def test_in_eval_mode_a_key_depends_on_its_own_image_alone() -> None:
    moco, views = method().eval(), torch.rand(12, 1, 8, 8)
    torch.testing.assert_close(moco.keys(views)[3:4], moco.keys(views[3:4]))


def test_the_average_follows_the_queries_after_each_step() -> None:
    moco = method(decay=0.75)
    with torch.no_grad():
        before = moco.average.network[1][0].weight.clone()
        moco.queries[1][0].weight.add_(1.0)
    moco.after_step(0.5)
    torch.testing.assert_close(moco.average.network[1][0].weight, before + 0.25)


def test_an_image_is_its_own_other_view_where_views_do_not_differ() -> None:
    moco = method().eval()
    moco.view = lambda images: images
    logits, answers = moco.solve(Batch(inputs=torch.rand(16, 1, 8, 8)))
    assert torch.equal(logits.argmax(1), answers)
    assert answers.tolist() == list(range(16))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": -1.0}, "temperature must be above 0"),
        ({"queue": 0}, "hidden, projection and queue must be at least 1"),
        ({"decay": 1.0}, "decay is a fraction in"),
        ({"solarise": 2.0}, "solarise is 2, expected a number"),
    ],
)
def test_impossible_configs_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
