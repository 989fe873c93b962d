"""Frames from a code: parts of known frames, moved as the code says, and what is drawn anew, mixed pixel by pixel.

Finn et al. 2016, arXiv:1605.07157, section 3.2 (CDNA): each moved copy is the known frame under a kernel that the code
gives, and masks over all copies sum to 1 in each pixel. Here a kernel is the product of one along each axis (Niklaus et
al. 2017, arXiv:1708.01692), so that it may reach over half of the frame.

B clips, D features of the code, K frames to paint, S known frames, M moved copies of each, C channels, H=W pixels, R
pixels that a kernel reaches.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField
from harness.nn.decoders import ConvDecoder

AT_REST = 0.5  # how much less likely a step of one pixel more is, in nats, before anything is learned


class FramePainter(nn.Module):
    """A code (B,D) and known frames (B,S,C,H,W) -> painted (B,K,C,H,W), and what the code alone has drawn of it."""

    def __init__(self, dim: int, frame: ImageField, *, painted: int, known: int, copies: int, width: int = 32) -> None:
        super().__init__()
        self.painted, self.known, self.copies = painted, known, copies
        self.channels, self.reach = frame.channels, frame.size // 2
        self.layers = known * (copies + 1) + 1  # each known frame as it is, its moved copies, and the drawing
        self.steps = nn.Linear(dim, painted * known * copies * 2 * (2 * self.reach + 1))
        nn.init.normal_(self.steps.weight, std=0.01)
        distance = torch.arange(-self.reach, self.reach + 1).abs()
        with torch.no_grad():
            self.steps.bias.copy_((-AT_REST * distance).repeat(painted * known * copies * 2))
        outputs = ImageField(channels=painted * (self.channels + self.layers), size=frame.size)
        self.draw = ConvDecoder(dim, DataSpec(inputs=outputs), width)

    def forward(self, code: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        drawn, masks = self.draw(code).unflatten(1, (self.painted, -1)).split([self.channels, self.layers], 2)
        kernels = self.steps(code).unflatten(1, (self.painted, self.known, self.copies, 2, -1)).softmax(-1)
        moved = transported(known[:, None, :, None], kernels[..., 0, :], kernels[..., 1, :])  # (B,K,S,M,C,H,W)
        still = known[:, None].expand(-1, self.painted, -1, -1, -1, -1)  # (B,K,S,C,H,W)
        layers = torch.cat([moved.flatten(2, 3), still, drawn.unsqueeze(2)], 2)  # (B,K,S*M+S+1,C,H,W)
        return (masks.softmax(2).unsqueeze(3) * layers).sum(2), drawn


def transported(frames: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Frames (...,C,H,W) under the kernels `down` and `across`, (...,2R+1) each: (...,C,H,W).

    Weight r of `down` is that of a move down by r - R pixels, and that of `across` of one to the right. What comes in
    repeats the edge. Leading dimensions are broadcast.
    """
    reach, height, width = down.shape[-1] // 2, *frames.shape[-2:]
    edge = F.pad(frames.flatten(0, -4), (reach,) * 4, mode="replicate").unflatten(0, frames.shape[:-3])
    return toeplitz(down, height).unsqueeze(-3) @ edge @ toeplitz(across, width).unsqueeze(-3).mT


def toeplitz(kernel: Tensor, length: int) -> Tensor:
    """The kernel (...,2R+1) as a matrix (...,length,length+2R) for values with R more at each end.

    >>> toeplitz(torch.tensor([0.0, 0.25, 0.75]), 2).tolist()
    [[0.75, 0.25, 0.0, 0.0], [0.0, 0.75, 0.25, 0.0]]
    """
    taps = kernel.shape[-1]
    row = F.pad(kernel.flip(-1), (0, length))  # (...,taps+length), whose repetition shifts by one in each row
    repeated = row.repeat(*[1] * (kernel.ndim - 1), length)[..., : length * (taps + length - 1)]
    return repeated.unflatten(-1, (length, taps + length - 1))
