"""Attribute arithmetic on codes: z + mean(z | factor = b) - mean(z | factor = a) for an image whose factor is a.

The edited code is decoded and the factors are read back from the pixels. As in Radford et al. 2016, arXiv:1511.06434,
section 6.3.2, with the mean differences of all training codes instead of three hand-picked ones.

N images, C channels, H=W pixels, L code dimensions, F factors, V values of a factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Edits:
    """What came of asking some images for another value of one factor. Fractions of N."""

    factor: int  # its column
    rows: Tensor  # (N,) which of the given images were edited
    images: Tensor  # uint8 (N,C,H,W)
    changed: float  # has the value asked for
    changed_alone: float  # and all other factors are as they were
    before: float  # the unedited reconstruction has the value asked for: mistakes of reconstruction and of reading
    before_alone: float


def value_means(codes: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean code (V,L) of each value that occurs among integers (N,), and those values (V,), in order.

    >>> value_means(torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([4, 4, 7]))
    (tensor([[1.],
            [5.]]), tensor([4, 7]))
    """
    shown, index = torch.unique(values, return_inverse=True)
    sums = codes.new_zeros(len(shown), codes.shape[1]).index_add_(0, index, codes)
    return sums / torch.bincount(index)[:, None], shown


def other_values(values: Tensor, shown: Tensor, generator: torch.Generator) -> Tensor:
    """For each of the integers (N,) another one of `shown` (V,), evenly drawn. V is at least 2; all are shown.

    >>> other_values(torch.tensor([4, 7, 4]), torch.tensor([4, 7]), torch.Generator().manual_seed(0))
    tensor([7, 4, 7])
    """
    place = torch.searchsorted(shown, values.contiguous())
    moved = torch.randint(1, len(shown), (len(values),), generator=generator)
    return shown[(place + moved) % len(shown)]


def edited_codes(codes: Tensor, old: Tensor, new: Tensor, means: Tensor, shown: Tensor) -> Tensor:
    """(N,L) moved by the difference of the means (V,L) of the values `new` and `old`, both (N,).

    >>> means, shown = torch.tensor([[1.0], [5.0]]), torch.tensor([4, 7])
    >>> edited_codes(torch.tensor([[0.5]]), torch.tensor([4]), torch.tensor([7]), means, shown)
    tensor([[4.5000]])
    """
    after, before = (torch.searchsorted(shown, values.contiguous()) for values in (new, old))
    return codes + means[after] - means[before]


def edit_factor(
    factor: int,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    reconstructed: Tensor,
    decode: Callable[[Tensor], Tensor],
    read: Callable[[Tensor], Tensor],
    generator: torch.Generator,
) -> Edits | None:
    """Ask every test image for another value of `factor`; None where training shows fewer than two values of it.

    `train` and `test` are codes (N,L) and factors (N,F); `reconstructed` are the factors (N,F) read back from the
    reconstructions of `test`; `decode` maps codes to uint8 images, `read` those to factors, -1 if unreadable.
    """
    means, shown = value_means(train[0], train[1][:, factor])
    rows = torch.isin(test[1][:, factor], shown).nonzero().flatten()
    if len(shown) < 2 or len(rows) == 0:
        return None
    codes, truth = test[0][rows], test[1][rows]  # (N,L), (N,F)
    asked = truth.clone()
    asked[:, factor] = other_values(truth[:, factor], shown, generator)
    images = decode(edited_codes(codes, truth[:, factor], asked[:, factor], means, shown))
    changed, alone = _agreement(read(images), asked, factor)
    before, before_alone = _agreement(reconstructed[rows], asked, factor)
    return Edits(
        factor=factor,
        rows=rows,
        images=images,
        changed=changed,
        changed_alone=alone,
        before=before,
        before_alone=before_alone,
    )


def _agreement(found: Tensor, asked: Tensor, factor: int) -> tuple[float, float]:
    """Fractions of the rows (N,F) that agree in that factor, and in all of them."""
    same = found == asked
    return float(same[:, factor].double().mean()), float(same.all(1).double().mean())
