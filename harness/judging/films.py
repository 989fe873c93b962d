"""Grids of images as PNG, and grids of clips as animated PNG, which browsers and GitHub play.

An animated PNG has a still picture too, for where nothing may move: here its last frame (harness.report.stills).

N images, R rows and K columns of clips, T frames, C channels (1 or 3), H=W pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

SLOW = 4.0  # frames a second, where the data does not tell
FASTEST = 60.0  # frames a second
REST = 1.0  # seconds that the last frame stays before the film begins again
WHITE, DARK = 255, 70  # lines between clips: while all frames are given, and where some are told
MOST_BYTES = 96 * 1024  # of a film
SMALLEST = 16  # pixels: frames are not halved below it


@dataclass(frozen=True, kw_only=True)
class Film:
    """An animated PNG of the first `columns` clips of each row."""

    content: bytes
    columns: int
    note: str = ""  # what was done to make it small


def grid(images: Tensor, columns: int, gap: int = 1, line: int = WHITE) -> Tensor:
    """uint8 (N,C,H,W) -> one uint8 picture (H',W',C), row by row, with gaps of the grey value `line`."""
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    cell_h, cell_w = height + gap, width + gap
    canvas = images.new_full((rows * cell_h - gap, columns * cell_w - gap, channels), line)
    for index, image in enumerate(images):
        top, left = (index // columns) * cell_h, (index % columns) * cell_w
        canvas[top : top + height, left : left + width] = image.permute(1, 2, 0)
    return canvas


def picture_of(canvas: Tensor) -> Image:
    """uint8 (H,W,C) as Pillow has it, C 1 or 3."""
    from PIL import Image

    return Image.fromarray(canvas.squeeze(-1).numpy() if canvas.shape[-1] == 1 else canvas.numpy())


def fitting(clips: Tensor, seen: int, rate: float) -> Film:
    """A film of uint8 clips (R,K,T,C,H,W): of fewer columns, then of smaller frames, until it has MOST_BYTES at most.

    What is still larger with one column of SMALLEST frames is left so.
    """
    shown, notes = clips, []
    content = animated(shown, seen, rate)
    while len(content) > MOST_BYTES and shown.shape[1] > 1:
        shown = shown[:, : max(1, min(shown.shape[1] - 1, shown.shape[1] * MOST_BYTES // len(content)))]
        content = animated(shown, seen, rate)
    if shown.shape[1] < clips.shape[1]:
        notes.append(f"{shown.shape[1]} of {clips.shape[1]} clips")
    while len(content) > MOST_BYTES and shown.shape[-1] >= 2 * SMALLEST:
        shown = halved(shown)
        content = animated(shown, seen, rate)
    if shown.shape[-1] < clips.shape[-1]:
        notes.append(f"frames made smaller, from {clips.shape[-1]} to {shown.shape[-1]} pixels")
    return Film(content=content, columns=shown.shape[1], note=", ".join(notes))


def halved(clips: Tensor) -> Tensor:
    """uint8 clips (R,K,T,C,H,W) -> (R,K,T,C,H/2,W/2): the mean of each 2x2 pixels."""
    flat = F.avg_pool2d(clips.flatten(0, 2).float(), 2).round()  # (R*K*T,C,H/2,W/2)
    return flat.to(clips.dtype).unflatten(0, clips.shape[:3])


def animated(clips: Tensor, seen: int, rate: float) -> bytes:
    """uint8 clips (R,K,T,C,H,W), `rate` frames a second, as an animated PNG without end; its still is the last frame.

    The lines between clips are white for the first `seen` frames, and dark after.
    """
    columns, count = clips.shape[1:3]
    frames = [
        picture_of(grid(clips[:, :, place].flatten(0, 1), columns, line=WHITE if place < seen else DARK))
        for place in range(count)
    ]
    step = 1000 / rate  # milliseconds
    durations = [step] * (count - 1) + [max(step, 1000 * REST)]
    file = io.BytesIO()
    frames[-1].save(file, "PNG", save_all=True, default_image=True, append_images=frames, duration=durations, loop=0)
    return file.getvalue()
