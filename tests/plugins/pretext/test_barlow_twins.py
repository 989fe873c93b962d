"""Barlow Twins: its loss by loops, at its limits and in two processes."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor
from two_processes import assert_two_processes_agree_with_one

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.barlow_twins import EPSILON, BarlowTwins, Config, barlow_twins

SPEC = DataSpec(inputs=ImageField(channels=1, size=12))


def by_loops(one: Tensor, other: Tensor, redundancy: float) -> Tensor:
    """Equation 1, unit by unit."""
    total = torch.zeros(())
    for i in range(one.shape[1]):
        for j in range(other.shape[1]):
            a, b = one[:, i] - one[:, i].mean(), other[:, j] - other[:, j].mean()
            c = (a * b).mean() / (((a**2).mean() + EPSILON).sqrt() * ((b**2).mean() + EPSILON).sqrt())
            total = total + ((1 - c) ** 2 if i == j else redundancy * c**2)
    return total


def half_a_batch(one: Tensor, other: Tensor) -> Tensor:
    return barlow_twins(one, other, 0.1)


def views(units: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(12, units, generator=generator)
    other = one + torch.randn(12, units, generator=generator)
    return one.requires_grad_(), other.requires_grad_()


def test_the_loss_is_equation_1_in_value_and_gradient() -> None:
    one, other = views()
    found, expected = barlow_twins(one, other, 0.1), by_loops(one, other, 0.1)
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad(found, (one, other)), torch.autograd.grad(expected, (one, other))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_views_may_change_places_and_units_may_be_scaled_and_shifted() -> None:
    one, other = views()
    loss = barlow_twins(one, other, 0.1)
    torch.testing.assert_close(barlow_twins(other, one, 0.1), loss)
    torch.testing.assert_close(barlow_twins(3 * one + 2, other - 7, 0.1), loss, rtol=1e-4, atol=1e-4)


def test_equal_views_of_units_without_correlation_cost_nothing_and_copies_cost_their_weight() -> None:
    units = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert barlow_twins(units, units, 0.1).item() == pytest.approx(0, abs=1e-6)
    copied = units[:, :1].expand(-1, 2)
    assert barlow_twins(copied, copied, 0.1).item() == pytest.approx(0.2, abs=1e-4)


def test_constant_units_cost_one_each_and_give_no_nan() -> None:
    constant = torch.ones(6, 3, requires_grad=True)
    loss = barlow_twins(constant, constant, 0.1)
    loss.backward()
    assert loss.item() == 3
    assert constant.grad is not None
    assert torch.isfinite(constant.grad).all()


def test_two_processes_have_the_gradient_of_one() -> None:
    assert_two_processes_agree_with_one("test_barlow_twins:half_a_batch")


def test_the_loss_of_a_fresh_method_is_near_that_of_independent_units() -> None:
    """Random units of B images correlate by 1/sqrt(B): of P of them, P-1 do so with each."""
    torch.manual_seed(0)
    method = BarlowTwins(convnet.build(SPEC, convnet.Config()), SPEC, Config(redundancy=0.0))
    loss = method.loss(Batch(inputs=torch.rand(64, 1, 12, 12)))
    assert 0 < loss.item() < 1 + 4 / sqrt(64)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"redundancy": -1.0}, "redundancy"),
        ({"hidden": 0}, "hidden"),
        ({"projection": 1}, "projection"),
        ({"solarised": 2.0}, "solarised"),
        ({"crop": 0.0}, "crop"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**wrong)  # type: ignore[arg-type]
