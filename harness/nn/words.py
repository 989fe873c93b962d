"""Texts of different lengths in one batch: what stands after a text's end takes no part in its representation.

B texts, L tokens, D features.
"""

from __future__ import annotations

from torch import Tensor

from harness.data.tokens import PADDING


def are_words(tokens: Tensor) -> Tensor:
    """Which tokens (B,L) stand before the end of their text: bool (B,L)."""
    return tokens != PADDING


def mean_of_words(values: Tensor, tokens: Tensor) -> Tensor:
    """The mean of `values` (B,L,D) over the words of each text (B,L): (B,D); zeros for a text without words.

    >>> import torch
    >>> mean_of_words(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[5, 7, 0]]))
    tensor([[2.]])
    """
    words = are_words(tokens).unsqueeze(-1)  # (B,L,1)
    total = values.masked_fill(~words, 0.0).sum(1)  # (B,D)
    return total / words.sum(1).clamp_min(1)
