"""Where to read a representation: of several places in a network, the one whose linear probe does best on validation.

The test split is never touched. A probe of at most 2,000 training rows, with the penalty of the lowest validation
loss, judges each place; the same rows for all of them.

N images, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.columns import Column
from harness.data.rows import Rows
from harness.metrics.classification import negative_log_likelihood
from harness.metrics.features import drawn_rows, standardised
from harness.metrics.softmax_regression import fit_softmax_regression

TRAIN_ROWS, VALIDATION_ROWS = 2_000, 1_000  # at most
PENALTIES = (1e-3, 1e-1, 1e1)  # C, as in the linear probe


@dataclass(frozen=True)
class Readout:
    """A place to read from; without a name, what `encode` gives."""

    name: str = ""
    note: str = ""


def choose_readout(
    names: Sequence[str],
    read: Callable[[Column, str], Tensor],
    train: Rows,
    validation: Rows,
    generator: torch.Generator,
) -> Readout:
    """The best of `names` for the labels of these splits. `read` maps inputs, as a column of N, and a name to (N,D)."""
    assert train.labels is not None, "only labels can choose"
    fitted = train.rows(drawn_rows(len(train), TRAIN_ROWS, generator, train.labels))
    judged = validation.rows(drawn_rows(len(validation), VALIDATION_ROWS, generator, validation.labels))
    losses = {name: _validation_loss(name, read, fitted, judged) for name in names}
    best = min(losses, key=losses.__getitem__)
    return Readout(best, f"read at {best}, the best of {len(names)} readouts on validation")


def _validation_loss(name: str, read: Callable[[Column, str], Tensor], train: Rows, judged: Rows) -> float:
    """Nats per validation image of the best penalty."""
    assert train.labels is not None
    assert judged.labels is not None
    features, chooser = standardised(read(train.inputs, name), read(judged.inputs, name))
    shown, labels = train.labels.unique(return_inverse=True)
    known = torch.isin(judged.labels, shown)
    truth = torch.searchsorted(shown, judged.labels[known])
    model = fit_softmax_regression(features, labels, len(shown), list(PENALTIES), 1e-4, 100)
    choices = range(len(PENALTIES))
    return min(negative_log_likelihood(model.probabilities(chooser[known], which), truth) for which in choices)
