"""Texts in small: a dataset of sentences about three topics, a backbone of word vectors, a task on a hidden word.

B texts, L tokens, D features, V known words. Loaded as an unpackaged plugin file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.tokens import UNKNOWN
from harness.nn.words import mean_of_words
from harness.plugin import (
    Backbone,
    BackboneSpec,
    Batch,
    DatasetSpec,
    DataSpec,
    MethodSpec,
    NoConfig,
    RawData,
    TextField,
    hookimpl,
)
from harness.seeding import derived_generator

TOPICS = {
    "sea": (("sailor", "whale", "harbour", "captain", "gull"), ("sails", "dives", "rows", "drifts"), ("waves", "tide")),
    "kitchen": (("cook", "oven", "butter", "baker", "pan"), ("bakes", "fries", "stirs", "tastes"), ("soup", "bread")),
    "garden": (
        ("rose", "spade", "gardener", "bee", "hedge"),
        ("digs", "blooms", "buzzes", "grows"),
        ("soil", "leaves"),
    ),
}  # topic: who, does what, with what
OPENINGS = ("", "today", "as we all know")
ADJECTIVES = ("", "old", "small", "quiet", "bright")


@dataclass(frozen=True, kw_only=True)
class Config:
    texts: int = 360
    length: int = 0  # tokens of a text; 0: as many as the longest one has
    strange: bool = False  # every opening in words that no other such dataset has


def describe(config: Config, root: Path) -> DataSpec[TextField]:
    return DataSpec(inputs=TextField(length=config.length), classes=tuple(TOPICS))


def load(config: Config, root: Path) -> RawData:
    generator = derived_generator(0, "sentences", str(config))
    labels = torch.arange(config.texts) % len(TOPICS)
    texts = [sentence(list(TOPICS.values())[label], config, generator) for label in labels.tolist()]
    return RawData(inputs=texts, labels=labels)


def sentence(topic: tuple[tuple[str, ...], ...], config: Config, generator: torch.Generator) -> str:
    def one(words: tuple[str, ...]) -> str:
        return words[int(torch.randint(len(words), (), generator=generator))]

    who, does, what = topic
    opening = "foreign zebra xylophone" if config.strange else one(OPENINGS)
    return f"{opening} the {one(ADJECTIVES)} {one(who)} {one(does)} near the {one(ADJECTIVES)} {one(what)}."


class Words(nn.Module):
    """A vector for each word, a layer, and the mean over the words that a text has."""

    def __init__(self, words: int, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, dim)
        self.layer = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return mean_of_words(self.layer(self.vectors(tokens)).relu(), tokens)  # (B,L) -> (B,D)


def build(data: DataSpec[TextField], config: NoConfig) -> Backbone:
    return Backbone(Words(len(data.inputs.vocabulary), 32), 32, data, any_size=True)


class HiddenWord(nn.Module):
    """Which word was hidden? A bag of the others has to tell: Mikolov et al. 2013, arXiv:1301.3781, in small."""

    def __init__(self, backbone: Backbone, data: DataSpec[TextField], config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone  # (B,L) -> (B,D)
        self.head = nn.Linear(backbone.dim, len(data.inputs.vocabulary))  # (B,D) -> (B,V)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.lengths is not None  # the inputs are texts
        some = batch.lengths > 0
        tokens, lengths = batch.inputs[some], batch.lengths[some]
        rows = torch.arange(len(tokens), device=tokens.device)
        place = (torch.rand(len(tokens), device=tokens.device) * lengths).long()  # (B,), before the end
        hidden = tokens.clone()
        hidden[rows, place] = UNKNOWN
        return self.head(self.backbone(hidden)), tokens[rows, place]

    def loss(self, batch: Batch) -> Tensor:
        return F.cross_entropy(*self.solve(batch))  # nats per word

    def encode(self, tokens: Tensor) -> Tensor:
        return self.backbone(tokens)  # (B,D)


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="sentences",
        kind="text",
        describe=describe,
        files=lambda config, root: [Path(__file__)],
        load=load,
        config=Config,
        source="a test",
    )


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="words", build=build, takes=("text",), source="a test")


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="hidden-word", kind="pretext", build=HiddenWord, takes=("text",), source="arXiv:1301.3781")
