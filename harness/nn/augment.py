"""Batched augmentations: whole batches, on their device, every example with its own draw from the global generator.

A clip has one draw for all its frames, since a view of a clip moves as the clip does.

B images or clips, T frames, C channels, H=W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def random_shift(images: Tensor, fraction: float) -> Tensor:
    """Shift each image (B,C,H,W) or clip (B,T,C,H,W) by up to `fraction` of its size in both directions.

    What comes in repeats the edge.
    """
    n, (height, width) = len(images), images.shape[-2:]
    limit = round(fraction * height)
    if limit == 0:
        return images
    device = images.device
    shift = torch.randint(-limit, limit + 1, (2, n, 1), device=device)
    rows = (torch.arange(height, device=device) + shift[0]).clamp_(0, height - 1)  # (B,H)
    columns = (torch.arange(width, device=device) + shift[1]).clamp_(0, width - 1)  # (B,W)
    index = torch.arange(n, device=device)[:, None, None]
    if images.ndim == 5:
        moved = images.permute(0, 3, 4, 1, 2)[index, rows[:, :, None], columns[:, None, :]]  # (B,H,W,T,C)
        return moved.permute(0, 3, 4, 1, 2)  # (B,T,C,H,W)
    return images.movedim(1, -1)[index, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)  # (B,C,H,W)


def random_flip(images: Tensor) -> Tensor:
    """Mirror each image (B,C,H,W) or clip (B,T,C,H,W) left to right with probability one half."""
    mirrored = torch.rand(len(images), *[1] * (images.ndim - 1), device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


def all_turns(images: Tensor, turns: int = 4) -> tuple[Tensor, Tensor]:
    """Every image in each of its first `turns` quarter turns (exact, no interpolation), in shuffled order.

    (B,C,H,H) -> images (turns*B,C,H,H) and the number of counter-clockwise quarter turns (turns*B,) of each.
    """
    turned = torch.cat([torch.rot90(images, turn, (2, 3)) for turn in range(turns)])
    labels = torch.arange(turns, device=images.device).repeat_interleave(len(images))
    order = torch.randperm(len(labels), device=images.device)
    return turned[order], labels[order]
