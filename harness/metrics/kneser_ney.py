"""Unigrams and bigrams with interpolated Kneser-Ney smoothing: what a model of language has to beat.

    p(w|v)  = max(c(v,w) - d, 0) / c(v) + d N1+(v.) / c(v) p_next(w)
    p_next(w) = max(N1+(.w) - d', 0) / N1+(..) + d' N1+(.) / N1+(..) 1/V        (in how many contexts w was seen)

Chen and Goodman 1999, section 2.7, equations 18 to 20; d = n1 / (n1 + 2 n2) by the counts of once and twice of its
order. N texts, L tokens, V tokens of the vocabulary; NO_WORD as v is the start of a text, as w it is never predicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NO_WORD = 0  # as harness.data.tokens.PADDING, which is built on top of this
MOST = 8192  # tokens of a vocabulary of which a table of pairs is kept: 256 MiB


def pair_counts(tokens: Tensor, size: int) -> Tensor:
    """How often each word w follows each v in texts (N,L): float32 (V,V), c(v,w); the end of a text is no word."""
    before = torch.nn.functional.pad(tokens, (1, 0), value=NO_WORD)[:, :-1]
    words = tokens != NO_WORD
    return (before[words] * size + tokens[words]).bincount(minlength=size * size).view(size, size).float()


def smoothed(counts: Tensor) -> Tensor:
    """p(w) by counts (V,), discounted and interpolated with all words alike: float32 (V,), 0 for NO_WORD.

    All words alike where nothing was counted.
    """
    alike = torch.full_like(counts, 1 / (len(counts) - 1))
    alike[NO_WORD] = 0
    total = counts.sum()
    if total == 0:
        return alike
    less = discount(counts)
    return (counts - less).clamp_min(0) / total + less * (counts > 0).sum() / total * alike


def bigram(counts: Tensor) -> Tensor:
    """p(w|v) by the counts of pairs (V,V): float32 (V,V), each row sums to 1."""
    following = smoothed((counts > 0).float().sum(0))  # (V,): p_next
    totals = counts.sum(1, keepdim=True)  # (V,1): c(v)
    less = discount(counts)
    kept = (counts - less).clamp_min(0) / totals.clamp_min(1)
    left = torch.where(totals > 0, less * (counts > 0).sum(1, keepdim=True) / totals.clamp_min(1), 1.0)  # (V,1)
    return kept + left * following


def discount(counts: Tensor) -> float:
    """d, by how many of the counts are 1 and 2; one half where none is 1."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once else 0.5


@dataclass(frozen=True, kw_only=True)
class Bigram:
    """The same p(w|v) without a table of all pairs, for a vocabulary of any size: P pairs that were seen."""

    pairs: Tensor  # (P,), v V + w, rising
    kept: Tensor  # (P,), max(c(v,w) - d, 0) / c(v)
    left: Tensor  # (V,), what v leaves to p_next
    following: Tensor  # (V,), p_next

    def rows(self, before: Tensor) -> Tensor:
        """p(w|v) of some v (M,): float32 (M,V)."""
        size = len(self.following)
        found = self.left[before].unsqueeze(1) * self.following  # (M,V)
        first = torch.searchsorted(self.pairs, before * size)  # (M,)
        many = torch.searchsorted(self.pairs, (before + 1) * size) - first
        owner = torch.arange(len(before)).repeat_interleave(many)
        place = torch.arange(len(owner)) + (first - many.cumsum(0) + many)[owner]
        found[owner, self.pairs[place] % size] += self.kept[place]  # each pair is there once
        return found


def bigram_of(tokens: Tensor, size: int) -> Bigram:
    """Counted on texts (N,L) of a vocabulary of `size` tokens."""
    before = torch.nn.functional.pad(tokens, (1, 0), value=NO_WORD)[:, :-1]
    words = tokens != NO_WORD
    pairs, counts = (before[words] * size + tokens[words]).unique(return_counts=True)
    first = pairs // size
    totals = torch.zeros(size).scatter_add_(0, first, counts.float())  # c(v)
    less = discount(counts)
    left = torch.where(totals > 0, less * first.bincount(minlength=size) / totals.clamp_min(1), 1.0)
    following = smoothed((pairs % size).bincount(minlength=size).float())
    return Bigram(pairs=pairs, kept=(counts - less).clamp_min(0) / totals[first], left=left, following=following)
