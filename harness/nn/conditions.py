"""What was asked for as a vector: a class label, or the words of a caption.

B images, L words, K classes, E embedding dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.data.fields import DataSpec, ImageField
from harness.data.tokens import PADDING
from harness.errors import NotApplicable

if TYPE_CHECKING:
    from harness.data.batches import Batch


class ConditionEncoder(nn.Module):
    """Labels (B,) or tokens (B,L) -> (B,E). A caption is the mean of its words' embeddings: their order is lost."""

    def __init__(self, kind: str, data: DataSpec[ImageField], dim: int, gain: float = 1.0) -> None:
        super().__init__()
        known = {
            "labels": len(data.classes),
            "captions": 0 if data.captions is None else max(1, len(data.captions.vocabulary)),
        }
        if not known[kind]:
            raise NotApplicable(f"the source has no {kind} to learn from")
        self.kind = kind
        self.dim = dim  # E
        self.gain = gain  # factor on the embedding: the mean of L words has only 1/L of their variance
        if kind == "labels":
            self.embedding: nn.Module = nn.Embedding(known[kind], dim)
        else:
            self.embedding = nn.EmbeddingBag(known[kind], dim, mode="mean", padding_idx=PADDING)

    def forward(self, condition: Tensor) -> Tensor:
        return self.gain * self.embedding(condition)


def condition_of(batch: Batch, kind: str) -> Tensor:
    """The labels (B,) or the captions (B,L) of a batch."""
    condition = batch.labels if kind == "labels" else batch.captions
    assert condition is not None, f"the method's spec does not say that it uses {kind}"
    return condition


def shuffled(condition: Tensor) -> Tensor:
    """Every row's condition is that of another row of the batch (B,...): mostly a wrong one."""
    return condition.roll(int(torch.randint(1, max(2, len(condition)), ())), 0)


def mismatched(condition: Tensor) -> tuple[Tensor, Tensor]:
    """Another row's condition for every row (B,...), and where it is truly another one: (B,) of 0.0 and 1.0."""
    wrong = shuffled(condition)
    differs = (wrong != condition).flatten(1).any(1) if condition.ndim > 1 else wrong != condition
    return wrong, differs.float()


def nearly_matched(captions: Tensor) -> tuple[Tensor, Tensor]:
    """For every row of (B,L) the most alike of the batch's other captions, and where there is one: (B,) of 0.0 and 1.0.

    Alike is who shares most words; ties are broken by lot. A caption that is wrong in one word shows what that word is.
    """
    present = captions.new_zeros(len(captions), int(captions.max()) + 1, dtype=torch.float32)
    present.scatter_(1, captions, 1.0)[:, PADDING] = 0  # (B,V): which words a caption has
    shared = present @ present.T + 0.5 * torch.rand(len(captions), len(captions), device=captions.device)
    same = (captions[:, None] == captions[None]).all(2)  # (B,B)
    best, row = shared.masked_fill(same, -1.0).max(1)
    return captions[row], (best >= 0).float()
