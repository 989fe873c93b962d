"""Term frequency times inverse document frequency: words that few texts have count more. Spärck Jones 1972.

    x_w = c_w (ln((1 + N) / (1 + n_w)) + 1), then each text at length 1,    n_w of N training texts have the word w

B texts, L tokens, V words. As scikit-learn's TfidfVectorizer has it, smooth and with the Euclidean norm.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.columns import Column, blocks, column_of
from harness.plugin import DataSpec, MethodSpec, NoConfig, TextField, hookimpl


class TfIdf(nn.Module):
    weights: Tensor

    def __init__(self, backbone: None, data: DataSpec[TextField], config: NoConfig) -> None:
        super().__init__()
        self.size = len(data.inputs.vocabulary)
        self.register_buffer("weights", torch.ones(self.size - 2))  # (V-2,)

    def fit(self, tokens: Tensor | Column) -> None:
        having = torch.zeros(self.size - 2)
        for block in blocks(column_of(tokens), 1024):
            having += (self.counts(block.cpu()) > 0).sum(0)
        self.weights.copy_(((1 + len(tokens)) / (1 + having)).log() + 1)

    def encode(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.counts(tokens) * self.weights, dim=1)  # (B,V-2)

    def counts(self, tokens: Tensor) -> Tensor:
        """How often each known word is in each text: (B,L) -> float32 (B,V-2)."""
        counts = torch.zeros(len(tokens), self.size, device=tokens.device)
        return counts.scatter_add_(1, tokens, torch.ones_like(tokens, dtype=counts.dtype))[:, 2:]


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="tf-idf",
        kind="reference",
        build=TfIdf,
        takes=("text",),
        uses_backbone=False,
        source="Spärck Jones 1972, Journal of Documentation 28:11",
    )
