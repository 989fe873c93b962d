"""A transformer on words, which all look at each other, or only back where a task predicts words. Vaswani et al. 2017,
arXiv:1706.03762, section 3.

B texts, L tokens, D features, M blocks.
Differs from the paper: normalised first (Xiong et al. 2020, arXiv:2002.04745); dropout on what enters each block alone.
A text is the mean over its words, other readouts are in harness.nn.words. Positions are sines, for texts of any length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.backbone import WordStates
from harness.nn.stages import Stage
from harness.nn.transformer import Block
from harness.nn.words import are_words, mean_of_words, trimmed
from harness.plugin import Backbone, BackboneSpec, DataSpec, TextField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = 128  # D, an even multiple of heads
    depth: int = 3  # M
    heads: int = 4  # of each block's attention
    dropout: float = 0.1  # probability in [0,1) of zeroing a value of what a block is given, in training

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads) < 1 or self.width % self.heads or self.width % 2:
            raise ValueError(f"width must be even and a multiple of heads={self.heads}; depth at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout is a probability in [0,1)")


class Transformer(nn.Module):
    def __init__(self, words: int, config: Config) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, config.width)
        nn.init.normal_(self.vectors.weight, std=config.width**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.looks_back = False

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = trimmed(tokens)
        return mean_of_words(self.states(tokens)[-1], tokens)  # (B,L) -> (B,D)

    def states(self, tokens: Tensor) -> list[Tensor]:
        """What each block makes of each word: (B,L) -> 1 + M times (B,L,D), the words' vectors first."""
        seen = self.seen(tokens)
        vectors = self.vectors(tokens) * self.vectors.embedding_dim**0.5  # section 3.4; variance 1, sines have a half
        found = [vectors]
        states = vectors + positions(tokens.shape[1], vectors.shape[2]).to(vectors)
        for block in self.blocks:
            states = block(self.dropout(states), seen)
            found.append(states)
        found[-1] = self.norm(states)
        return found

    def seen(self, tokens: Tensor) -> Tensor:
        """Which words each word looks at, itself among them: bool (B,L,L), or (1,L,L) where it looks back."""
        length = tokens.shape[1]
        if self.looks_back:
            return torch.ones(1, length, length, dtype=torch.bool, device=tokens.device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=tokens.device)
        return are_words(tokens).unsqueeze(1) | itself

    def look_back(self) -> None:
        self.looks_back = True


def positions(length: int, dim: int) -> Tensor:
    """Sines and cosines of each place: float32 (L,D). Section 3.5; wavelengths from 2 pi to 10,000 * 2 pi."""
    frequencies = 10_000.0 ** -(torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))
    angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies)  # (L,D/2)
    return torch.cat([angles.sin(), angles.cos()], 1).float()


def build(data: DataSpec[TextField], config: Config) -> Backbone:
    names = ("vectors", *(f"block {place + 1}" for place in range(config.depth)))
    last = (f"blocks.{config.depth - 1}", "norm")
    parts = [("vectors",), *((f"blocks.{place}",) for place in range(config.depth - 1)), last]
    stages = [Stage(name, part) for name, part in zip(names, parts, strict=True)]
    words = WordStates(
        lambda trunk, tokens: trunk.states(tokens),  # type: ignore[operator]
        names,
        look_back=lambda trunk: trunk.look_back(),  # type: ignore[operator]
        vectors=lambda trunk: trunk.get_parameter("vectors.weight"),
    )
    trunk = Transformer(len(data.inputs.vocabulary), config)
    return Backbone(trunk, config.width, data, any_size=True, words=words, stages=stages)


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="transformer", build=build, config=Config, takes=("text",), source="arXiv:1706.03762")
