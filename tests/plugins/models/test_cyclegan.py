"""CycleGAN: its losses by hand, the replay pool, and that it learns to translate without pairs."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from toy_domains import bars, by_night, toy_spec, unpaired_nights

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.data.images import to_float
from harness.errors import NotApplicable
from harness.records import Budget, TrainConfig
from harness.trainer import train
from harness_plugins.backbones import convnet, mlp
from harness_plugins.models.cyclegan import Config, CycleGAN, ReplayPool, harness_method, least_squares


def cyclegan(seed: int = 0, **config) -> CycleGAN:
    torch.manual_seed(seed)
    return CycleGAN(convnet.build(toy_spec(), convnet.Config(width=8)), toy_spec(), Config(**{"width": 8, **config}))


def toy_batch(n: int = 8) -> Batch:
    images, outlines = bars(n)
    return Batch(inputs=to_float(images), paired=to_float(outlines).roll(3, 0))


@pytest.mark.parametrize("identity", [0.0, 0.5])
def test_the_generators_loss_is_that_of_the_paper(identity: float) -> None:
    method, batch = cyclegan(cycle_weight=7.0, identity_weight=identity).eval(), toy_batch()
    name, loss = next(method.turns(batch))
    assert name == "generators"
    x, y = batch.paired, batch.inputs  # the paper's domains
    g, f = method.translate, method.translate_back
    d_y, d_x = method.discriminators["image"], method.discriminators["paired"]
    adversarial = (d_y(g(x)) - 1).square().mean() + (d_x(f(y)) - 1).square().mean()
    cycle = 2 * (f(g(x)) - x).abs().mean() + 2 * (g(f(y)) - y).abs().mean()
    same = 2 * (g(y) - y).abs().mean() + 2 * (f(x) - x).abs().mean()
    torch.testing.assert_close(loss, adversarial + 7.0 * cycle + 7.0 * identity * same)


def test_the_discriminators_learn_on_real_images_and_translations() -> None:
    method, batch = cyclegan(pool=0).eval(), toy_batch()
    losses = dict(method.turns(batch))
    expected = torch.zeros(())
    for domain, real, fake in (
        ("image", batch.inputs, method.translate(batch.paired)),
        ("paired", batch.paired, method.translate_back(batch.inputs)),
    ):
        judge = method.discriminators[domain]
        expected = expected + ((judge(real) - 1).square().mean() + judge(fake).square().mean()) / 2
    torch.testing.assert_close(losses["discriminators"], expected)
    losses["discriminators"].backward()
    assert all(weight.grad is None for weight in method.generators.parameters())
    assert all(weight.grad is not None for weight in method.backbone.parameters())


def test_least_squares_is_zero_where_the_answer_is_the_wanted_one() -> None:
    judged = torch.randn(4, 1, 2, 2)
    torch.testing.assert_close(least_squares(judged, 1.0), F.mse_loss(judged, torch.ones_like(judged)))
    assert least_squares(torch.zeros(3), 0.0) == 0


def numbered(start: int, n: int) -> torch.Tensor:
    return torch.arange(start, start + n).float().view(n, 1, 1, 1).expand(n, 1, 8, 8).clone()


def test_the_pool_is_filled_first_and_then_exchanges_half() -> None:
    torch.manual_seed(0)
    pool = ReplayPool(6, toy_spec())
    assert torch.equal(pool(numbered(0, 4)), numbered(0, 4))
    assert torch.equal(pool(numbered(4, 4)), numbered(4, 4))  # two of them fill it
    shown = pool(numbered(8, 4))[:, 0, 0, 0]
    assert (shown < 6).sum() == 2, "half of the images are old"
    held = pool.images[:, 0, 0, 0]
    assert sorted([*shown.tolist(), *held.tolist()]) == [0, 1, 2, 3, 4, 5, 8, 9, 10, 11], "none is lost or doubled"


def test_the_pool_follows_the_global_seed_and_can_be_copied() -> None:
    pool = ReplayPool(6, toy_spec())
    pool(numbered(0, 6))
    twin = copy.deepcopy(pool)
    torch.manual_seed(3)
    first = pool(numbered(6, 6))
    torch.manual_seed(3)
    assert torch.equal(first, twin(numbered(6, 6)))
    assert not pool.state_dict(), "old translations are no weights"


def test_without_a_pool_the_translations_come_back_as_they_are() -> None:
    assert torch.equal(ReplayPool(0, toy_spec())(numbered(0, 5)), numbered(0, 5))


def test_it_learns_to_translate_without_pairs() -> None:
    method = cyclegan(cycle_weight=1.0, identity_weight=0.0)  # soon done: little holds it back from changing images
    changes = {"batch_size": 16, "learning_rate": 4e-3, "schedule": "constant"}
    recipe, budget = TrainConfig(**{**harness_method().recipe, **changes}), Budget(amount=100, unit="steps")
    train(method, unpaired_nights(256), toy_spec(), recipe, budget, seed=0, precision="fp32", progress=lambda *_: None)
    images = bars(128, seed=7)[0]
    day, night = to_float(images), to_float(by_night(images))
    method.eval()
    with torch.no_grad():
        assert F.mse_loss(method.translate(night), day) < 0.7 * F.mse_loss(night, day)
        assert method.diagnose(day) == ""


@pytest.mark.parametrize(
    ("params", "message"), [({"pool": -1}, "not be negative"), ({"width": 0}, "at least 1"), ({"blocks": -1}, "blocks")]
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)


def test_without_a_second_domain_or_maps_it_does_not_apply() -> None:
    alone = DataSpec(inputs=ImageField(channels=1, size=8))
    with pytest.raises(NotApplicable, match="second domain"):
        CycleGAN(convnet.build(alone, convnet.Config()), alone, Config())
    with pytest.raises(NotApplicable, match="convolutional backbone"):
        CycleGAN(mlp.build(toy_spec(), mlp.Config()), toy_spec(), Config())
