"""The loss term of the task, in a module of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Each row of a (B,D) must find its partner in b (B,D): nats per image."""
    similarity = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature  # (B,B)
    return F.cross_entropy(similarity, torch.arange(len(a), device=a.device))
