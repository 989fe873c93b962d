"""The GAN's turns follow the algorithm box; its discriminator holds the backbone; what it says of a lost game."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.data.images import to_float
from harness.nn.adversarial import discriminator_loss, min_max, non_saturating
from harness.optimisation import Optimisation
from harness.records import TrainConfig
from harness_plugins.backbones import convnet, mlp
from harness_plugins.datasets import digits
from harness_plugins.models.gan import GAN, RECIPE, Config

DIGITS = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.3,), std=(0.35,)), classes=tuple("0123456789"))
SMALL = Config(width=4, hidden=8, noise_dim=6)


def small(config: Config = SMALL, data: DataSpec[ImageField] = DIGITS) -> GAN:
    torch.manual_seed(0)
    return GAN(convnet.build(data, convnet.Config(width=4)), data, config).train()


def images(n: int = 16, data: DataSpec[ImageField] = DIGITS) -> torch.Tensor:
    return torch.rand(n, *data.inputs.shape, generator=torch.Generator().manual_seed(0))


def weights(module: nn.Module) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in module.parameters()]


def changed(module: nn.Module, before: list[torch.Tensor]) -> bool:
    return any(not torch.equal(new, old) for new, old in zip(module.parameters(), before, strict=True))


def test_each_turn_moves_its_own_network_and_the_generator_meets_the_updated_discriminator() -> None:
    method = small()
    optimisation = Optimisation(method, TrainConfig(**RECIPE), "fp32")
    turns = optimisation._losses(Batch(inputs=images()))
    torch.manual_seed(1)
    name, loss = next(turns)
    torch.manual_seed(1)
    fakes = method.generator(torch.randn(16, 6))
    real, fake = method.discriminator(images()), method.discriminator(fakes)
    assert name == "discriminator"
    torch.testing.assert_close(loss, discriminator_loss(real, fake, 0.9))

    before = weights(method.generator)
    optimiser = optimisation._create(name)
    loss.backward(inputs=list(method.discriminator.parameters()))
    optimiser.step()
    assert not changed(method.generator, before)
    name, loss = next(turns)
    assert name == "generator"
    torch.testing.assert_close(loss, non_saturating(method.discriminator(fakes)))
    assert loss.item() != pytest.approx(non_saturating(fake).item(), abs=1e-6)


def test_the_min_max_game_is_an_option() -> None:
    method = small(Config(loss="minmax", width=4, hidden=8))
    torch.manual_seed(1)
    (_, _), (_, loss) = method.turns(Batch(inputs=images()))
    torch.manual_seed(1)
    fakes = method.generator(torch.randn(16, 64))
    torch.testing.assert_close(loss, min_max(method.discriminator(fakes)))


def test_the_backbone_is_trained_as_part_of_the_discriminator_and_judges_each_image_by_itself() -> None:
    method = small()
    before = weights(method.backbone)
    with torch.no_grad():
        torch.testing.assert_close(
            method.discriminator(images())[:3], method.discriminator(images(3)), atol=1e-5, rtol=0
        )
    Optimisation(method, TrainConfig(**RECIPE), "fp32").step(Batch(inputs=images()))
    assert changed(method.backbone, before)
    statistics = dict(method.backbone.named_buffers())
    assert not any(bool(values.any()) for name, values in statistics.items() if name.endswith("running_mean"))


def test_samples_come_from_the_moving_average() -> None:
    method = small()
    optimisation = Optimisation(method, TrainConfig(**RECIPE), "fp32")
    for _ in range(3):
        optimisation.step(Batch(inputs=images()))
    method.eval()
    noise = torch.randn(5, 6, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        samples = method.sample(5, torch.Generator().manual_seed(4))
        torch.testing.assert_close(samples, method.averaged.network(noise))
        assert not torch.equal(samples, method.generator(noise))


@pytest.mark.parametrize(
    ("real", "fake", "lost"), [(0.9, 0.0, True), (0.895, 0.005, True), (0.6, 0.4, False), (0.9, 0.1, False)]
)
def test_a_discriminator_that_is_sure_of_everything_is_reported(real: float, fake: float, lost: bool) -> None:
    method = small()
    logits = [torch.full((4,), value).clamp(1e-9).logit() for value in (real, fake)]
    for _ in range(1000):
        method.outputs.update(Batch(inputs=images()), *logits)
    reason = method.diagnose(images())
    assert ("saturated discriminator" in reason) == lost
    assert lost or not reason


def test_outputs_show_in_the_curves() -> None:
    batch = Batch(inputs=images())
    list(small().turns(batch))
    assert set(batch.scalars) == {"D(x)", "D(G(z))"}
    assert all(0 < value < 1 for value in batch.scalars.values())


@pytest.mark.parametrize("size", [8, 28])
def test_it_is_read_at_features_maps_and_the_hidden_layer(size: int) -> None:
    data = DataSpec(inputs=ImageField(channels=3, size=size))
    method = small(data=data).eval()
    with torch.no_grad():
        seen = {name: method.read(images(2, data), name) for name in method.readouts()}
        maps = method.backbone.maps(images(2, data))
    assert {name: values.shape[1] for name, values in seen.items()} == {
        "features": 16,
        "maps": 16 * min(4, maps.shape[-1]) ** 2,
        "hidden": 8,
    }
    assert float(seen["maps"].max()) == float(maps.max())


def test_a_backbone_without_maps_will_do() -> None:
    method = GAN(mlp.build(DIGITS, mlp.Config(hidden=8)), DIGITS, SMALL)
    assert method.readouts() == ("features", "hidden")
    assert len(list(method.turns(Batch(inputs=images())))) == 2


def test_it_learns_the_mean_and_the_variety_of_digits() -> None:
    """In 120 steps; before, the mean is off by 0.3 and samples vary a twentieth as much as digits do."""
    raw = digits.load(digits.harness_dataset().config(), Path())
    real = to_float(raw.inputs[:1024])
    torch.manual_seed(0)
    config = Config(width=16, hidden=64, average=0.9)
    method = GAN(convnet.build(DIGITS, convnet.Config(width=16)), DIGITS, config).train()
    optimisation = Optimisation(method, TrainConfig(**RECIPE), "fp32")
    for step in range(120):
        optimisation.step(Batch(inputs=real[(step % 16) * 64 :][:64]))
    with torch.no_grad():
        samples = method.eval().sample(256, torch.Generator().manual_seed(0))
    assert float((samples.mean(0) - real.mean(0)).abs().mean()) < 0.1
    assert 0.2 < float(samples.var(0).mean() / real.var(0).mean()) < 1.5
    assert not method.diagnose(real[:4])


@pytest.mark.parametrize(
    ("params", "message"),
    [({"real_label": 0.5}, "real_label"), ({"noise_dim": 0}, "at least 1"), ({"average": 1.0}, "decay in")],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
