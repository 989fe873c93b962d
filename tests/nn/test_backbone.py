"""Backbones of images, clips and texts: what is standardised, and what reaches the trunk."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.data.columns import Texts
from harness.data.fields import DataSpec, ImageField, TextField, VideoField
from harness.errors import NotApplicable
from harness.nn.backbone import Backbone

MEAN, STD = (0.2, 0.4, 0.6), (0.1, 0.2, 0.5)


def backbone(field: ImageField | VideoField | TextField, trunk: nn.Module | None = None) -> Backbone:
    return Backbone(trunk or nn.Identity(), 4, DataSpec(inputs=field), any_size=True)


def test_images_are_standardised_by_channel() -> None:
    images = torch.rand(2, 3, 4, 4)
    found = backbone(ImageField(channels=3, size=4, mean=MEAN, std=STD))(images)
    for channel in range(3):
        torch.testing.assert_close(found[:, channel], (images[:, channel] - MEAN[channel]) / STD[channel])


def test_every_frame_of_a_clip_is_standardised_as_an_image_is() -> None:
    clips = torch.rand(2, 5, 3, 4, 4)
    found = backbone(VideoField(frames=5, channels=3, size=4, mean=MEAN, std=STD))(clips)
    of_images = backbone(ImageField(channels=3, size=4, mean=MEAN, std=STD))
    assert found.shape == clips.shape
    assert torch.equal(found.flatten(0, 1), of_images(clips.flatten(0, 1)))


def test_as_many_frames_as_channels_are_not_taken_for_channels() -> None:
    clips = torch.rand(2, 3, 3, 4, 4)
    found = backbone(VideoField(frames=3, channels=3, size=4, mean=MEAN, std=STD))(clips)
    torch.testing.assert_close(found[:, 0, 2], (clips[:, 0, 2] - MEAN[2]) / STD[2])


def test_statistics_that_are_not_measured_yet_are_those_of_uniform_noise() -> None:
    assert backbone(VideoField(frames=2, channels=1, size=4))(torch.ones(1, 2, 1, 4, 4)).unique().tolist() == [1.0]


def test_tokens_reach_the_trunk_as_they_are_and_there_is_nothing_to_standardise_by() -> None:
    texts = backbone(TextField().measured(Texts(("a red circle", "a square"))))
    tokens = torch.tensor([[2, 3, 4], [2, 5, 0]])
    assert texts(tokens) is tokens
    assert not texts.state_dict()


def test_clips_and_texts_have_no_maps_unless_their_backbone_gives_some() -> None:
    for field in (VideoField(frames=2, channels=1, size=4), TextField()):
        with pytest.raises(NotApplicable, match="needs feature maps"):
            backbone(field).maps(torch.zeros(1, 2, 1, 4, 4))
