"""The losses of two-view methods without negatives, equal to lightly's in value and gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.nn.sinkhorn import sinkhorn
from harness_plugins.pretext.barlow_twins import barlow_twins
from harness_plugins.pretext.byol import distance
from harness_plugins.pretext.dino import agreement
from harness_plugins.pretext.lejepa import sigreg
from harness_plugins.pretext.simsiam import opposite
from harness_plugins.pretext.swav import swapped
from harness_plugins.pretext.vicreg import vicreg

lightly = pytest.importorskip("lightly.loss")

B, P, K = 32, 16, 12


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).requires_grad_()


def assert_equal(ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], values: Tensor) -> None:
    """In value and in gradient by the values, to 1e-5."""
    found, expected = ours(values), theirs(values)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(loss, values)[0] for loss in (found, expected)]
    assert float(gradients[1].abs().max()) > 1e-4
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_barlow_twins() -> None:
    theirs = lightly.BarlowTwinsLoss(lambda_param=0.02)
    assert_equal(lambda z: barlow_twins(*z, 0.02), lambda z: theirs(*z), drawn(2, B, P))


def test_vicreg() -> None:
    def weighted(z: Tensor) -> Tensor:
        invariance, variance, covariance = vicreg(*z)
        return 25 * invariance + 25 * variance + covariance

    theirs = lightly.VICRegLoss()
    assert_equal(lambda z: weighted(z / 2), lambda z: theirs(*(z / 2)), drawn(2, B, P))


def test_byol_and_simsiam() -> None:
    theirs, expected = lightly.NegativeCosineSimilarity(), drawn(B, P).detach()
    assert_equal(lambda z: distance(z, expected), lambda z: 2 + 2 * theirs(z, expected), drawn(B, P + 1)[:, :P])
    assert_equal(lambda z: opposite(z, expected), lambda z: theirs(z, expected), drawn(B, P + 1)[:, :P])


def test_swav() -> None:
    def ours(cosines: Tensor) -> Tensor:
        return swapped([sinkhorn(scores, 0.05) for scores in cosines[:2]], list(cosines), 0.1)

    theirs = lightly.SwaVLoss(temperature=0.1, sinkhorn_iterations=3, sinkhorn_epsilon=0.05)
    large_and_small = drawn(4, B, K)  # two views of each size
    assert_equal(
        lambda z: ours(z.tanh()),
        lambda z: theirs(list(z[:2].tanh()), list(z[2:].tanh())).squeeze(),
        large_and_small,
    )


def test_dino() -> None:
    theirs, taught = lightly.DINOLoss(output_dim=K, teacher_temp=0.04, student_temp=0.1), drawn(2, B, K).detach().tanh()
    theirs.center = drawn(1, 1, K).detach() / 10
    centre = theirs.center.clone()
    targets = F.softmax((taught - centre[0, 0]) / 0.04, dim=2)
    assert_equal(
        lambda z: agreement(targets, F.log_softmax(z.tanh() / 0.1, dim=2)),
        lambda z: theirs(list(taught), list(z.tanh())),
        drawn(6, B, K),
    )


def test_lejepa() -> None:
    theirs = lightly.lejepa_loss.SIGReg(num_vectors=64)
    torch.manual_seed(0)
    directions = theirs._generate_unit_vectors(torch.device("cpu"), torch.float32, P).T

    def seeded(z: Tensor) -> Tensor:
        torch.manual_seed(0)
        return theirs(z)

    assert_equal(lambda z: sigreg(z, directions), seeded, drawn(2, B, P))
