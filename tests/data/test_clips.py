"""Clips: channels last in memory, as convolutions of two and of three dimensions want them, and other sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.building import in_channels_last
from harness.data.columns import InMemory, all_values
from harness.data.fields import ImageField, VideoField
from harness.data.images import channels_last, converted
from harness.errors import NotApplicable

SHAPE = (4, 5, 3, 8, 8)  # (B,T,C,H,W)


def test_a_clip_is_a_view_in_the_format_of_three_dimensional_convolutions() -> None:
    clips = torch.rand(SHAPE)
    laid_out = channels_last(clips)
    assert torch.equal(laid_out, clips)
    volume = laid_out.transpose(1, 2)  # (B,C,T,H,W)
    assert volume.data_ptr() == laid_out.data_ptr()
    assert volume.is_contiguous(memory_format=torch.channels_last_3d)
    assert volume.contiguous(memory_format=torch.channels_last_3d).data_ptr() == laid_out.data_ptr()  # no copy


def test_the_frames_of_clips_are_a_view_in_the_format_of_two_dimensional_convolutions() -> None:
    laid_out = channels_last(torch.rand(SHAPE))
    frames = laid_out.flatten(0, 1)  # (B*T,C,H,W)
    assert frames.data_ptr() == laid_out.data_ptr()
    assert frames.is_contiguous(memory_format=torch.channels_last)


def test_a_clip_that_is_laid_out_already_is_not_copied() -> None:
    laid_out = channels_last(torch.rand(SHAPE))
    assert channels_last(laid_out).data_ptr() == laid_out.data_ptr()


def test_weights_of_convolutions_are_laid_out_too_and_nothing_else_changes() -> None:
    net = nn.Sequential(nn.Conv3d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Linear(5, 2))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    after = in_channels_last(net).state_dict()
    assert after["0.weight"].is_contiguous(memory_format=torch.channels_last_3d)
    assert after["1.weight"].is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_convolution_of_such_a_batch_gives_the_same_values_in_the_same_format() -> None:
    torch.manual_seed(0)
    layer = nn.Conv3d(3, 4, 3, padding=1)
    clips = torch.rand(SHAPE)
    expected = layer(clips.transpose(1, 2).contiguous())
    found = in_channels_last(layer)(channels_last(clips).transpose(1, 2))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


def test_clips_of_another_dataset_are_converted_frame_by_frame_with_a_note() -> None:
    field, other = VideoField(frames=3, channels=1, size=4), VideoField(frames=5, channels=3, size=8)
    clips = torch.randint(0, 256, SHAPE, dtype=torch.uint8)
    column, note = field.read(InMemory(clips), other)
    assert note == "changed from 5 frames of 8x8x3 to 3 frames of 4x4x1"
    values = all_values(column)
    assert (values.shape, values.dtype) == ((4, 3, 1, 4, 4), torch.uint8)
    for place, frame in enumerate((0, 2, 4)):
        assert torch.equal(values[:, place], converted(clips[:, frame], 1, 4))


def test_clips_of_the_same_shape_are_read_as_they_are() -> None:
    field, clips = VideoField(frames=5, channels=3, size=8), InMemory(torch.zeros(SHAPE, dtype=torch.uint8))
    assert field.read(clips, field) == (clips, "")


def test_images_are_no_clips() -> None:
    with pytest.raises(NotApplicable, match="trained on clips, these are images"):
        VideoField(frames=5, channels=3, size=8).read(InMemory(torch.zeros(1)), ImageField(channels=3, size=8))
    with pytest.raises(ValueError, match=r"torch.uint8 \(4, 3, 8, 8\), expected torch.uint8 \(N, 5, 3, 8, 8\)"):
        VideoField(frames=5, channels=3, size=8).check(InMemory(torch.zeros(4, 3, 8, 8, dtype=torch.uint8)))


def test_statistics_are_those_of_all_frames() -> None:
    clips = torch.randint(0, 256, SHAPE, dtype=torch.uint8)
    measured = VideoField(frames=5, channels=3, size=8).measured(InMemory(clips))
    of_frames = ImageField(channels=3, size=8).measured(InMemory(clips.flatten(0, 1)))
    assert (measured.mean, measured.std) == (of_frames.mean, of_frames.std)
    assert measured.frame == of_frames
