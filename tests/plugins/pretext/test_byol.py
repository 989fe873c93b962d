"""BYOL: its distance by loops, what the slow copy is, and what gradients reach."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.byol import Byol, Config, distance

SPEC = DataSpec(inputs=ImageField(channels=1, size=12))


def built(**config: float) -> Byol:
    torch.manual_seed(0)
    return Byol(convnet.build(SPEC, convnet.Config()), SPEC, Config(**config))  # type: ignore[arg-type]


def pair() -> tuple[Tensor, Tensor]:
    one, other = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0))
    return one.requires_grad_(), other


def test_the_distance_is_equation_2_in_value_and_gradient() -> None:
    predicted, expected = pair()
    rows = zip(predicted, expected, strict=True)
    naive = sum(((p / p.norm() - z / z.norm()) ** 2).sum() for p, z in rows) / len(predicted)
    found = distance(predicted, expected)
    torch.testing.assert_close(found, naive)
    gradients = [torch.autograd.grad(loss, predicted)[0] for loss in (found, naive)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_the_distance_is_of_directions_between_0_and_4() -> None:
    predicted, _ = pair()
    assert distance(predicted, 3 * predicted).item() == pytest.approx(0, abs=1e-6)
    assert distance(predicted, -predicted).item() == pytest.approx(4)
    assert distance(torch.eye(4), torch.eye(4).flip(0)).item() == 2


def test_the_slow_copy_follows_by_the_decay_and_stands_still_at_the_end() -> None:
    method = built(decay=0.9)
    weight, slow = method.backbone.trunk[0].weight, method.target.network[0].trunk[0].weight  # type: ignore[index]
    first = slow.clone()
    with torch.no_grad():
        weight.add_(1.0)
    method.after_step(0.0)
    torch.testing.assert_close(slow, first + 0.1)
    method.after_step(1.0)
    torch.testing.assert_close(slow, first + 0.1)


def test_gradients_reach_all_that_is_online_and_nothing_of_the_slow_copy() -> None:
    method = built()
    method.loss(Batch(inputs=torch.rand(16, 1, 12, 12))).backward()
    assert all(weight.grad is not None for weight in method.parameters())
    assert not list(method.target.parameters())


def test_the_second_view_is_solarised_more() -> None:
    method = built(solarised=1.0, crop=1.0, jitter=0.0)
    bright = torch.full((4, 1, 12, 12), 0.9)
    torch.testing.assert_close(method.views(bright), bright)
    torch.testing.assert_close(method.others(bright), 1 - bright)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"decay": 1.5}, "decay"),
        ({"hidden": 0}, "hidden"),
        ({"projection": 1}, "projection"),
        ({"solarised": -0.1}, "solarised"),
        ({"crop": 2.0}, "crop"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**wrong)  # type: ignore[arg-type]
