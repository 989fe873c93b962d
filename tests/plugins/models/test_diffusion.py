"""Diffusion against its chain simulated step by step, and against a data distribution whose noise is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.plugin.capabilities import capabilities_of
from harness_plugins.backbones import convnet
from harness_plugins.models import diffusion
from harness_plugins.models.diffusion import (
    Config,
    Diffusion,
    betas,
    ddim_step,
    diffused,
    noise_in,
    spread_times,
    velocity_of,
)

DIGITS = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.3,), std=(0.35,)), classes=tuple("0123456789"))


def method(**params: object) -> Diffusion:
    torch.manual_seed(0)
    config = Config(**{"width": 8, "steps": 100, "sampling_steps": 4, **params})
    return Diffusion(convnet.build(DIGITS, convnet.Config(width=8)), DIGITS, config).eval().requires_grad_(False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_one_jump_to_t_is_as_many_small_steps_of_the_chain(schedule: str) -> None:
    """x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) noise, simulated for many draws: equations 2 and 4."""
    steps, draws = 20, 200_000
    rates = betas(schedule, steps)
    level = (1 - rates).cumprod(0)[11].float()
    x = torch.full((draws,), 0.8)
    for rate in rates[:12].float():
        x = (1 - rate).sqrt() * x + rate.sqrt() * torch.randn(draws, generator=generator(int(1e6 * rate)))
    noise = torch.randn(draws, 1, 1, 1, generator=generator())
    jumped = diffused(torch.full((draws, 1, 1, 1), 0.8), noise, level.expand(draws))
    for values in (x, jumped):
        assert values.mean().item() == pytest.approx(level.sqrt().item() * 0.8, abs=0.01)
        assert values.var().item() == pytest.approx(1 - level.item(), rel=0.02)


def test_the_linear_schedule_is_that_of_the_paper_at_a_thousand_steps() -> None:
    rates = betas("linear", 1000)
    torch.testing.assert_close(rates[[0, -1]], torch.tensor([1e-4, 0.02], dtype=torch.float64))
    assert (1 - rates).prod().item() == pytest.approx(4.04e-5, rel=0.01)
    assert (1 - betas("linear", 400)).prod().item() == pytest.approx(4.04e-5, rel=0.2)  # the same noise at the end


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [10, 400, 1000])
def test_noise_grows_from_next_to_none_to_next_to_all(schedule: str, steps: int) -> None:
    levels = (1 - betas(schedule, steps)).cumprod(0)
    assert (levels.diff() < 0).all()
    assert levels[0] > 0.9
    assert levels[-1] < 2e-3


def test_times_are_spread_evenly_and_cover_all_levels() -> None:
    torch.manual_seed(0)
    times = torch.stack([spread_times(10, 100, torch.device("cpu")) for _ in range(500)])
    assert torch.equal(times // 10, torch.arange(10).expand(500, 10))  # one of each tenth
    assert torch.equal(times.unique(), torch.arange(100))
    assert int(spread_times(3, 2, torch.device("cpu")).max()) <= 1


def gaussian_noise(mean: float, variance: float) -> Callable[[Tensor, Tensor], Tensor]:
    """E[epsilon | x_t] where x_0 ~ N(mean, variance), by Bayes' rule for Gaussians."""
    return lambda x, a: (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * variance + 1 - a)


def test_ddim_with_the_true_noise_of_gaussian_data_gives_that_gaussian() -> None:
    levels = (1 - betas("linear", 1000)).cumprod(0)
    true_noise = gaussian_noise(0.3, 0.01)
    x = torch.randn(20_000, generator=generator(), dtype=torch.float64)
    for a, following in pairwise([*levels.flip(0), torch.ones((), dtype=torch.float64)]):
        x = ddim_step(x, true_noise(x, a), a, following)
    assert x.mean().item() == pytest.approx(0.3, abs=0.003)
    assert x.std().item() == pytest.approx(0.1, rel=0.02)


def test_a_ddim_step_with_the_noise_that_is_in_the_image_lands_on_its_path() -> None:
    levels = (1 - betas("linear", 1000)).cumprod(0).float()
    image, noise = torch.rand(4, 1, 8, 8) * 2 - 1, torch.randn(4, 1, 8, 8)
    noisy, less = (diffused(image, noise, levels[t].expand(4)) for t in (500, 200))
    torch.testing.assert_close(ddim_step(noisy, noise, levels[500], levels[200]), less)
    torch.testing.assert_close(ddim_step(noisy, noise, levels[500], torch.ones(())), image)


def test_a_predicted_image_is_clipped_and_its_noise_follows() -> None:
    x, a = torch.full((1,), 3.0), torch.tensor(0.5)
    stepped = ddim_step(x, torch.zeros(1), a, torch.tensor(0.8))  # predicted 3 / sqrt(.5), clipped to 1
    noise = (3 - 0.5**0.5) / 0.5**0.5
    torch.testing.assert_close(stepped, torch.full((1,), 0.8**0.5 + 0.2**0.5 * noise))


def test_the_velocity_tells_the_noise_and_is_the_slope_of_the_path() -> None:
    """With sqrt(a) = cos(phi), x = cos(phi) x_0 + sin(phi) epsilon, whose derivative by phi is v."""
    image, noise = torch.randn(2, 3, 1, 4, 4, generator=generator(), dtype=torch.float64).unbind(0)
    phi = torch.tensor([0.1, 0.7, 1.5], dtype=torch.float64)
    velocity, step = velocity_of(image, noise, phi.cos() ** 2), 1e-6
    ahead, behind = (diffused(image, noise, (phi + way).cos() ** 2) for way in (step, -step))
    torch.testing.assert_close(velocity, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6)
    for row, angle in enumerate(phi):
        noisy = diffused(image, noise, phi.cos() ** 2)[row]
        torch.testing.assert_close(noise_in(noisy, velocity[row], angle.cos() ** 2), noise[row])


def test_predicting_nothing_costs_the_energy_of_the_velocity() -> None:
    model, images = method(), torch.rand(512, 1, 8, 8, generator=generator())
    for weight in model.network.last.parameters():
        weight.zero_()
    torch.manual_seed(1)
    level = model.levels.mean().item()
    expected = level + (1 - level) * (2 * images - 1).square().mean().item()  # of independent noise and image
    assert model.loss(Batch(inputs=images)).item() == pytest.approx(expected, rel=0.03)
    for buffer in model.averaged.network.last.buffers():
        buffer.zero_()
    assert "the noise is not told: 1 of the error" in model.diagnose(images[:64])


def test_it_samples_by_the_averaged_weights_and_the_generator_alone() -> None:
    model = method()
    first = model.sample(3, generator())
    for weight in model.network.parameters():
        weight.add_(1.0)
    assert torch.equal(first, model.sample(3, generator()))
    assert not torch.equal(first, model.sample(3, generator(1)))
    model.after_step()
    assert not torch.equal(first, model.sample(3, generator()))


def test_labels_steer_samples_more_the_stronger_the_guidance() -> None:
    drawn = {}
    for guidance in (0.0, 1.0, 4.0):
        model = method(condition="labels", guidance=guidance)
        drawn[guidance] = [model.sample_as(torch.full((2,), label), generator()) for label in (0, 1)]
    gaps = [float((first - second).abs().mean()) for first, second in drawn.values()]
    assert 0 < gaps[0] < gaps[1] < gaps[2]


def test_a_label_that_is_always_dropped_is_never_learned_from() -> None:
    losses = []
    for labels in (torch.zeros(8, dtype=torch.int64), torch.arange(8)):
        model = method(condition="labels", drop=1.0)
        torch.manual_seed(0)
        losses.append(model.loss(Batch(inputs=torch.rand(8, 1, 8, 8), labels=labels)).item())
    assert losses[0] == losses[1]


def test_what_it_uses_and_can_do_follows_its_condition() -> None:
    spec = diffusion.harness_method()
    assert spec.uses_with(Config()) == ()
    assert spec.uses_with(Config(condition="captions")) == ("captions",)
    assert "sample_as" not in capabilities_of(method())
    assert "sample_as" in capabilities_of(method(condition="labels"))


def test_strips_start_and_end_where_they_say() -> None:
    model, images = method(steps=1000), torch.rand(2, 1, 8, 8)
    forward = model.forward_process(images, 5, generator())
    assert forward.shape == (2, 5, 1, 8, 8)
    torch.testing.assert_close(forward[:, 0], images, atol=0.03, rtol=0)
    distances = [float((forward[:, step] - images).abs().mean()) for step in range(5)]
    assert distances == sorted(distances)
    backward = model.reverse_process(2, 3, generator())
    torch.testing.assert_close(backward[:, -1], model.sample(2, generator()))
    noise = torch.randn(2, 1, 8, 8, generator=generator())
    torch.testing.assert_close(backward[:, 0], ((noise + 1) / 2).clamp(0, 1))


def test_readouts_differ_and_the_first_is_the_representation() -> None:
    model, images = method(), torch.rand(4, 1, 8, 8)
    values = {name: model.read(images, name) for name in model.readouts()}
    assert torch.equal(model.encode(images), next(iter(values.values())))
    assert len({round(float(value.sum()), 5) for value in values.values()}) == len(values)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"width": 12}, "multiple of 8"),
        ({"sampling_steps": 101, "steps": 100}, "between 2 and steps"),
        ({"guidance": -1.0}, "not be negative"),
        ({"drop": 1.5}, "probability"),
        ({"decay": 1.0}, "rate in"),
    ],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
