"""Flow matching against two Gaussians, between which the velocity field is known, and Euler's method against a flow."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.plugin.capabilities import capabilities_of
from harness_plugins.backbones import convnet
from harness_plugins.models import flow_matching
from harness_plugins.models.flow_matching import Config, FlowMatching, between, euler, spread_times

DIGITS = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.3,), std=(0.35,)), classes=tuple("0123456789"))


def method(**params: object) -> FlowMatching:
    torch.manual_seed(0)
    config = Config(**{"width": 8, "sampling_steps": 4, **params})
    return FlowMatching(convnet.build(DIGITS, convnet.Config(width=8)), DIGITS, config).eval().requires_grad_(False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian_velocity(x: Tensor, t: float, mean: float, variance: float) -> Tensor:
    """E[x_1 - x_0 | x_t] for x_0 ~ N(0, 1) and x_1 ~ N(mean, variance), by the regression of jointly Gaussians."""
    slope = (t * variance - (1 - t)) / (t**2 * variance + (1 - t) ** 2)
    return mean + slope * (x - t * mean)


def test_the_flow_between_two_gaussians_ends_in_the_second() -> None:
    x = torch.randn(50_000, generator=generator(), dtype=torch.float64)
    *_, x = euler(lambda x, t: gaussian_velocity(x, t, 0.4, 0.04), x, 200)
    assert x.mean().item() == pytest.approx(0.4, abs=0.005)
    assert x.std().item() == pytest.approx(0.2, rel=0.02)


def test_the_regression_target_has_that_velocity_as_its_mean() -> None:
    """A line fitted to (x_t, x_1 - x_0) is the velocity of the two Gaussians: what the loss is minimised by."""
    n, t = 400_000, 0.7
    noise = torch.randn(n, generator=generator(), dtype=torch.float64)
    data = 0.4 + 0.2 * torch.randn(n, generator=generator(1), dtype=torch.float64)
    images = [values.view(n, 1, 1, 1) for values in (noise, data)]
    x = between(*images, torch.full((n,), t, dtype=torch.float64)).flatten()
    joint = torch.cov(torch.stack([x, data - noise]))
    slope = (joint[0, 1] / joint[0, 0]).item()
    expected = gaussian_velocity(torch.tensor([0.0, 1.0], dtype=torch.float64), t, 0.4, 0.04)
    assert slope == pytest.approx((expected[1] - expected[0]).item(), abs=0.01)
    assert ((data - noise).mean() - slope * x.mean()).item() == pytest.approx(expected[0].item(), abs=0.01)


def test_straight_lines_need_one_step_and_others_converge_at_first_order() -> None:
    start = torch.tensor([1.0, -2.0], dtype=torch.float64)
    *_, end = euler(lambda x, t: torch.full_like(x, 3.0), start, 1)
    torch.testing.assert_close(end, start + 3)
    errors = []
    for steps in (50, 100):
        *way, end = euler(lambda x, t: x + t, start, steps)  # dx = (x + t) dt
        assert len(way) == steps - 1
        errors.append(float((end - ((start + 1) * torch.e - 2)).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)


def test_paths_lead_from_noise_to_data() -> None:
    noise, image = torch.randn(2, 3, 1, 4, 4, generator=generator()).unbind(0)
    times = torch.tensor([0.0, 0.25, 1.0])
    path = between(noise, image, times)
    torch.testing.assert_close(path[0], noise[0])
    torch.testing.assert_close(path[1], 0.75 * noise[1] + 0.25 * image[1])
    torch.testing.assert_close(path[2], image[2])


def test_times_are_spread_evenly() -> None:
    torch.manual_seed(0)
    times = torch.stack([spread_times(10, torch.device("cpu")) for _ in range(1000)])
    assert torch.equal((times * 10).long(), torch.arange(10).expand(1000, 10))
    assert times.mean().item() == pytest.approx(0.5, abs=0.002)


def test_predicting_nothing_costs_the_energy_of_the_velocity() -> None:
    model, images = method(), torch.rand(512, 1, 8, 8, generator=generator())
    for weight in model.network.last.parameters():
        weight.zero_()
    torch.manual_seed(1)
    expected = 1 + (2 * images - 1).square().mean().item()  # of independent noise and image
    assert model.loss(Batch(inputs=images)).item() == pytest.approx(expected, rel=0.03)
    for buffer in model.averaged.network.last.buffers():
        buffer.zero_()
    assert "the velocity is not told: 1 of the error" in model.diagnose(images[:64])


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
    gaps = []
    for guidance in (0.0, 1.0, 4.0):
        model = method(condition="labels", guidance=guidance)
        first, second = (model.sample_as(torch.full((2,), label), generator()) for label in (0, 1))
        gaps.append(float((first - second).abs().mean()))
    assert 0 < gaps[0] < gaps[1] < gaps[2]


def test_what_it_uses_and_can_do_follows_its_condition() -> None:
    spec = flow_matching.harness_method()
    assert spec.uses_with(Config()) == ()
    assert spec.uses_with(Config(condition="labels")) == ("labels",)
    assert "sample_as" not in capabilities_of(method())
    assert "sample_as" in capabilities_of(method(condition="labels"))


def test_strips_start_and_end_where_they_say() -> None:
    model, images = method(), torch.rand(2, 1, 8, 8)
    forward = model.forward_process(images, 5, generator())
    torch.testing.assert_close(forward[:, 0], images)
    noise = torch.randn(2, 1, 8, 8, generator=generator())
    torch.testing.assert_close(forward[:, -1], ((noise + 1) / 2).clamp(0, 1))
    backward = model.reverse_process(2, 3, generator())
    torch.testing.assert_close(backward[:, 0], forward[:, -1])
    torch.testing.assert_close(backward[:, -1], model.sample(2, generator()))


def test_readouts_differ_and_the_first_is_the_representation() -> None:
    model, images = method(), torch.rand(4, 1, 8, 8)
    values = {name: model.read(images, name) for name in model.readouts()}
    assert torch.equal(model.encode(images), next(iter(values.values())))
    assert len({round(float(value.sum()), 5) for value in values.values()}) == len(values)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"width": 0}, "multiple of 8"),
        ({"sampling_steps": 0}, "at least 1"),
        ({"guidance": -1.0}, "not be negative"),
        ({"drop": -0.1}, "probability"),
        ({"decay": 1.0}, "rate in"),
    ],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
