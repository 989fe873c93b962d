"""LeJEPA: the Epps-Pulley statistic by its closed form, the directions, and two processes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from two_processes import assert_two_processes_agree_with_one

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.lejepa import Config, LeJepa, epps_pulley, random_directions, sigreg

SPEC = DataSpec(inputs=ImageField(channels=1, size=12))


def by_loops(x: Tensor) -> Tensor:
    """B integral_-3^3 |phi_B(t) - exp(-t^2/2)|^2 exp(-t^2/2) dt of one sample (B,), on 33 nodes, number by number."""
    total = torch.zeros(())
    for node in range(-16, 17):
        t = 3 * node / 16
        gaussian = torch.exp(torch.tensor(-t * t / 2))
        phi = torch.exp(1j * t * x).mean()
        total = total + (phi - gaussian).abs() ** 2 * gaussian * 3 / 16 * (0.5 if abs(node) == 16 else 1)
    return len(x) * total


def half_a_batch(one: Tensor, other: Tensor) -> Tensor:
    """Each process draws directions of its own; those of the first are taken."""
    if torch.distributed.is_initialized():
        torch.manual_seed(7 * torch.distributed.get_rank())
    else:
        torch.manual_seed(0)
    return sigreg(torch.stack([one, other]), random_directions(16, one.shape[1], one.device))


def test_the_statistic_is_the_papers_in_value_and_gradient() -> None:
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).mul(1.5).requires_grad_()
    found = epps_pulley(x)
    expected = torch.stack([by_loops(x[:, s]) for s in range(3)]).mean()
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, x)[0] for loss in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_the_nodes_are_close_to_the_whole_integral() -> None:
    """Over all t it has a closed form: sums of Gaussians of differences (Baringhaus and Henze 1988)."""
    x = torch.randn(50, generator=torch.Generator().manual_seed(0)).double()
    pairs = torch.exp(-(x[:, None] - x).square() / 2).sum() / 50  # the weight exp(-t^2/2)
    cross = (2 / 2**0.5) * torch.exp(-x.square() / 4).sum()
    whole = (2 * torch.pi) ** 0.5 * (pairs - cross + 50 / 3**0.5)
    assert epps_pulley(x.float()[:, None]).item() == pytest.approx(whole.item(), rel=0.05)


def test_draws_from_a_gaussian_cost_little_whatever_their_number_and_others_cost_more() -> None:
    """The mean of the statistic is int (1 - exp(-t^2)) exp(-t^2/2) dt = sqrt(2 pi) (1 - 1/sqrt(3)) = 1.06."""
    generator = torch.Generator().manual_seed(0)
    for count in (64, 1024):
        draws = torch.randn(count, 2000, generator=generator)
        assert epps_pulley(draws).item() == pytest.approx(1.06, abs=0.06)
    uniform = 12**0.5 * (torch.rand(1024, 200, generator=generator) - 0.5)  # of mean 0 and variance 1 too
    assert epps_pulley(uniform).item() > 2
    assert epps_pulley(torch.zeros(1024, 2)).item() > 100  # collapsed


def test_the_gradient_of_a_far_point_stays_bounded() -> None:
    """What the paper chose this test for: moments would pull a far point ever harder."""
    largest = []
    for far in (10.0, 1000.0):
        x = torch.cat([torch.zeros(9, 1), torch.full((1, 1), far)]).requires_grad_()
        epps_pulley(x).backward()
        assert x.grad is not None
        largest.append(float(x.grad.abs().max()))
    assert max(largest) < 10


def test_directions_have_length_1_and_no_preference() -> None:
    torch.manual_seed(0)
    directions = random_directions(4000, 8, torch.device("cpu"))
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(4000))
    assert float(directions.mean(0).abs().max()) < 0.03


def test_two_processes_have_the_gradient_of_one_and_its_directions() -> None:
    assert_two_processes_agree_with_one("test_lejepa:half_a_batch")


def test_the_loss_weighs_its_two_terms() -> None:
    method = LeJepa(convnet.build(SPEC, convnet.Config()), SPEC, Config(weight=0.25, seen=3))
    batch = Batch(inputs=torch.rand(16, 1, 12, 12))
    loss = method.loss(batch)
    expected = 0.75 * batch.scalars["distance"] + 0.25 * batch.scalars["gaussian"]
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"weight": 1.5}, "weight"), ({"directions": 0}, "directions"), ({"seen": 1}, "seen"), ({"hidden": 0}, "hidden")],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**wrong)  # type: ignore[arg-type]
