"""Which rows to hold out: a seeded draw that keeps the share of every class."""

from __future__ import annotations

import torch
from torch import Tensor


def stratified_holdout(n: int, labels: Tensor | None, held: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Split range(n) into (kept, held out) sorted indices, `held` of them held out, with each label's share kept.

    Of a class of m rows, floor or ceil of m * held / n are held out; which of them get the larger number is settled by
    largest remainders (Hamilton's method). `labels` (N,) are integers, or None for a plain draw. 0 <= held <= n.

    >>> kept, out = stratified_holdout(10, torch.tensor([0] * 8 + [1] * 2), 5, torch.Generator().manual_seed(0))
    >>> len(kept), (out < 8).sum().item(), (out >= 8).sum().item()
    (5, 4, 1)
    """
    shuffled = torch.randperm(n, generator=generator)
    chosen = torch.zeros(n, dtype=torch.bool)
    if labels is None:
        chosen[shuffled[:held]] = True
    else:
        classes, sizes = torch.unique(labels, return_counts=True)
        for label, share in zip(classes, _shares(sizes, n, held, generator).tolist(), strict=True):
            members = shuffled[labels[shuffled] == label]
            chosen[members[:share]] = True
    return (~chosen).nonzero().flatten(), chosen.nonzero().flatten()


def _shares(sizes: Tensor, n: int, held: int, generator: torch.Generator) -> Tensor:
    """How many rows of each class are held out: largest remainders (Hamilton's method), equal ones by lot."""
    whole, remainder = sizes * held // n, sizes * held % n
    lot = torch.randperm(len(sizes), generator=generator)
    ranked = lot[remainder[lot].argsort(descending=True, stable=True)]
    whole[ranked[: held - int(whole.sum())]] += 1
    return whole
