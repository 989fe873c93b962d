"""Sentence order: which of two parts of a text comes first? Jernite et al. 2017, arXiv:1705.00557, section 3.1.

B texts, L tokens, D features, N texts that can be cut.
A text is cut after one of its sentences; both parts are encoded apart, and a head on the two codes says which was the
first. (Read as one text with its parts swapped, as in Lan et al. 2020, arXiv:1909.11942, a small network stays at
chance for hundreds of steps.) Against shortcuts: what follows the last whole sentence is left out, so that no part ends
in the middle of one; texts of one sentence are not asked about. Where the vocabulary has no ends of sentences, as one
of words, texts are cut in the middle. First parts are shorter on average, and their lengths are part of what is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.tokens import PADDING
from harness.nn.words import are_words, read_words, trimmed, word_readouts
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
        self.head = nn.Sequential(nn.Linear(2 * backbone.dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2))

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        parts = torch.stack(parted(*self.cut(batch.inputs)))  # (2,N,L)
        swapped = torch.randint(2, parts.shape[1:2], device=parts.device)  # (N,)
        shown = torch.where(swapped.bool().unsqueeze(1), parts.flip(0), parts)
        codes = self.backbone(trimmed(shown.flatten(0, 1)))  # (2*N,D)
        return self.head(torch.cat(codes.chunk(2), 1)), swapped

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


def parted(tokens: Tensor, cuts: Tensor) -> tuple[Tensor, Tensor]:
    """The first so many words (N,) of texts (N,L), and the others moved to the front, with padding: (N,L) twice.

    >>> parted(torch.tensor([[5, 6, 7, 0]]), torch.tensor([1]))
    (tensor([[5, 0, 0, 0]]), tensor([[6, 7, 0, 0]]))
    """
    places = torch.arange(tokens.shape[1], device=tokens.device)  # (L,)
    begins = cuts.unsqueeze(1)  # (N,1)
    later = (places + begins).clamp_max(tokens.shape[1] - 1)
    outside = places + begins >= tokens.shape[1]
    return tokens.masked_fill(places >= begins, PADDING), tokens.gather(1, later).masked_fill(outside, PADDING)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="sentence-order",
        kind="pretext",
        build=SentenceOrder,
        config=Config,
        takes=("text",),
        source="arXiv:1705.00557",
        recipe={"batch_size": 64, "learning_rate": 1e-3},
    )
