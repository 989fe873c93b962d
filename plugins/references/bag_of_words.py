"""How often each word is in a text: what any encoder of texts has to beat. B texts, L tokens, V words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.plugin import DataSpec, MethodSpec, NoConfig, TextField, hookimpl


class BagOfWords(nn.Module):
    def __init__(self, backbone: None, data: DataSpec[TextField], config: NoConfig) -> None:
        super().__init__()
        self.size = len(data.inputs.vocabulary)

    def encode(self, tokens: Tensor) -> Tensor:
        return counts_of(tokens, self.size)  # (B,V-2)


def counts_of(tokens: Tensor, size: int) -> Tensor:
    """How often each known word is in each text: (B,L) -> float32 (B,V-2)."""
    counts = torch.zeros(len(tokens), size, device=tokens.device)
    return counts.scatter_add_(1, tokens, torch.ones_like(tokens, dtype=counts.dtype))[:, 2:]


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="bag-of-words",
        kind="reference",
        build=BagOfWords,
        takes=("text",),
        uses_backbone=False,
        source="no learning",
    )
