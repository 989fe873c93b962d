"""Methods of images on the frames of clips: they see frames, and nothing of their order."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, VideoField
from harness.errors import NotApplicable, RequestError
from harness.registry.config import resolve
from harness_plugins.backbones import frames
from harness_plugins.pretext import frame_by_frame

SPEC = DataSpec(inputs=VideoField(frames=6, channels=1, size=8, mean=(0.3,), std=(0.2,)))
CLIPS = torch.rand(16, 6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def built(method: str, **params: Any):
    torch.manual_seed(0)
    backbone = frames.build(SPEC, frames.Config(width=8, pool="mean", differences=False))
    return frame_by_frame.FrameByFrame(backbone, SPEC, frame_by_frame.Config(method=method, **params))


@pytest.mark.parametrize("seen", [1, 3])
def test_the_method_sees_frames_of_every_clip(seen: int) -> None:
    method, shown = built("rotation", frames=seen), []
    method.inner.loss = lambda batch: shown.append(batch.inputs)
    method.loss(Batch(inputs=CLIPS))
    assert shown[0].shape == (16 * seen, 1, 8, 8)
    for place, frame in enumerate(shown[0]):
        assert any(torch.equal(frame, other) for other in CLIPS[place // seen])


def test_a_clip_is_the_mean_of_its_frames_and_knows_no_order() -> None:
    method = built("simclr").eval()
    with torch.no_grad():
        each = torch.stack([method.inner.encode(CLIPS[:, frame]) for frame in range(6)], 1)
        torch.testing.assert_close(method.encode(CLIPS), each.mean(1))
        torch.testing.assert_close(method.encode(CLIPS), method.encode(CLIPS.flip(1)))
        torch.testing.assert_close(method.read(CLIPS, frame_by_frame.BESIDE), each.flatten(1))
        torch.testing.assert_close(method.encode(CLIPS), method.backbone(CLIPS))  # the mean of frames is its pooling


def test_moving_averages_move_after_each_step() -> None:
    method = built("byol")
    optimiser = torch.optim.SGD(method.parameters(), 0.1)
    method.loss(Batch(inputs=CLIPS)).backward()
    optimiser.step()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.after_step(0.5)
    moved = [name for name, value in method.state_dict().items() if not torch.equal(value, before[name])]
    assert moved
    built("rotation").after_step(0.5)  # has none


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("gan", "gan has no loss"),
        ("masked-autoencoder", "needs a backbone that sees patches"),
        ("cgan", "cgan uses labels beside images"),
        ("next-frame", "learns no backbone from images"),
    ],
)
def test_what_cannot_be_applied_is_skipped_with_the_reason(method: str, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        built(method)


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(RequestError, match=r"method=simclar: there is no such method of images; there are .*simclr"):
        resolve(frame_by_frame.Config, {"method": "simclar"}, "frame-by-frame")


def test_another_method_is_another_cell() -> None:
    one, two = (frame_by_frame.files(frame_by_frame.Config(method=name)) for name in ("simclr", "rotation"))
    assert [file.name for file in (*one, *two)] == ["simclr.py", "rotation.py"]
