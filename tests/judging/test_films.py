"""Films as an evaluation keeps them: read back with Pillow, frame by frame, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from example_subject import digits_dataset, example_subject
from PIL import Image
from torch import Tensor, nn

from harness.judging.films import DARK, MOST_BYTES, SLOW, WHITE, animated, fitting
from harness.records import Picture

T, SIDE = 5, 8


def shown(clips: Tensor, columns: int, folder: Path, **words) -> Picture:
    subject = example_subject(nn.Identity(), digits_dataset(), folder)
    subject.show_film("film", clips, columns, "Clips", **words)
    (picture,) = subject.pictures
    return picture


def frames_of(file: str) -> tuple[np.ndarray, list[float], dict]:
    """All frames that move (T,H,W) or (T,H,W,3), their durations in milliseconds, and what else the file says."""
    with Image.open(file) as image:
        assert image.is_animated
        assert image.default_image  # its first frame is the still one
        frames, durations = [], []
        for place in range(1, image.n_frames):
            image.seek(place)
            frames.append(np.asarray(image.convert("RGB" if "RGB" in image.mode else "L")))
            durations.append(image.info["duration"])
        return np.stack(frames), durations, dict(image.info)


def random_clips(n: int, channels: int = 1, frames: int = T, side: int = SIDE) -> Tensor:
    values = torch.randint(256, (n, frames, channels, side, side), generator=torch.Generator().manual_seed(0))
    return values / 255


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_of_every_frame_is_there(channels: int, tmp_path: Path) -> None:
    clips = random_clips(6, channels)
    picture = shown(clips, 3, tmp_path, row_names=("truth", "told"), seen=2, heading="Films", place=7)
    assert (picture.kind, picture.columns, picture.row_names) == ("film", 3, ("truth", "told"))
    assert (picture.heading, picture.place, picture.caption) == ("Films", 7, "Clips")
    frames, durations, info = frames_of(picture.file)
    assert frames.shape[:3] == (T, 2 * SIDE + 1, 3 * SIDE + 2)
    assert durations == [1000 / SLOW] * (T - 1) + [1000]  # it rests at its end
    assert info["loop"] == 0  # without end
    values = (clips * 255).round().byte().permute(0, 1, 3, 4, 2).numpy()  # (N,T,H,W,C)
    for index, clip in enumerate(values):
        top, left = index // 3 * (SIDE + 1), index % 3 * (SIDE + 1)
        part = frames[:, top : top + SIDE, left : left + SIDE].reshape(clip.shape)
        np.testing.assert_array_equal(part, clip)
    lines = frames[:, SIDE].reshape(T, -1)
    assert [set(line) for line in lines.tolist()] == [{WHITE}] * 2 + [{DARK}] * 3


@pytest.mark.parametrize(("rate", "step"), [(10.0, 100.0), (0.5, 2000.0), (240.0, pytest.approx(1000 / 60, abs=0.5))])
def test_films_run_at_the_rate_that_is_known(rate: float, step: float, tmp_path: Path) -> None:
    picture = shown(random_clips(2), 2, tmp_path, frames_per_second=rate)
    _, durations, _ = frames_of(picture.file)
    assert durations[0] == step
    assert durations[-1] >= max(1000, durations[0] - 1)


def test_a_large_film_has_fewer_clips_then_smaller_frames(tmp_path: Path) -> None:
    some = shown(random_clips(15, 1, 10, 40), 5, tmp_path / "some")
    assert 1 <= some.columns < 5
    assert some.caption == f"Clips; {some.columns} of 5 clips"
    assert Path(some.file).stat().st_size <= MOST_BYTES
    large = random_clips(6, 3, 8, 64)
    one = shown(large, 2, tmp_path / "one")
    assert one.columns == 1
    assert one.caption == "Clips; 1 of 2 clips, frames made smaller, from 64 to 32 pixels"
    frames, _, _ = frames_of(one.file)
    first = (large[0, 0] * 255).round().numpy().reshape(3, 32, 2, 32, 2).mean((2, 4)).transpose(1, 2, 0)
    np.testing.assert_allclose(frames[0, :32, :32], first, atol=0.5)


def test_frames_are_not_made_smaller_than_can_be_seen() -> None:
    clips = (random_clips(1, 3, 60, 32) * 255).byte()[:, None]
    assert len(animated(clips, 0, 4.0)) > MOST_BYTES
    assert fitting(clips, 0, 4.0).note == "frames made smaller, from 32 to 16 pixels"


@pytest.mark.parametrize(
    ("shape", "columns", "words", "message"),
    [
        ((4, 1, 8, 8), 2, {}, r"shape \(4, 1, 8, 8\), expected \(N,T,C,H,W\)"),
        ((3, 4, 1, 8, 8), 2, {}, "3 clips for 2 columns"),
        ((0, 4, 1, 8, 8), 2, {}, "0 clips"),
        ((2, 1, 1, 8, 8), 2, {}, "one frame does not move"),
        ((2, 4, 2, 8, 8), 2, {}, "2 channels, expected 1 or 3"),
        ((2, 4, 1, 8, 8), 2, {"row_names": ("a", "b")}, "2 names for 1 rows"),
        ((2, 4, 1, 8, 8), 2, {"frames_per_second": -1.0}, "-1.0 frames a second"),
    ],
)
def test_what_is_no_film_is_said(shape, columns: int, words: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        shown(torch.zeros(shape), columns, tmp_path, **words)
