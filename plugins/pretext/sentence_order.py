"""Sentence order: were the two parts of a text swapped? Lan et al. 2020, arXiv:1909.11942, section 3.1.

B texts, L tokens, D features, N texts that can be cut.
A text is cut after one of its sentences, and half of the texts go on with their beginning. Against shortcuts: both
orders have the same words; what follows the last whole sentence is left out, so that no order ends in the middle of
one; texts of one sentence are not asked about. Where the vocabulary has no ends of sentences, as one of words, texts
are cut in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.tokens import PADDING
from harness.nn.words import are_words, read_words, word_readouts
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, TextField, hookimpl

ENDS = (".", "!", "?")


@dataclass(frozen=True, kw_only=True)
class Config:
    hidden: int = 128  # units of the head's hidden layer

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError("hidden must be at least 1")


class SentenceOrder(nn.Module):
    ends: Tensor

    def __init__(self, backbone: Backbone, data: DataSpec[TextField], config: Config) -> None:
        super().__init__()
        ends = torch.tensor([word.endswith(ENDS) for word in data.inputs.vocabulary])
        ends[:2] = False  # what is no word ends nothing
        self.register_buffer("ends", ends)  # bool (V,)
        self.backbone = backbone  # (B,L) -> (B,D)
        self.head = nn.Sequential(nn.Linear(backbone.dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2))

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        texts, cuts = self.cut(batch.inputs)
        swapped = torch.randint(2, (len(texts),), device=texts.device)  # (N,)
        return self.head(self.backbone(turned(texts, cuts * swapped))), swapped

    def cut(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The texts (B,L) that can be cut, up to their last whole sentence (N,L), and after how many words (N,)."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        if not self.ends.any():
            lengths = are_words(tokens).sum(1)
            return tokens[lengths > 1], (lengths // 2)[lengths > 1]
        ends = self.ends[tokens]  # (B,L)
        last = torch.where(ends, places, -1).amax(1, keepdim=True)  # (B,1)
        inner = ends & (places < last)
        some = inner.any(1)
        draws = torch.rand(tokens.shape, device=tokens.device).masked_fill(~inner, -1.0)
        return tokens.masked_fill(places > last, PADDING)[some], draws.argmax(1)[some] + 1

    def loss(self, batch: Batch) -> Tensor:
        logits, answers = self.solve(batch)
        batch.log("accuracy", (logits.argmax(1) == answers).float().sum() / max(1, len(answers)))
        return F.cross_entropy(logits, answers, reduction="sum") / max(1, len(answers))  # nats per text

    def encode(self, tokens: Tensor) -> Tensor:
        return self.read(tokens, self.readouts()[0])  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return word_readouts(self.backbone)

    def read(self, tokens: Tensor, readout: str) -> Tensor:
        return read_words(self.backbone, tokens, readout)


def turned(tokens: Tensor, cuts: Tensor) -> Tensor:
    """Texts (N,L) that begin after so many words (N,) and go on with those; as they are after 0.

    >>> turned(torch.tensor([[5, 6, 7, 0]]), torch.tensor([1]))
    tensor([[6, 7, 5, 0]])
    """
    lengths = are_words(tokens).sum(1, keepdim=True)  # (N,1)
    places = torch.arange(tokens.shape[1], device=tokens.device)  # (L,)
    moved = (places + cuts.unsqueeze(1)) % lengths.clamp_min(1)
    return tokens.gather(1, torch.where(places < lengths, moved, places))


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="sentence-order",
        kind="pretext",
        build=SentenceOrder,
        config=Config,
        takes=("text",),
        source="arXiv:1909.11942",
        recipe={"batch_size": 64, "learning_rate": 1e-3},
    )
