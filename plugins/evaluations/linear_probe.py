"""Linear probe: how well does a linear classifier on the frozen features do?

Features are standardised with the training split's mean and deviation (flat ones dropped). Multinomial logistic
regression is fitted to the training split for a grid of penalties at once (harness.metrics.softmax_regression, with
scikit-learn's objective, C sum_i -log p(y_i | x_i) + |W|^2 / 2). The penalty with the lowest negative log likelihood on
validation is taken: on digits and Fashion-MNIST that tested as well as choosing by accuracy or better, and varied less
with the seed, since a small validation split has few different accuracies. The chosen classifier is not fitted again
with the validation images. Test is used once. Every method gets a penalty of its own: Ericsson et al. 2021,
arXiv:2011.13377.

N images, D features, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.metrics.classification import (
    accuracy,
    balanced_accuracy,
    calibration_error,
    majority_share,
    negative_log_likelihood,
    surprises,
)
from harness.metrics.features import drawn_rows, standardised
from harness.metrics.softmax_regression import fit_softmax_regression
from harness.plugin import ANY, EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
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
class Probe:
    """The classifier that validation chose, judged on test."""

    probabilities: Tensor  # (N,K) of the test images, on the CPU; 0 for a class that training did not show
    c: float
    at_edge: bool  # is C an end of the grid?
    converged: bool


def fit_and_choose(
    train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], test: Tensor, classes: int, config: Config
) -> Probe:
    """Fit on `train` (features (N,D), labels (N,)), choose C on `validation`, predict for the `test` features."""
    shown, labels = train[1].unique(return_inverse=True)  # classes absent from training have no optimum: leave them out
    if len(shown) < 2:
        raise NotApplicable("the training split shows fewer than two classes")
    fitted, chooser, judged = standardised(train[0], validation[0], test)
    grid = config.grid
    model = fit_softmax_regression(fitted, labels, len(shown), grid, config.tolerance, config.max_steps)

    def probabilities(features: Tensor, which: int) -> Tensor:
        full = features.new_zeros(len(features), classes)
        return full.index_copy_(1, shown, model.probabilities(features, which)).cpu()  # (N,K)

    truth = validation[1].cpu()
    losses = [negative_log_likelihood(probabilities(chooser, which), truth) for which in range(len(grid))]
    best = losses.index(min(losses))
    return Probe(
        probabilities=probabilities(judged, best),
        c=grid[best],
        at_edge=len(grid) > 1 and best in (0, len(grid) - 1),
        converged=bool(model.converged[best]),
    )


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Scores of the probe on the test split."""
    labels = subject.labels("train")
    rows = drawn_rows(len(labels), config.train_limit, subject.generator("linear-probe rows"), labels)
    device = subject.device if subject.device.type == "cuda" else torch.device("cpu")  # MPS has no eigenvectors
    truth = subject.labels("test")
    classes = 1 + max(int(subject.labels(split).max()) for split in ("train", "validation", "test"))
    probe = fit_and_choose(
        (subject.features("train")[rows].to(device), labels[rows].to(device)),
        (subject.features("validation").to(device), subject.labels("validation").to(device)),
        subject.features("test").to(device),
        classes,
        config,
    )
    shares = probe.probabilities
    predicted, occurring = shares.argmax(1), len(truth.unique())
    surprise = surprises(shares, truth)  # (N,)
    note = _note(probe, len(rows), len(labels), PLURALS[subject.target.spec.kind])
    return {
        "accuracy": ScoreValue(
            value=accuracy(predicted, truth), chance=majority_share(truth), note=note, outcomes=predicted == truth
        ),
        "balanced_accuracy": ScoreValue(value=balanced_accuracy(predicted, truth), chance=1 / occurring),
        "calibration_error": calibration_error(shares, truth),
        "nll": ScoreValue(value=float(surprise.mean()), chance=math.log(classes), outcomes=surprise),
    }


def _note(probe: Probe, used: int, available: int, things: str) -> str:
    parts = [f"C={probe.c:.3g}" + (" (an end of the grid)" if probe.at_edge else "")]
    if used < available:
        parts.append(f"fitted to {used} of {available} training {things}")
    if not probe.converged:
        parts.append("not converged")
    return ", ".join(parts)


SCORES = (
    ScoreSpec(
        name="accuracy",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=True,
        role="leads",
        proportion=True,
        help="test images classified right; chance is the share of the most frequent class",
    ),
    ScoreSpec(
        name="balanced_accuracy",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        help="mean over classes of the fraction classified right",
    ),
    ScoreSpec(
        name="calibration_error",
        unit="fraction",
        better="lower",
        low=0.0,
        high=1.0,
        help="expected |accuracy - confidence| over 15 equal-width bins (arXiv:1706.04599)",
    ),
    ScoreSpec(
        name="nll",
        unit="nats",
        better="lower",
        low=0.0,
        help="mean -log p(label) per test image; chance is all classes equally likely",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="linear-probe",
        run=run,
        takes=ANY,
        scores=SCORES,
        needs=("encode", "labels"),
        fits_labels=True,
        config=Config,
        source="multinomial logistic regression on frozen features, e.g. arXiv:2011.13377, section 3",
    )
