"""SimCSE: a text and itself, seen through two dropouts, among other texts. Gao et al. 2021, arXiv:2104.08821.

    l_i = -log exp(cos(z_i, z'_i) / T) / sum_j exp(cos(z_i, z'_j) / T),    z = g(dropout(f(x)))

B texts, L tokens, D features of the backbone f, P units of the projection g, which is left behind.
Dropout is that of the backbone, where it has any, and of its features, so that no two views are equal.
Differs from the paper: trained from the start, not from BERT; both views are asked for (NT-Xent), as in SimCLR.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.contrastive import matching_logits, nt_xent
from harness.nn.heads import projector
from harness.nn.words import read_words, word_readouts
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, TextField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    dropout: float = 0.1  # probability in (0,1) of zeroing a feature
    temperature: float = 0.05  # T
    hidden: int = 256  # units of the projection's hidden layer
    projection: int = 64  # P

    def __post_init__(self) -> None:
        if not 0 < self.dropout < 1:
            raise ValueError("dropout is a probability in (0,1)")
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")
        if min(self.hidden, self.projection) < 1:
            raise ValueError("hidden and projection must be at least 1")


class SimCse(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[TextField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # f: (B,L) -> (B,D)
        self.projector = projector(backbone.dim, config.hidden, config.projection)  # g

    def embeddings(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Projections (B,P) of two views of each text; the dropout of features is there in eval mode too."""
        features = F.dropout(self.backbone(torch.cat([tokens, tokens])), self.config.dropout, training=True)  # (2B,D)
        one, other = self.projector(features).chunk(2)
        return one, other

    def loss(self, batch: Batch) -> Tensor:
        return nt_xent(*self.embeddings(batch.inputs), self.config.temperature)  # nats per view

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return matching_logits(*self.embeddings(batch.inputs), self.config.temperature)  # (B,B), (B,)

    def encode(self, tokens: Tensor) -> Tensor:
        return self.read(tokens, self.readouts()[0])  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return word_readouts(self.backbone)

    def read(self, tokens: Tensor, readout: str) -> Tensor:
        return read_words(self.backbone, tokens, readout)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="simcse",
        kind="pretext",
        build=SimCse,
        config=Config,
        takes=("text",),
        source="arXiv:2104.08821",
        recipe={"batch_size": 128, "learning_rate": 1e-3},
    )
