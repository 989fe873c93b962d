"""A linear classifier on frozen features: what several evaluations fit once each, and judge in their own ways.

Features are standardised with the training split's mean and deviation (flat ones dropped). Multinomial logistic
regression is fitted to the training split for a grid of penalties at once (harness.metrics.softmax_regression), and the
penalty with the lowest negative log likelihood on validation is taken. Test is not looked at.

N examples, D features, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.errors import NotApplicable
from harness.judging.subject import Subject
from harness.metrics.classification import negative_log_likelihood
from harness.metrics.features import Scaling, drawn_rows, scaling_of
from harness.metrics.softmax_regression import SoftmaxRegression, fit_softmax_regression


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """How a probe is fitted and chosen: an evaluation's Config may inherit it."""

    weakest: float = 1e3  # largest C, scikit-learn's inverse penalty: the weakest penalty
    strongest: float = 1e-4  # smallest C
    penalties: int = 10  # values of C between them, evenly in the logarithm
    tolerance: float = 1e-5  # nats per image that another step is expected to gain
    max_steps: int = 300
    train_limit: int = 60_000  # training images used at most, drawn with every class's share kept

    def __post_init__(self) -> None:
        if not 0 < self.strongest <= self.weakest:
            raise ValueError("strongest and weakest are values of C: 0 < strongest <= weakest")
        if self.penalties < 1 or self.max_steps < 1 or self.train_limit < 2 or self.tolerance <= 0:
            raise ValueError("penalties, max_steps and tolerance must be positive, train_limit at least 2")

    @property
    def grid(self) -> list[float]:
        """The values of C, smallest first."""
        ratio = math.log(self.weakest / self.strongest)
        return [self.strongest * math.exp(ratio * i / max(1, self.penalties - 1)) for i in range(self.penalties)]


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """The classifier that validation chose."""

    scaling: Scaling
    model: SoftmaxRegression  # of all penalties
    which: int  # the chosen one
    shown: Tensor  # (K',) the classes that training shows, rising
    classes: int  # K
    c: float
    at_edge: bool  # is C an end of the grid?
    converged: bool
    note: str = ""  # how it was fitted, for a reader of its scores

    def probabilities(self, features: Tensor) -> Tensor:
        """(N,D) on any device -> (N,K) on the CPU, 0 for a class that training did not show."""
        return self._of_shown(features, 0.0, self.model.probabilities(self._scaled(features), self.which))

    def logits(self, features: Tensor) -> Tensor:
        """(N,D) on any device -> (N,K) on the CPU, minus infinity for a class that training did not show."""
        return self._of_shown(features, -torch.inf, self.model.logits(self._scaled(features), self.which))

    def _scaled(self, features: Tensor) -> Tensor:
        return self.scaling(features.to(self.model.weights.device))

    def _of_shown(self, features: Tensor, absent: float, values: Tensor) -> Tensor:
        full = values.new_full((len(features), self.classes), absent)
        return full.index_copy_(1, self.shown, values).cpu()


def fitted_probe(
    train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], classes: int, config: ProbeConfig
) -> LinearProbe:
    """Fit on `train` (features (N,D), labels (N,)), choose C on `validation`.

    Raises NotApplicable where training shows a single class.
    """
    shown, labels = train[1].unique(return_inverse=True)  # classes absent from training have no optimum: leave them out
    if len(shown) < 2:
        raise NotApplicable("the training split shows fewer than two classes")
    scaling, grid = scaling_of(train[0]), config.grid
    model = fit_softmax_regression(scaling(train[0]), labels, len(shown), grid, config.tolerance, config.max_steps)
    every = [
        LinearProbe(
            scaling=scaling,
            model=model,
            which=which,
            shown=shown,
            classes=classes,
            c=c,
            at_edge=len(grid) > 1 and which in (0, len(grid) - 1),
            converged=bool(model.converged[which]),
        )
        for which, c in enumerate(grid)
    ]
    truth = validation[1].cpu()
    losses = [negative_log_likelihood(probe.probabilities(validation[0]), truth) for probe in every]
    return every[losses.index(min(losses))]


def probe_of(subject: Subject, config: ProbeConfig, purpose: str) -> LinearProbe:
    """The probe of a subject's frozen features. `purpose` names the draw of rows where there are too many."""
    labels = subject.labels("train")
    rows = drawn_rows(len(labels), config.train_limit, subject.generator(purpose), labels)
    device = subject.device if subject.device.type == "cuda" else torch.device("cpu")  # MPS has no eigenvectors
    classes = 1 + max(int(subject.labels(split).max()) for split in ("train", "validation", "test"))
    probe = fitted_probe(
        (subject.features("train")[rows].to(device), labels[rows].to(device)),
        (subject.features("validation").to(device), subject.labels("validation").to(device)),
        classes,
        config,
    )
    return replace(probe, note=_note(probe, len(rows), len(labels), PLURALS[subject.target.spec.kind]))


def _note(probe: LinearProbe, used: int, available: int, things: str) -> str:
    parts = [f"C={probe.c:.3g}" + (" (an end of the grid)" if probe.at_edge else "")]
    if used < available:
        parts.append(f"fitted to {used} of {available} training {things}")
    if not probe.converged:
        parts.append("not converged")
    return ", ".join(parts)
