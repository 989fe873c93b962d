"""A vector for each word, and their mean for a text, without order: Mikolov et al. 2013, arXiv:1301.3781, section 3.1;
Iyyer et al. 2015 call it the neural bag of words.

B texts, L tokens, D features.
For what predicts words, the state at a word is the mean of the vectors up to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.backbone import WordStates
from harness.nn.words import mean_of_words
from harness.plugin import Backbone, BackboneSpec, DataSpec, TextField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = 128  # D

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError("width must be at least 1")


class Bag(nn.Module):
    def __init__(self, words: int, config: Config) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, config.width)
        nn.init.normal_(self.vectors.weight, std=config.width**-0.5)
        self.looks_back = False

    def forward(self, tokens: Tensor) -> Tensor:
        return mean_of_words(self.states(tokens), tokens)  # (B,L) -> (B,D)

    def states(self, tokens: Tensor) -> Tensor:
        """(B,L) -> (B,L,D): the words' vectors, or the mean of those up to each word."""
        vectors = self.vectors(tokens)
        if not self.looks_back:
            return vectors
        counts = torch.arange(1, tokens.shape[1] + 1, device=tokens.device).unsqueeze(1)  # (L,1)
        return vectors.cumsum(1) / counts

    def look_back(self) -> None:
        self.looks_back = True


def build(data: DataSpec[TextField], config: Config) -> Backbone:
    trunk = Bag(len(data.inputs.vocabulary), config)
    words = WordStates(
        lambda trunk, tokens: [trunk.states(tokens)],  # type: ignore[operator]
        ("vectors",),
        look_back=lambda trunk: trunk.look_back(),  # type: ignore[operator]
        vectors=lambda trunk: trunk.get_parameter("vectors.weight"),
    )
    return Backbone(trunk, config.width, data, any_size=True, words=words)


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="bag-of-embeddings", build=build, config=Config, takes=("text",), source="arXiv:1301.3781")
