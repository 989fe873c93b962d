"""VICReg: its three terms by loops, at their limits and in two processes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from two_processes import assert_two_processes_agree_with_one

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.vicreg import EPSILON, Config, VicReg, narrowness, redundancy, vicreg

SPEC = DataSpec(inputs=ImageField(channels=1, size=12))


def by_loops(one: Tensor, other: Tensor) -> list[Tensor]:
    """Equations 1 to 5, number by number."""
    (n, units), zero = one.shape, torch.zeros(())
    invariance = sum(((one[b] - other[b]) ** 2).sum() for b in range(n)) / (n * units)
    variance, covariance = zero, zero
    for z in (one, other):
        apart = z - z.sum(0) / n
        for i in range(units):
            deviation = ((apart[:, i] ** 2).sum() / (n - 1) + EPSILON) ** 0.5
            variance = variance + max(zero, 1 - deviation) / units / 2
            others = [j for j in range(units) if j != i]
            covariance = covariance + sum(((apart[:, i] * apart[:, j]).sum() / (n - 1)) ** 2 for j in others) / units
    return [torch.as_tensor(invariance), variance, covariance]


def half_a_batch(one: Tensor, other: Tensor) -> Tensor:
    invariance, variance, covariance = vicreg(one / 4, other / 4)
    return invariance + 2 * variance + 3 * covariance


def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 12, 5, generator=generator) * torch.linspace(0.3, 2, 5)
    return one.requires_grad_(), other.requires_grad_()


@pytest.mark.parametrize("term", [0, 1, 2])
def test_each_term_is_the_papers_in_value_and_gradient(term: int) -> None:
    one, other = views()
    found, expected = vicreg(one, other)[term], by_loops(one, other)[term]
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad(found, (one, other)), torch.autograd.grad(expected, (one, other))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_units_that_are_spread_out_and_uncorrelated_cost_nothing() -> None:
    units = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert [term.item() for term in vicreg(units, units)] == [0, 0, 0]


def test_one_projection_for_all_costs_the_whole_variance_and_a_copied_unit_its_covariance() -> None:
    assert narrowness(torch.ones(6, 3)).item() == pytest.approx(1 - EPSILON**0.5)
    unit = torch.tensor([[1.0], [-1], [1], [-1]])
    assert redundancy(unit.expand(-1, 2)).item() == pytest.approx((4 / 3) ** 2)
    assert redundancy(unit).item() == 0


def test_two_processes_have_the_gradient_of_one() -> None:
    assert_two_processes_agree_with_one("test_vicreg:half_a_batch")


def test_the_loss_weighs_its_terms_and_shows_them() -> None:
    backbone = convnet.build(SPEC, convnet.Config())
    method = VicReg(backbone, SPEC, Config(invariance=2.0, variance=3.0, covariance=5.0))
    batch = Batch(inputs=torch.rand(16, 1, 12, 12))
    loss = method.loss(batch)
    terms = batch.scalars
    expected = 2 * terms["invariance"] + 3 * terms["variance"] + 5 * terms["covariance"]
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"covariance": -1.0}, "covariance"),
        ({"hidden": 0}, "hidden"),
        ({"projection": 1}, "projection"),
        ({"solarised": 2.0}, "solarised"),
        ({"jitter": -1.0}, "jitter"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**wrong)  # type: ignore[arg-type]
