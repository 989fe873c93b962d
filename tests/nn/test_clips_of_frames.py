"""Windows of clips whose frames show when they are."""

from __future__ import annotations

import pytest
import torch

from harness.nn.clips import WHOLE, WINDOWS, centred_windows, overlapping, read_clips, taken

CLOCK = torch.arange(12.0).view(1, 12, 1, 1, 1).expand(6000, -1, -1, -1, -1)


def times(clips: torch.Tensor) -> torch.Tensor:
    return clips[:, :, 0, 0, 0]


def test_frames_are_taken_at_places_of_their_own() -> None:
    places = torch.tensor([[3, 0], [11, 11]])
    assert times(taken(CLOCK[:2], places)).tolist() == [[3, 0], [11, 11]]


def test_windows_have_their_stride_and_their_middle_tells_nothing_of_it() -> None:
    torch.manual_seed(0)
    strides = torch.arange(6000) % 3 + 1
    found = times(centred_windows(CLOCK, 3, strides, 3))
    assert (found.diff(dim=1) == strides[:, None]).all()
    assert found.min() >= 0
    assert found.max() <= 11
    middles = [found[strides == stride][:, 1] for stride in (1, 2, 3)]
    assert all(len(middle.unique()) == 6 for middle in middles)  # 3 ... 8, whatever the stride
    assert max(float(middle.mean()) for middle in middles) - min(float(middle.mean()) for middle in middles) < 0.1
    assert all(abs(float(middle.mean()) - 5.5) < 0.1 for middle in middles)


def test_a_window_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="4 frames that are 4 apart do not fit into 12"):
        centred_windows(CLOCK, 4, torch.ones(6000, dtype=torch.int64), 4)


@pytest.mark.parametrize(("length", "begins"), [(4, [0, 2, 4, 6, 8]), (5, [0, 2, 4, 6, 7]), (12, [0]), (30, [0])])
def test_overlapping_windows_reach_the_end(length: int, begins: list[int]) -> None:
    parts = overlapping(CLOCK[:1], length)
    assert [int(times(part)[0, 0]) for part in parts] == begins
    assert int(times(parts[-1])[0, -1]) == 11


def test_a_clip_is_read_as_the_mean_over_its_windows_or_at_once() -> None:
    clips, lengths = torch.arange(5.0).view(1, 5, 1, 1, 1), []

    def last_frame(part: torch.Tensor) -> torch.Tensor:
        lengths.append(part.shape[1])
        return part.flatten(1).amax(1, keepdim=True)

    assert read_clips(last_frame, clips, 2, WINDOWS).item() == (1 + 2 + 3 + 4) / 4
    assert read_clips(last_frame, clips, 2, WHOLE).item() == 4
    assert lengths == [2, 2, 2, 2, 5]
