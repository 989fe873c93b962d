"""The backbones that methods are checked on: convnet for images, a tiny encoder of the kit's own for clips and texts.

B examples, T frames, C channels, H=W pixels, L tokens, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.data.fields import DataKind, DataSpec, TextField, VideoField
from harness.nn.backbone import Backbone, WordStates
from harness.nn.layers import Conv3d
from harness.nn.words import mean_of_words
from harness.plugin.specs import BackboneSpec, NoConfig
from harness.registry import Registry

DIM = 16  # D


def backbone_for(kind: DataKind, registry: Registry) -> BackboneSpec:
    """A small backbone that takes this kind of data."""
    if kind == "video":
        return BackboneSpec(name="small-clips", build=clip_encoder, takes=("video",), source="the contract kit")
    if kind == "text":
        return BackboneSpec(name="small-texts", build=text_encoder, takes=("text",), source="the contract kit")
    return registry.load("convnet", ("backbone",)).spec


class _Frames(nn.Module):
    """A 3-D convolution, whose mean over time and place is the representation: it sees what moves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = Conv3d(channels, DIM, 3, padding=1)

    def forward(self, clips: Tensor) -> Tensor:
        return self.layer(clips.transpose(1, 2)).relu().mean((2, 3, 4))  # (B,T,C,H,W) -> (B,D)


class _Words(nn.Module):
    """A vector for each word, or what those up to it have in the mean; over all words, the mean of that."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, DIM)
        self.layer = nn.Linear(DIM, DIM)
        self.looks_back = False

    def forward(self, tokens: Tensor) -> Tensor:
        return mean_of_words(self.states(tokens), tokens)  # (B,L) -> (B,D)

    def states(self, tokens: Tensor) -> Tensor:
        states = self.layer(self.vectors(tokens)).relu()  # (B,L,D)
        if not self.looks_back:
            return states
        return states.cumsum(1) / torch.arange(1, tokens.shape[1] + 1, device=tokens.device).unsqueeze(1)

    def look_back(self) -> None:
        self.looks_back = True


def clip_encoder(data: DataSpec[VideoField], config: NoConfig) -> Backbone:
    return Backbone(_Frames(data.inputs.channels), DIM, data, any_size=True)


def text_encoder(data: DataSpec[TextField], config: NoConfig) -> Backbone:
    words = WordStates(
        lambda trunk, tokens: [trunk.states(tokens)],  # type: ignore[operator]
        ("words",),
        lambda trunk: trunk.look_back(),  # type: ignore[operator]
    )
    return Backbone(_Words(len(data.inputs.vocabulary)), DIM, data, any_size=True, words=words)
