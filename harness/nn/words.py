"""Texts of different lengths in one batch: what stands after a text's end takes no part in its representation.

B texts, L tokens, D features.
A text is read from what a layer makes of its words: their mean, the last one, or the greatest value of each feature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.data.tokens import PADDING
from harness.errors import NotApplicable

if TYPE_CHECKING:
    from harness.nn.backbone import Backbone


def are_words(tokens: Tensor) -> Tensor:
    """Which tokens (B,L) stand before the end of their text: bool (B,L)."""
    return tokens != PADDING


def mean_of_words(values: Tensor, tokens: Tensor) -> Tensor:
    """The mean of `values` (B,L,D) over the words of each text (B,L): (B,D); zeros for a text without words.

    >>> mean_of_words(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[5, 7, 0]]))
    tensor([[2.]])
    """
    words = are_words(tokens).unsqueeze(-1)  # (B,L,1)
    total = values.masked_fill(~words, 0.0).sum(1)  # (B,D)
    return total / words.sum(1).clamp_min(1)


def last_of_words(values: Tensor, tokens: Tensor) -> Tensor:
    """The `values` (B,L,D) of the last word of each text (B,L): (B,D); zeros for a text without words.

    >>> last_of_words(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[5, 7, 0]]))
    tensor([[3.]])
    """
    lengths = are_words(tokens).sum(1)  # (B,)
    rows = torch.arange(len(tokens), device=tokens.device)
    return values[rows, (lengths - 1).clamp_min(0)] * (lengths > 0).unsqueeze(1)


def most_of_words(values: Tensor, tokens: Tensor) -> Tensor:
    """The greatest of `values` (B,L,D) over the words of each text (B,L): (B,D); zeros for a text without words.

    >>> most_of_words(torch.tensor([[[-1.0], [-3.0], [9.0]]]), torch.tensor([[5, 7, 0]]))
    tensor([[-1.]])
    """
    words = are_words(tokens).unsqueeze(-1)  # (B,L,1)
    greatest = values.masked_fill(~words, float("-inf")).amax(1)  # (B,D)
    return greatest.masked_fill(~words.any(1), 0.0)


def trimmed(tokens: Tensor) -> Tensor:
    """Texts (B,L) without the padding that all of them have: (B,l), at least one token. It saves time alone."""
    return tokens[:, : max(1, int(are_words(tokens).sum(1).max()))]


POOLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean_of_words,
    "last": last_of_words,
    "max": most_of_words,
}


ALL = "mean and max of all layers"


def word_readouts(backbone: Backbone) -> tuple[str, ...]:
    """The places that a text can be read at: each of POOLS in each layer, the last layer and the mean first, and ALL.

    A backbone that tells nothing of single words is read as it is, under one name.
    """
    try:
        layers = backbone.word_layer_names
    except NotApplicable:
        return ("as it is",)
    return (*(f"{pool} of {layer}" for layer in reversed(layers) for pool in POOLS), ALL)


def read_words(backbone: Backbone, tokens: Tensor, readout: str) -> Tensor:
    """Texts (B,L) read at one of `word_readouts`: (B,D), or (B,2MD) from all M layers."""
    if readout == "as it is":
        return backbone(tokens)
    tokens = trimmed(tokens)
    if readout == ALL:
        layers = backbone.word_layers(tokens)
        return torch.cat([pool(layer, tokens) for layer in layers for pool in (mean_of_words, most_of_words)], 1)
    pool, _, layer = readout.partition(" of ")
    return POOLS[pool](backbone.word_layers(tokens)[backbone.word_layer_names.index(layer)], tokens)
