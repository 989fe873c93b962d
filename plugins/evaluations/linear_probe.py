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

from harness.judging.probing import ProbeConfig, probe_of
from harness.metrics.classification import (
    accuracy,
    balanced_accuracy,
    calibration_error,
    majority_share,
    surprises,
)
from harness.plugin import ANY, EvaluationSpec, ScoreSpec, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config(ProbeConfig):
    """The parameters of harness.judging.probing."""


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Scores of the probe on the test split."""
    probe = probe_of(subject, config, "linear-probe rows")
    truth = subject.labels("test")
    shares = probe.probabilities(subject.features("test"))
    predicted, occurring = shares.argmax(1), len(truth.unique())
    surprise = surprises(shares, truth)  # (N,)
    return {
        "accuracy": ScoreValue(
            value=accuracy(predicted, truth), chance=majority_share(truth), note=probe.note, outcomes=predicted == truth
        ),
        "balanced_accuracy": ScoreValue(value=balanced_accuracy(predicted, truth), chance=1 / occurring),
        "calibration_error": calibration_error(shares, truth),
        "nll": ScoreValue(value=float(surprise.mean()), chance=math.log(probe.classes), outcomes=surprise),
    }


SCORES = (
    ScoreSpec(
        name="accuracy",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=True,
        asks="Transfers to a linear classifier",
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
