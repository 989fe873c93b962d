"""Density: lower bounds on the log-likelihood of test images, in nats per image.

elbo            the bound of one importance sample, E log p(x,z)/q(z|x), averaged over a few draws of it.
log_likelihood  log 1/K sum_k p(x,z_k)/q(z_k|x): the importance-weighted bound of K samples. It rises with K, and is the
                log-likelihood for K without end. Burda et al. 2016, arXiv:1509.00519, eq. 8.
bits_per_dim    -log_likelihood / (ln 2 CHW).

exp of a bound of k samples is an unbiased estimate of p(x), so that bounds of some samples at a time combine to that of
all, and memory does not grow with K. Always in float32. Comparable between methods whose p(x|z) is of one family:
Bernoulli on grey values is no density, and its numbers say nothing beside those of a Gaussian.

Of all test images, or of the same `limit` of them for every seed. Each image's bound is kept: intervals are of new
images too. 10,000 of 28x28 with 200 samples take a perceptron of 400 units 25 s of one core, the convolutions 90 s.

B images, K importance samples, C channels, H=W pixels, M parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, prod

import torch
from torch import Tensor

from harness.data.columns import blocks
from harness.data.images import to_float
from harness.metrics.features import drawn_rows
from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, Subject, TrainingFailed, hookimpl
from harness.seeding import derived_generator

AT_ONCE = 4096  # images times samples in memory
SAMPLES_AT_ONCE = 64  # of one image


@dataclass(frozen=True, kw_only=True)
class Config:
    samples: int = 200  # K
    limit: int | None = None  # test images used at most; none: all of them
    draws: int = 8  # of the bound of one sample

    def __post_init__(self) -> None:
        if min(self.samples, self.draws) < 1 or (self.limit is not None and self.limit < 2):
            raise ValueError("samples and draws must be at least 1, limit at least 2")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    test = subject.inputs("test")
    rows = _rows(subject, config.limit)
    devices = [subject.device] if subject.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(subject.generator("density samples").initial_seed())
        parts = [
            (evidence_bound(subject, images, config.draws), importance_bound(subject, images, config.samples))
            for images in blocks(test if rows is None else test.rows(rows), AT_ONCE)
        ]
    elbo, bound = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])  # (N,) each
    note = f"{config.samples} importance samples; standard error over images {_standard_error(bound):.2g}"
    per_bit = -log(2) * prod(subject.spec.inputs.shape)

    def score(outcomes: Tensor, note: str) -> ScoreValue:
        return ScoreValue(value=float(outcomes.mean()), n=len(outcomes), note=note, outcomes=outcomes, rows=rows)

    return {
        "log_likelihood": score(bound, note),
        "elbo": score(elbo, f"mean of {config.draws} draws"),
        "bits_per_dim": score(bound / per_bit, note),
    }


def _rows(subject: Subject, limit: int | None) -> Tensor | None:
    """The test images that are used, the same for every seed: their rows (N,), or None for all."""
    test = subject.target.test
    if limit is None or limit >= len(test):
        return None
    return drawn_rows(len(test), limit, derived_generator(0, "density rows", subject.target.name), test.labels)


def evidence_bound(subject: Subject, images: Tensor, draws: int) -> Tensor:
    """The bound of one sample, averaged over draws: uint8 (N,C,H,W) -> (N,) float64 nats."""
    total = torch.zeros(len(images), dtype=torch.float64)
    for _ in range(draws):
        total += torch.cat([_bound(subject, part, 1) for part in images.split(AT_ONCE)])
    return total / draws


def importance_bound(subject: Subject, images: Tensor, samples: int) -> Tensor:
    """The bound of K samples, some of them and some of the images at a time: uint8 (N,C,H,W) -> (N,) float64 nats."""
    parts = []
    for batch in images.split(max(1, AT_ONCE // min(samples, SAMPLES_AT_ONCE))):
        bounds = [_bound(subject, batch, count) + log(count) for count in _counts(samples)]
        parts.append(torch.stack(bounds).logsumexp(0) - log(samples))  # (M,B) -> (B,)
    return torch.cat(parts)


def _counts(samples: int) -> Iterator[int]:
    """K as a sum of counts, each small enough."""
    for done in range(0, samples, SAMPLES_AT_ONCE):
        yield min(SAMPLES_AT_ONCE, samples - done)


def _bound(subject: Subject, images: Tensor, samples: int) -> Tensor:
    """What the method says of one batch: uint8 (B,C,H,W) -> (B,) float64. Raises TrainingFailed if it is no bound."""
    with torch.no_grad():
        bound = subject.method.log_likelihood_bound(to_float(images.to(subject.device)), samples).double().cpu()
    if bound.shape != (len(images),):
        raise TrainingFailed(f"log_likelihood_bound() gave {tuple(bound.shape)}, expected ({len(images)},)")
    if not torch.isfinite(bound).all():
        raise TrainingFailed("log_likelihood_bound() gave values that are not finite")
    return bound


def _standard_error(values: Tensor) -> float:
    return float(values.std() / len(values) ** 0.5)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="density",
        run=run,
        needs=("log_likelihood_bound",),
        config=Config,
        source="Burda et al. 2016, arXiv:1509.00519",
        scores=(
            ScoreSpec(
                name="log_likelihood",
                unit="nats",
                better="higher",
                primary=True,
                asks="Real data is likely",
                help="Importance-weighted lower bound on log p(x) per test image; for one family of p(x|z) only.",
            ),
            ScoreSpec(
                name="elbo",
                unit="nats",
                better="higher",
                help="Evidence lower bound per test image, one sample at a time.",
            ),
            ScoreSpec(
                name="bits_per_dim",
                unit="bits",
                better="lower",
                help="The importance-weighted bound, negative, in bits per value of an image.",
            ),
        ),
    )
