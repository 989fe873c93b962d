"""The transformer of clips: tubes as tokens, those that are kept alone, at any size and length."""

from __future__ import annotations

import pytest
import torch

from harness.data.fields import DataSpec, VideoField
from harness.errors import RequestError
from harness.nn.backbone import Backbone
from harness.nn.patches import patches_of, tubes_of
from harness.registry.config import resolve
from harness_plugins.backbones import video_vit

SPEC = DataSpec(inputs=VideoField(frames=6, channels=3, size=8, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3)))
CLIPS = torch.rand(2, 6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def built(**params) -> Backbone:
    torch.manual_seed(0)
    return video_vit.build(SPEC, video_vit.Config(**{"width": 48, "depth": 2, **params})).eval()


def test_a_tube_is_the_patches_of_its_frames() -> None:
    tubes = tubes_of(CLIPS, 4, 2)
    assert tubes.shape == (2, 3 * 4, 2 * 3 * 16)
    for time in range(3):
        for place in range(4):
            frames = [patches_of(CLIPS[:, 2 * time + frame], 4)[:, place] for frame in range(2)]
            torch.testing.assert_close(tubes[:, 4 * time + place], torch.cat(frames, 1))
    longer = tubes_of(CLIPS[:, :5], 4, 2)
    torch.testing.assert_close(longer, tubes_of(torch.cat([CLIPS[:, :5], CLIPS[:, 4:5]], 1), 4, 2))


@pytest.mark.parametrize(("frames", "size"), [(6, 8), (5, 8), (1, 4), (8, 11)])
def test_clips_of_any_size_and_length_are_encoded(frames: int, size: int) -> None:
    backbone = built()
    clips = torch.rand(2, frames, 3, size, size)
    count = -(-frames // 2) * (-(-size // 4)) ** 2
    assert backbone(clips).shape == (2, 48)
    assert backbone.tokens(clips).shape == (2, count, 48)


def test_a_few_tubes_are_all_that_is_seen() -> None:
    backbone, kept = built(), torch.tensor([[0, 4, 8], [3, 7, 11]])  # the same place at all times
    others = torch.rand(2, 6, 3, 8, 8)
    others[0, :, :, :4, :4] = CLIPS[0, :, :, :4, :4]
    others[1, :, :, 4:, 4:] = CLIPS[1, :, :, 4:, 4:]
    with torch.no_grad():
        found, again = backbone.tokens(CLIPS, kept), backbone.tokens(others, kept)
    assert found.shape == (2, 3, 48)
    torch.testing.assert_close(found, again)
    assert not torch.allclose(backbone(CLIPS), backbone(others))


def test_positions_tell_every_tube_from_every_other() -> None:
    places = built().trunk.positions(3, (8, 8))[0]
    assert places.shape == (12, 48)
    distances = torch.cdist(places, places) + torch.eye(12)
    assert float(distances.min()) > 0.1


def test_time_matters_and_stages_are_a_chain() -> None:
    backbone = built()
    with torch.no_grad():
        assert (backbone(CLIPS) - backbone(CLIPS.flip(1))).abs().max() > 1e-4
        inputs = backbone.standardise(CLIPS)
        torch.testing.assert_close(backbone.between(0, 3, inputs), backbone.trunk(inputs))
    assert (backbone.patch, backbone.tube, backbone.extra_tokens) == (4, 2, 0)


@pytest.mark.parametrize("params", [{"width": 24}, {"heads": 5}, {"frames": 0}])
def test_odd_parameters_are_errors(params: dict) -> None:
    with pytest.raises(RequestError, match=next(iter(params))):
        resolve(video_vit.Config, params, "video-vit")
