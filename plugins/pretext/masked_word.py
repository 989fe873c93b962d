"""Masked words: which words were hidden? Devlin et al. 2019, arXiv:1810.04805, section 3.1.

B texts, L tokens, D features, V words, N words that are asked for.
Some of the words are asked for; of these 80 % are hidden, 10 % replaced by another of the batch and 10 % left, so that
no state can rely on what it sees. What is hidden reads as an unknown word. Each text with words has one at least.
Differs from the paper: words are drawn in each batch anew (as in RoBERTa, arXiv:1907.11692); no second task.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.tokens import UNKNOWN
from harness.nn.word_head import WordHead, told_apart
from harness.nn.words import are_words, read_words, trimmed, word_readouts
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, TextField, hookimpl

HIDDEN, LEFT = 0.8, 0.1  # of the words that are asked for; the others are replaced


@dataclass(frozen=True, kw_only=True)
class Config:
    masked: float = 0.15  # fraction of the words that are asked for, in (0,1)

    def __post_init__(self) -> None:
        if not 0 < self.masked < 1:
            raise ValueError("masked is a fraction in (0,1)")


class MaskedWord(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[TextField], config: Config) -> None:
        super().__init__()
        self.masked = config.masked
        self.backbone = backbone  # (B,L) -> (B,D)
        self.head = WordHead(backbone, len(data.inputs.vocabulary))  # (N,D) -> (N,V)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens = trimmed(batch.inputs)
        asked = self.asked(tokens)  # (B,L)
        states = self.backbone.words(hidden(tokens, asked))[asked]
        return self.head(states, self.backbone.word_vectors), tokens[asked]

    def asked(self, tokens: Tensor) -> Tensor:
        """Which words are asked for: bool (B,L)."""
        draws = torch.rand(tokens.shape, device=tokens.device).masked_fill(~are_words(tokens), 2.0)
        return (draws < self.masked) | ((draws == draws.amin(1, keepdim=True)) & are_words(tokens))

    def loss(self, batch: Batch) -> Tensor:
        logits, words = self.solve(batch)
        batch.log("accuracy", told_apart(logits, words))
        return F.cross_entropy(logits, words)  # nats per word

    def encode(self, tokens: Tensor) -> Tensor:
        return self.read(tokens, self.readouts()[0])  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return word_readouts(self.backbone)

    def read(self, tokens: Tensor, readout: str) -> Tensor:
        return read_words(self.backbone, tokens, readout)


def hidden(tokens: Tensor, asked: Tensor) -> Tensor:
    """Texts (B,L) with most of the words that are asked for (B,L) hidden, some replaced, some as they are."""
    draws = torch.rand(tokens.shape, device=tokens.device)
    words = tokens[are_words(tokens)]
    others = words[torch.randint(len(words), tokens.shape, device=tokens.device)]  # of the batch
    changed = torch.where(draws < HIDDEN, torch.full_like(tokens, UNKNOWN), others)
    return torch.where(asked & (draws < 1 - LEFT), changed, tokens)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="masked-word",
        kind="pretext",
        build=MaskedWord,
        config=Config,
        takes=("text",),
        source="arXiv:1810.04805",
        recipe={"batch_size": 64, "learning_rate": 2e-3},
    )
