"""Inpainting: exact holes, a loss that sees nothing but them, and an encoder that does not see into them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness_plugins.backbones import convnet
from harness_plugins.pretext.inpainting import Config, Inpainting, error_in_holes, holes

SPEC = DataSpec(inputs=ImageField(channels=3, size=16, mean=(0.2, 0.4, 0.7), std=(0.1, 0.2, 0.3)))


def inpainting(**config) -> Inpainting:
    torch.manual_seed(0)
    return Inpainting(convnet.build(SPEC, convnet.Config()), SPEC, Config(**config))


@pytest.mark.parametrize("side", [1, 5, 15])
def test_a_hole_is_a_square_of_that_side_at_any_place(side: int) -> None:
    torch.manual_seed(0)
    missing = holes(torch.zeros(3000, 3, 16, 16), 1, side)  # (B,1,H,W)
    assert missing.shape == (3000, 1, 16, 16)
    assert (missing.sum((1, 2, 3)) == side**2).all()
    assert (missing.any(-1).sum((1, 2)) == side).all()  # rows
    assert (missing.any(-2).sum((1, 2)) == side).all()  # columns
    corners = {(int(row), int(column)) for row, column in zip(*_corners(missing[:, 0]), strict=True)}
    assert len(corners) == (16 - side + 1) ** 2


def _corners(missing: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return missing.any(2).int().argmax(1), missing.any(1).int().argmax(1)


def test_several_holes_may_overlap() -> None:
    torch.manual_seed(0)
    area = holes(torch.zeros(500, 1, 16, 16), 3, 6).sum((1, 2, 3))
    assert int(area.max()) == 3 * 36  # as often as they lie apart
    assert 36 <= int(area.min()) < 3 * 36


@pytest.mark.parametrize(("hole", "side"), [(0.5, 8), (0.3, 5), (0.01, 1)])
def test_the_side_is_a_fraction_of_the_image(hole: float, side: int) -> None:
    assert inpainting(hole=hole).side == side


def test_the_loss_and_its_gradient_are_those_of_the_formula() -> None:
    """Squared differences of the values in the holes, one by one, over their number."""
    method = inpainting(holes=2, hole=0.4).eval()
    images = torch.rand(4, 3, 16, 16)
    torch.manual_seed(5)
    loss = method.loss(Batch(inputs=images))
    torch.manual_seed(5)
    missing = holes(images, 2, 6)
    seen = torch.where(missing, torch.tensor([0.2, 0.4, 0.7])[:, None, None], images)
    drawn = method.decoder(method.backbone(seen)).sigmoid()
    total, count = torch.zeros(()), 0
    for image, channel, row, column in np.ndindex(*images.shape):
        if missing[image, 0, row, column]:
            total = total + (images[image, channel, row, column] - drawn[image, channel, row, column]) ** 2
            count += 1
    torch.testing.assert_close(loss, total / count)
    weights = list(method.parameters())
    for one, other in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(total / count, weights), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_only_what_is_missing_counts() -> None:
    images, drawn = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16)
    missing = holes(images, 1, 5)
    error = error_in_holes(drawn, images, missing)
    elsewhere = images.where(missing, torch.rand_like(images))  # another target outside of the holes
    assert torch.equal(error_in_holes(drawn, elsewhere, missing), error)
    within = images.where(~missing, torch.rand_like(images))
    assert not torch.equal(error_in_holes(drawn, within, missing), error)


def test_the_encoder_does_not_see_into_the_holes() -> None:
    """It gets the source's mean there, zero once standardised, whatever the image shows; all else as it is."""
    method = inpainting(holes=1, hole=0.5)
    shown: list[torch.Tensor] = []
    method.backbone.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    torch.manual_seed(5)
    images = torch.rand(4, 3, 16, 16)
    torch.manual_seed(6)
    missing = holes(images, 1, 8)
    for filling in (0.0, 1.0):
        torch.manual_seed(6)
        method.loss(Batch(inputs=images.where(~missing, torch.tensor(filling))))
    assert torch.equal(shown[0], shown[1])
    assert torch.equal(shown[0] * ~missing, images * ~missing)
    assert (method.backbone.standardise(shown[0]) * missing).abs().max() == 0


def test_the_error_of_the_mean_is_told_beside_the_loss() -> None:
    """What an untrained method has to beat: here the variance of the images, since their mean is the source's."""
    images = torch.tensor([0.2, 0.4, 0.7])[None, :, None, None] + 0.1 * torch.randn(64, 3, 16, 16)
    batch = Batch(inputs=images)
    inpainting().loss(batch)
    assert batch.scalars["error of the mean"].item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"holes": 0}, "holes and hidden must be at least 1"),
        ({"hole": 0.0}, "fraction of the image's side"),
        ({"hole": 1.0}, "fraction of the image's side"),
    ],
)
def test_settings_out_of_range(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
