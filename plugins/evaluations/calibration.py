"""Calibration: does a probe on the frozen features know how sure it may be, before and after temperature scaling?

The linear probe (harness.judging.probing) gives logits z. One temperature T is fitted on validation by negative log
likelihood, and softmax(z / T) is judged on test. Guo et al. 2017, arXiv:1706.04599, section 4.2.

ece          sum_m n_m / N |accuracy_m - confidence_m| over 15 equal-width bins of the largest probability, eq. 3
adaptive_ece the same over 15 bins that hold as many examples each (Nguyen & O'Connor 2015, arXiv:1508.05154)
brier        mean of sum_k (p_k - [k = y])^2, in [0,2]
nll          mean of -log p(y)
floor        the ece that a perfectly calibrated classifier of the same confidences would show on as many examples,
             by drawing who is right (Broecker & Smith 2007): with few examples the ece is biased upwards, so that an
             interval of it over seeds does not hold the true error either. Read the ece against it.

Differs from the paper: the penalty of the probe is chosen on validation by likelihood too, so that T is near 1 for most
methods, and with few validation images may do harm; bins of the diagram without examples are left out. Being calibrated
is not being right: one that always says the class shares has an ece of 0, hence no method is called best by it.

N examples, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.judging.probing import ProbeConfig, probe_of
from harness.metrics.calibration import (
    Bins,
    binned,
    equal_mass,
    equal_width,
    floor_of_error,
    squared_errors,
    temperature_of,
)
from harness.metrics.classification import surprises
from harness.plugin import ANY, EvaluationSpec, ScoreSpec, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config(ProbeConfig):
    bins: int = 15  # of the confidence

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bins < 1:
            raise ValueError("bins must be at least 1")


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Scores of the probe on the test split, before and after its temperature."""
    probe = probe_of(subject, config, "calibration rows")
    temperature = temperature_of(probe.logits(subject.features("validation")), subject.labels("validation"))
    logits, labels = probe.logits(subject.features("test")), subject.labels("test")
    before, after = (torch.softmax(logits.double() / t, 1) for t in (1.0, temperature))  # (N,K)
    bins = {name: binned(p, labels, config.bins, equal_width) for name, p in (("before", before), ("after", after))}
    _show(subject, bins, temperature)
    chosen, things = len(subject.inputs("validation")), PLURALS[subject.target.spec.kind]
    return {
        "ece": ScoreValue(
            value=bins["after"].error, note=f"T={temperature:.3g} by {chosen} validation {things}; {probe.note}"
        ),
        "ece_before": bins["before"].error,
        "ece_floor": floor_of_error(after, config.bins, subject.generator("calibration floor")),
        "adaptive_ece": binned(after, labels, config.bins, equal_mass).error,
        "adaptive_ece_before": binned(before, labels, config.bins, equal_mass).error,
        "brier": _mean(squared_errors(after, labels)),
        "brier_before": _mean(squared_errors(before, labels)),
        "nll": _mean(surprises(after, labels)),
        "nll_before": _mean(surprises(before, labels)),
        "temperature": temperature,
    }


def _mean(each: Tensor) -> ScoreValue:
    """The score of test examples (N,), one each."""
    return ScoreValue(value=float(each.mean()), outcomes=each)


def _show(subject: Subject, bins: Mapping[str, Bins], temperature: float) -> None:
    """The reliability diagram: accuracy by confidence."""
    from harness.metrics.statistics import wilson  # brings scipy, which a plan does not need

    after = bins["after"]
    count = len(after.count)
    ends = [
        wilson(float(right), int(n)) if n else None
        for right, n in zip(after.accuracy.tolist(), after.count.tolist(), strict=True)
    ]
    centres = [(place + 0.5) / count for place in range(count)]
    subject.show_curves(
        "reliability",
        centres,
        {
            "before": bins["before"].accuracy.tolist(),
            f"after, T={temperature:.2g}": after.accuracy.tolist(),
        },
        f"Accuracy of the linear probe by its confidence, in {count} bins, before and after temperature scaling, with "
        f"Wilson's 95 % intervals; bins without test {PLURALS[subject.target.spec.kind]} are left out",
        low={f"after, T={temperature:.2g}": [torch.nan if end is None else end.low or 0.0 for end in ends]},
        high={f"after, T={temperature:.2g}": [torch.nan if end is None else end.high or 0.0 for end in ends]},
        levels={"calibrated": centres},
        x_label="confidence",
        y_label="accuracy",
        y_range=(0.0, 1.0),
        heading="Reliability",
        place=170,
    )


def _spec(
    name: str, text: str, unit: str = "fraction", high: float | None = 1.0, beside: str = ""
) -> tuple[ScoreSpec, ...]:
    """A score, and the same before temperature scaling."""
    after = ScoreSpec(name=name, unit=unit, better="lower", low=0.0, high=high, primary=name == "ece", help=text,
                      role="told" if name == "ece" else "ranks")  # fmt: skip
    before = ScoreSpec(name=f"{name}_before", unit=unit, better="lower", low=0.0, high=high,
                       beside=beside, word="before" if beside else "",
                       help=f"{name} without temperature scaling")  # fmt: skip
    return after, before


SCORES = (
    *_spec("ece", "mean |accuracy - confidence| over equal-width bins; biased upwards for few examples", beside="ece"),
    ScoreSpec(
        name="ece_floor",
        unit="fraction",
        better="none",
        low=0.0,
        high=1.0,
        beside="ece",
        word="floor",
        help="ece of a perfectly calibrated classifier with the same confidences, on as many examples",
    ),
    *_spec("adaptive_ece", "mean |accuracy - confidence| over bins that hold as many examples each"),
    *_spec("brier", "mean squared distance of the probabilities from the one-hot label", high=2.0),
    *_spec("nll", "mean -log p(label) per test example", unit="nats", high=None),
    ScoreSpec(
        name="temperature",
        unit="ratio",
        better="none",
        low=0.0,
        help="what the logits are divided by; above 1: the probe was too sure",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="calibration",
        run=run,
        takes=ANY,
        scores=SCORES,
        needs=("encode", "labels"),
        config=Config,
        on_request=True,
        source="arXiv:1706.04599, sections 2 and 4.2",
    )
