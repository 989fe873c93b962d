"""WGAN-GP: critic turns on parts of the batch, a penalty per image, no batch statistics in the critic."""

from __future__ import annotations

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.nn.adversarial import gradient_penalty
from harness.optimisation import Optimisation
from harness.records import TrainConfig
from harness_plugins.backbones import convnet
from harness_plugins.models.wgan_gp import RECIPE, WGANGP, Config

DIGITS = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.3,), std=(0.35,)), classes=tuple("0123456789"))


def small(**params: float) -> WGANGP:
    torch.manual_seed(0)
    config = Config(**{"width": 4, "hidden": 8, "noise_dim": 6, **params})
    return WGANGP(convnet.build(DIGITS, convnet.Config(width=4)), DIGITS, config).train()


def batch(n: int = 20) -> Batch:
    return Batch(inputs=torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("n_critic", [1, 2, 5])
def test_the_critic_takes_its_turns_and_then_the_generator(n_critic: int) -> None:
    names = [name for name, _ in small(n_critic=n_critic).turns(batch())]
    assert names == ["critic"] * n_critic + ["generator"]


def test_every_image_is_seen_once_in_a_step() -> None:
    method, seen = small(n_critic=5), []
    method.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    list(method.turns(batch()))
    real = torch.cat(seen[:-1:3])  # of each critic turn: real, fake, between; at last the generator's fakes
    torch.testing.assert_close(real, batch().inputs)
    assert len(seen) == 5 * 3 + 1
    assert len(seen[-1]) == 4


def test_a_critic_turn_is_minus_the_distance_and_the_penalty() -> None:
    method = small(n_critic=1, penalty=7.0)
    torch.manual_seed(1)
    _, loss = next(method.turns(batch()))
    torch.manual_seed(1)
    with torch.no_grad():
        fakes = method.generator(torch.randn(20, 6))
    distance = method.critic(batch().inputs).mean() - method.critic(fakes).mean()
    torch.testing.assert_close(loss, -distance + 7 * gradient_penalty(method.critic, batch().inputs, fakes))


def test_training_brings_the_gradient_of_the_critic_near_one() -> None:
    method = small(n_critic=5)
    optimisation = Optimisation(method, TrainConfig(**RECIPE), "fp32")
    penalties = []
    for _ in range(40):
        latest = batch(40)
        optimisation.step(latest)
        penalties.append(float(latest.scalars["penalty"]))
    assert penalties[0] > 0.5
    assert penalties[-1] < 0.2
    assert float(latest.scalars["distance"]) > 0


def test_the_critic_judges_each_image_by_itself_in_training_too() -> None:
    method = small()
    images = batch().inputs
    torch.testing.assert_close(method.critic(images)[:3], method.critic(images[:3]), atol=1e-5, rtol=0)
    Optimisation(method, TrainConfig(**RECIPE), "fp32").step(batch())
    for name, values in method.backbone.named_buffers():
        if name.endswith("running_var"):
            assert bool((values == 1).all()), "batch statistics must not leak into the critic"


@pytest.mark.parametrize(
    ("params", "message"),
    [({"n_critic": 0}, "at least 1"), ({"penalty": -1.0}, "not be negative"), ({"average": 1}, "decay")],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
