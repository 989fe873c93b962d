"""Selection: how good is a setting, by validation alone? What `--tune` chooses by; no score of test enters.

Validation is halved by the seed. Whatever has to be chosen is chosen on the first half, and the score is of the second:

probe           accuracy of the linear probe (harness.judging.probing), its penalty chosen on the first half
fid             Fréchet distance of samples from the images of the second half, in-domain features (their network
                learned from all of validation too, and tells its accuracy on test: that enters no score)
reconstruction  mean squared error of the second half
likelihood      mean bound on log p(x) of the second half, in nats

`auto` takes the first of these that the method and the target allow, which is the same for all settings of a method. A
readout that the method offers several of is chosen on all of validation, as for every other evaluation.

N examples, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.data.images import to_float
from harness.judging.feature_spaces import extractor_named
from harness.judging.probing import ProbeConfig, fitted_probe
from harness.metrics.classification import accuracy
from harness.metrics.feature_distances import frechet_distance
from harness.metrics.features import drawn_rows
from harness.metrics.similarity import squared_error
from harness.plugin import ANY, EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl

SAMPLES = 2000  # images on each side of a Fréchet distance, at most


@dataclass(frozen=True, kw_only=True)
class Config:
    by: Literal["auto", "probe", "fid", "reconstruction", "likelihood"] = "auto"
    train_limit: int = 20_000  # training examples that a probe is fitted to, at most

    def __post_init__(self) -> None:
        if self.train_limit < 2:
            raise ValueError("train_limit must be at least 2")


def run(subject: Subject, config: Config) -> Mapping[str, ScoreValue]:
    """The score of the second half of validation."""
    by = config.by if config.by != "auto" else _first_possible(subject)
    needed = NEEDS[by]
    if not subject.has(needed):
        raise NotApplicable(f"{subject.cell.method.name} cannot {needed}: choose by something else than {by}")
    return JUDGES[by](subject, config)


def _first_possible(subject: Subject) -> str:
    labelled = subject.target.validation.labels is not None
    for by, needs in NEEDS.items():
        if subject.has(needs) and (labelled or by != "probe"):
            return by
    raise NotApplicable(f"nothing tells on validation how good {subject.cell.method.name} is")


def halves(subject: Subject) -> tuple[Tensor, Tensor]:
    """Rows of validation: those to choose by, and those that are scored. All seeds' methods have the same."""
    order = torch.randperm(len(subject.target.validation), generator=subject.generator("selection halves"))
    middle = len(order) // 2
    if middle < 1:
        raise NotApplicable("validation has fewer than two examples: nothing can be chosen there and scored")
    return order[:middle], order[middle:]


def by_probe(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    labels, held = subject.labels("train"), subject.labels("validation")
    rows = drawn_rows(len(labels), config.train_limit, subject.generator("selection rows"), labels)
    first, second = halves(subject)
    features = subject.features("validation")
    classes = 1 + int(max(labels.max(), held.max()))
    probe = fitted_probe(
        (subject.features("train")[rows], labels[rows]), (features[first], held[first]), classes, ProbeConfig()
    )
    value = accuracy(probe.probabilities(features[second]).argmax(1), held[second])
    return {"accuracy": ScoreValue(value=value, n=len(second), note=f"C={probe.c:.3g}")}


def by_fid(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    extractor = extractor_named("in-domain", subject)
    _, second = halves(subject)
    real = subject.inputs("validation").take(second[:SAMPLES])
    value = frechet_distance(extractor(subject.sampled(len(real)).images), extractor(real))
    return {"frechet_distance": ScoreValue(value=value, n=len(real), note=str(extractor))}


def by_reconstruction(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    _, second = halves(subject)
    images = subject.inputs("validation").take(second)
    rebuilt = subject.batched(subject.method.reconstruct, images).clamp(0, 1)
    return {"mse": ScoreValue(value=float(squared_error(to_float(images), rebuilt).mean()), n=len(second))}


def by_likelihood(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    _, second = halves(subject)
    images = subject.inputs("validation").take(second)
    bound = subject.batched(lambda part: subject.method.log_likelihood_bound(part, 1), images)
    return {"elbo": ScoreValue(value=float(bound.double().mean()), n=len(second))}


NEEDS = {
    "probe": "encode",
    "fid": "sample",
    "reconstruction": "reconstruct",
    "likelihood": "log_likelihood_bound",
}
JUDGES: dict[str, Callable[[Subject, Config], dict[str, ScoreValue]]] = {
    "probe": by_probe,
    "fid": by_fid,
    "reconstruction": by_reconstruction,
    "likelihood": by_likelihood,
}


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="selection",
        run=run,
        takes=ANY,
        config=Config,
        on_request=True,
        source="Harness",
        scores=(
            ScoreSpec(
                name="accuracy",
                unit="fraction",
                better="higher",
                low=0.0,
                high=1.0,
                primary=True,
                role="told",
                help="accuracy of the linear probe on the second half of validation",
            ),
            ScoreSpec(
                name="frechet_distance",
                unit="squared feature distance",
                better="lower",
                low=0.0,
                primary=True,
                role="told",
                help="Fréchet distance of samples from the second half of validation",
            ),
            ScoreSpec(
                name="mse",
                unit="squared error",
                better="lower",
                low=0.0,
                primary=True,
                role="told",
                help="mean squared error on the second half of validation",
            ),
            ScoreSpec(
                name="elbo",
                unit="nats",
                better="higher",
                primary=True,
                role="told",
                help="mean bound on log p(x) of the second half of validation",
            ),
        ),
    )
