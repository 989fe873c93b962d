"""In which precision a method computes: bf16 where a request asks for it, and fp32 where that would lose the answer."""

from __future__ import annotations

from typing import Any

import torch


def autocast(device: torch.device, precision: str) -> Any:
    """bf16 autocast on the device, or nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def full_precision(device: str | torch.device) -> Any:
    """No autocast inside: for what must not be rounded to bf16, such as a covariance or a softmax over a batch.

    `loss()` runs wholly under autocast, where even `z.float() @ z.float().T` is computed in bf16.

        with full_precision(z.device):
            similarity = z.float() @ z.float().T  # (B,B) in fp32

    device: that of the tensors.
    """
    return torch.autocast(torch.device(device).type, enabled=False)
