"""Augmentation of images and clips: the numbers of images as they were, and one draw for all frames of a clip."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.data.images import channels_last
from harness.nn.augment import random_flip, random_shift

View = Callable[[Tensor], Tensor]
VIEWS = [lambda images: random_shift(images, 0.25), random_flip]


def seeded(view: View, inputs: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return view(inputs)


@pytest.mark.parametrize("view", VIEWS, ids=["shift", "flip"])
@pytest.mark.parametrize("laid_out", [torch.clone, channels_last], ids=["contiguous", "channels_last"])
def test_a_clip_is_changed_frame_by_frame_with_one_draw(view: View, laid_out: View) -> None:
    clips = laid_out(torch.rand(16, 5, 3, 8, 8))
    found = seeded(view, clips)
    frames = [seeded(view, clips[:, frame].contiguous()) for frame in range(5)]
    assert torch.equal(found, torch.stack(frames, 1))
    assert not torch.equal(found, clips)


@pytest.mark.parametrize("view", VIEWS, ids=["shift", "flip"])
def test_every_clip_has_a_draw_of_its_own(view: View) -> None:
    clips = torch.rand(1, 4, 1, 8, 8).expand(32, -1, -1, -1, -1)
    assert len(seeded(view, clips).flatten(1).unique(dim=0)) > 1


def test_bytes_are_moved_as_they_are() -> None:
    clips = torch.randint(0, 256, (4, 3, 1, 8, 8), dtype=torch.uint8)
    moved = seeded(VIEWS[0], clips)
    assert moved.dtype == torch.uint8
    assert torch.equal(moved.float(), seeded(VIEWS[0], clips.float()))


def test_images_shift_by_the_draws_of_the_generator_and_repeat_the_edge() -> None:
    """Against the definition, pixel by pixel. Rows are drawn before columns, as in all stored results."""
    images = torch.rand(6, 2, 8, 8)
    torch.manual_seed(0)
    rows, columns = torch.randint(-2, 3, (2, 6, 1)).squeeze(-1).tolist()
    expected = torch.empty_like(images)
    for image in range(6):
        for y in range(8):
            for x in range(8):
                row, column = min(max(y + rows[image], 0), 7), min(max(x + columns[image], 0), 7)
                expected[image, :, y, x] = images[image, :, row, column]
    assert torch.equal(seeded(VIEWS[0], images), expected)


def test_half_of_the_images_are_mirrored_by_the_draws_of_the_generator() -> None:
    images = torch.rand(64, 1, 4, 4)
    torch.manual_seed(0)
    mirrored = torch.rand(64) < 0.5
    assert torch.equal(seeded(random_flip, images), torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images))


def test_no_shift_takes_no_draw() -> None:
    clips = torch.rand(2, 3, 1, 8, 8)
    before = torch.get_rng_state()
    assert random_shift(clips, 0.05) is clips
    assert torch.equal(torch.get_rng_state(), before)
