"""R-precision of images made for captions: is an image nearer to its own caption than to others?

Each image ranks its own caption among others by cosine, and R-precision with one relevant caption is the share of
images that put it first (Xu et al. 2018, arXiv:1711.10485, section 4: among 99 others). Candidates are captions, not
images: two images that were made for the same caption are two queries with one answer, and no caption stands among its
own distractors. Where the own caption shares the first rank with k others, the image counts 1 / (k + 1).

N images, U different captions, R candidates of each image, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 2**23  # numbers that are held at a time


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """What each image made of its candidates, on the CPU."""

    right: (
        Tensor  # float64 (N,): 1 where its own caption is first, 1 / (k + 1) where it shares that with k others, or 0
    )
    rank: Tensor  # int64 (N,): of its own caption, 1 and up; of equal ones the first
    first: Tensor  # int64 (N,): the caption that is nearest to it, of equal ones its own


def candidates(own: Tensor, captions: int, most: int, generator: torch.Generator) -> Tensor:
    """For images of the captions `own` (N,), out of U = `captions`: their own first, then others drawn without
    replacement, `most` in all or as many as there are: int64 (N,R).

    >>> candidates(torch.tensor([1, 0]), 2, 100, torch.Generator()).tolist()
    [[1, 0], [0, 1]]
    """
    parts = []
    for rows in own.split(max(1, BLOCK // captions)):
        lots = torch.rand(len(rows), captions, generator=generator)
        lots[torch.arange(len(rows)), rows] = 2.0  # before all others
        parts.append(lots.topk(min(most, captions), dim=1).indices)
    return torch.cat(parts)


def ranked(images: Tensor, captions: Tensor, among: Tensor) -> Ranked:
    """Rank the candidates `among` (N,R), of which the first is its own, of each image (N,D); captions are (U,D).

    By inner product: give unit vectors for cosines.

    >>> ranked(torch.eye(2), torch.eye(2), torch.tensor([[0, 1], [0, 1]])).right
    tensor([1., 0.], dtype=torch.float64)
    """
    parts = []
    for some, of in zip(*(each.split(max(1, BLOCK // len(captions))) for each in (images, among)), strict=True):
        alike = (some @ captions.T).gather(1, of)  # (n,R)
        own, others = alike[:, :1], alike[:, 1:]
        above, beside = (others > own).sum(1), (others == own).sum(1)
        right = (above == 0).double() / (1 + beside)
        best = alike.max(1, keepdim=True).values
        first = of.gather(1, (alike == best).int().argmax(1, keepdim=True)).squeeze(1)  # argmax: the first of them
        parts.append((right.cpu(), (above + 1).cpu(), first.cpu()))
    right, rank, first = (torch.cat(column) for column in zip(*parts, strict=True))
    return Ranked(right=right, rank=rank, first=first)
