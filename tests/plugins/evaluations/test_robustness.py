"""Corruptions against formulas and libraries, and the probe's accuracy under them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import digits_dataset, example_subject
from scipy.ndimage import gaussian_filter, rotate
from torch import Tensor, nn

from harness_plugins.evaluations.robustness import (
    KINDS,
    SCORES,
    Config,
    blur_matrix,
    corrupted,
    harness_evaluation,
    run,
)


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 4, channels: int = 3, size: int = 32) -> Tensor:
    return 0.3 + 0.4 * torch.rand(n, channels, size, size, generator=generator(7))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 96, 96), (2, 4, 1, 16, 16)])
def test_every_kind_gives_such_images_again_from_the_same_seed_the_same_ones(kind: str, shape: tuple[int, ...]) -> None:
    inputs = torch.rand(shape, generator=generator(3))
    for strength in (1, 5):
        changed = corrupted(inputs, kind, strength, generator())
        assert changed.shape == shape
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
        torch.testing.assert_close((255 * changed).round(), 255 * changed, atol=1e-4, rtol=0)  # of 256 levels
        assert torch.equal(changed, corrupted(inputs, kind, strength, generator()))


@pytest.mark.parametrize("kind", KINDS)
def test_each_strength_changes_more(kind: str) -> None:
    smooth = torch.sin(torch.arange(32) / 4)[:, None] * torch.cos(torch.arange(32) / 3)
    inputs = (0.5 + 0.4 * smooth).expand(16, 1, 32, 32)
    errors = [float((corrupted(inputs, kind, s, generator()) - inputs).square().mean()) for s in (1, 2, 3, 4, 5)]
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_noise_and_contrast_by_their_formulas() -> None:
    added = corrupted(images(), "noise", 2, generator()) - images()
    assert float(added.std()) == pytest.approx(0.08, rel=0.03)
    mean = images().mean((2, 3), keepdim=True)
    expected = mean + 0.35 * (images() - mean)
    torch.testing.assert_close(corrupted(images(), "contrast", 3, generator()), expected, atol=0.003, rtol=0)


def test_blur_is_that_of_scipy() -> None:
    theirs = gaussian_filter(images()[0, 0].double().numpy(), 0.065 * 32, mode="nearest", truncate=4.0)
    ours = corrupted(images(), "blur", 4, generator())[0, 0]
    np.testing.assert_allclose(ours.numpy(), theirs, atol=0.004)
    torch.testing.assert_close(blur_matrix(8, 0.16).sum(1), torch.ones(8))


def test_rotation_is_that_of_scipy_to_either_side() -> None:
    inputs = images(64, 1)
    turned = corrupted(inputs, "rotation", 3, generator())
    sides = set()
    for before, after in zip(inputs[:, 0].numpy(), turned[:, 0].numpy(), strict=True):
        inner = slice(8, 24)  # what turns in from outside is not compared
        errors = {a: np.abs(rotate(before, a, reshape=False, order=1)[inner, inner] - after[inner, inner]).max()
                  for a in (-20, 20)}  # fmt: skip
        side = min(errors, key=lambda a: errors[a])
        assert errors[side] < 0.01
        sides.add(side)
    assert sides == {-20, 20}


def test_occlusion_hides_a_square_in_the_colour_of_the_image() -> None:
    inputs = images(50)
    hidden = (corrupted(inputs, "occlusion", 3, generator()) - inputs).abs() > 0.003
    square = hidden.any(1)  # (N,H,W)
    assert set(square.any(2).sum(1).tolist()) <= {12, 13}  # rows: 0.4 of 32, an edge may be lost to equal values
    assert len({tuple(np.argwhere(one.numpy())[0]) for one in square}) > 20
    one = corrupted(inputs, "occlusion", 5, generator())[0, 0]
    assert float((one - inputs[0, 0].mean()).abs().lt(0.003).double().mean()) > 0.34


def test_scores_of_digits(tmp_path: Path) -> None:
    subject = example_subject(Flat(), digits_dataset(), tmp_path)
    config = Config(penalties=1, strongest=1e-2, weakest=1e-2)
    scores = run(subject, config)
    assert set(scores) == {score.name for score in SCORES}
    value = {name: float(getattr(score, "value", score)) for name, score in scores.items()}
    assert value["clean"] > 0.9
    assert value["accuracy"] == pytest.approx(sum(value[kind] for kind in KINDS) / 5)
    assert value["relative_loss"] == pytest.approx(1 - value["accuracy"] / value["clean"])
    assert all(0.1 < value[kind] < value["clean"] for kind in KINDS)
    assert torch.as_tensor(scores["accuracy"].outcomes).shape == (len(subject.labels("test")),)
    curve, grid = subject.pictures
    shown = json.loads(Path(curve.file).read_text())
    assert shown["x"] == [1, 2, 3, 4, 5]
    assert list(shown["lines"]) == list(KINDS)
    assert sum(shown["lines"]["noise"]) / 5 == pytest.approx(value["noise"], abs=1e-4)
    assert shown["levels"]["clean"] == pytest.approx([value["clean"]] * 5, abs=1e-4)
    assert (grid.shared, grid.row_names, grid.columns) == (True, tuple(KINDS), 12)
    again = run(example_subject(Flat(), digits_dataset(), tmp_path), config)
    assert float(again["accuracy"].value) == value["accuracy"]


def test_it_takes_what_has_pixels() -> None:
    assert harness_evaluation().takes == ("image", "video")
    assert harness_evaluation().on_request
