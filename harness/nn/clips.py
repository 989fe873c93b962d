"""Frames of clips: those at some places, short windows of a clip, and what a clip is read as from its windows.

B clips, T frames, n of them taken, C channels, H=W pixels, D features. Draws come from torch's global generators.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WINDOWS, WHOLE = "mean over windows", "whole clip"  # readouts of methods that learn from short windows


def taken(clips: Tensor, places: Tensor) -> Tensor:
    """The frames of each clip at its own places: (B,T,C,H,W), int64 (B,n) -> (B,n,C,H,W)."""
    return clips[torch.arange(len(clips), device=clips.device)[:, None], places]


def centred_windows(clips: Tensor, count: int, strides: Tensor, widest: int) -> Tensor:
    """`count` frames of each clip, `strides` (B,) apart, about a place of its own: (B,T,C,H,W) -> (B,count,C,H,W).

    The middle of a window is drawn from the same places whatever the stride, those that a window of the stride `widest`
    can have, so that when it is tells nothing of how fast it runs. Raises ValueError where the widest does not fit.
    """
    frames, span = clips.shape[1], (count - 1) * widest
    if span >= frames:
        raise ValueError(f"{count} frames that are {widest} apart do not fit into {frames}")
    middle = torch.rand(len(clips), device=clips.device) * (frames - 1 - span) + span / 2  # (B,)
    begin = (middle - (count - 1) * strides / 2).round().long().clamp_(min=0)
    begin = torch.minimum(begin, frames - 1 - (count - 1) * strides)
    return taken(clips, begin[:, None] + strides[:, None] * torch.arange(count, device=clips.device))


def overlapping(clips: Tensor, length: int) -> list[Tensor]:
    """Windows of `length` frames, each half a length after the one before, the last up to the end: (B,n,C,H,W) each.

    >>> [part[0, :, 0, 0, 0].tolist() for part in overlapping(torch.arange(5.0).view(1, 5, 1, 1, 1), 2)]
    [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]
    """
    frames = clips.shape[1]
    if frames <= length:
        return [clips]
    begins = [*range(0, frames - length, max(1, length // 2)), frames - length]
    return [clips[:, begin : begin + length] for begin in begins]


def read_clips(encoder: Callable[[Tensor], Tensor], clips: Tensor, length: int, readout: str) -> Tensor:
    """Features of clips (B,T,C,H,W) by an encoder of any length: the mean over windows of `length` frames, or of all
    frames at once, as `readout` says: (B,D).
    """
    parts = overlapping(clips, length) if readout == WINDOWS else [clips]
    return torch.stack([encoder(part) for part in parts]).mean(0)
