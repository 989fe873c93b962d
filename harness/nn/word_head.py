"""From what is known of a word to the logits of all words, by the vectors that the backbone reads words with.

    logits = E (W h + w) + b,    E the words' vectors: Press and Wolf 2017, arXiv:1608.05859

D features, V words. What is learned of a word where it is read serves where it is predicted: with few texts to learn
from, that takes far fewer steps. A backbone that shows no vectors of words gets some for the head alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.backbone import Backbone


class WordHead(nn.Module):
    """`head(states, backbone.word_vectors)`: (...,D) -> (...,V). Vectors are handed in: no weight has two names."""

    def __init__(self, backbone: Backbone, words: int) -> None:
        super().__init__()
        self.mix = nn.Linear(backbone.dim, backbone.dim)
        self.bias = nn.Parameter(torch.zeros(words))
        own = backbone.word_vectors is None
        self.own = nn.Parameter(torch.randn(words, backbone.dim) * backbone.dim**-0.5) if own else None

    def forward(self, states: Tensor, vectors: Tensor | None) -> Tensor:
        found = self.own if vectors is None else vectors
        assert found is not None, "a backbone has vectors of words for good, or none"
        return F.linear(self.mix(states), found, self.bias)


def told_apart(logits: Tensor, words: Tensor) -> Tensor:
    """How often the word (N,) has the greatest of the logits (N,V): (). Cheaper than to find which one has it."""
    return (logits.gather(1, words.unsqueeze(1)).squeeze(1) >= logits.amax(1)).float().mean()
