"""Latent codes of a subject's images, and the images of codes: batched, checked, on the CPU.

N images, C channels, H=W pixels, L code dimensions, P pairs, S steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import TrainingFailed
from harness.judging.subject import ENCODING_BATCH, Subject
from harness.precision import autocast


def codes_of(subject: Subject, images: Tensor) -> Tensor:
    """uint8 (N,C,H,W) -> float32 (N,L). Raises TrainingFailed where that is no code."""
    codes = subject.batched(subject.method.code, images)
    if codes.ndim != 2 or len(codes) != len(images):
        raise TrainingFailed(f"code() gave {tuple(codes.shape)}, expected ({len(images)}, L): flatten before returning")
    if not torch.isfinite(codes).all():
        raise TrainingFailed("code() gave values that are not finite")
    return codes


def decoded(subject: Subject, codes: Tensor) -> Tensor:
    """(N,L) -> float32 (N,C,H,W), clamped to [0,1]. Raises TrainingFailed where that is no image."""
    parts = []
    with torch.no_grad(), autocast(subject.device, subject.cell.precision):
        for part in codes.split(ENCODING_BATCH):
            parts.append(subject.method.decode(part.to(subject.device)).float().cpu())
    images = torch.cat(parts)
    expected = (len(codes), *subject.spec.inputs.shape)
    if images.shape != expected:
        raise TrainingFailed(f"decode() gave {tuple(images.shape)}, expected {expected}")
    if not torch.isfinite(images).all():
        raise TrainingFailed("decode() gave values that are not finite")
    return images.clamp(0, 1)


def decoded_paths(subject: Subject, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Codes (P,L) twice -> the images of the straight lines between them, both ends included: (P,S+1,C,H,W)."""
    weights = torch.linspace(0, 1, steps + 1)[:, None]  # (S+1,1)
    line = torch.lerp(start[:, None], end[:, None], weights)  # (P,S+1,L)
    return decoded(subject, line.flatten(0, 1)).unflatten(0, (len(start), steps + 1))
