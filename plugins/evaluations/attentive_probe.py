"""Attentive probe: what do the positions of the frozen maps hold that their mean does not? A learned query attends to
them, then a linear classifier.

    a_m = softmax_l(u_m . x_l / sqrt(D)),   p(y | x) = softmax(W [sum_l a_1l x_l, ..., sum_l a_Ml x_l] + b)

One layer of cross-attention with a learned query (Bardes et al. 2024, V-JEPA, arXiv:2404.08471, section 4; Darcet et
al. 2025, CAPI, arXiv:2502.08769). Of a free query q_m only W_k' q_m meets the tokens: it is learned as it is, u_m.
Differs from V-JEPA: no value projection, which the linear layer can hold, no MLP and no residual, so that nothing but
the place of what is read is learned beyond the linear probe. Tokens are those of patches or positions of maps,
standardised by the training split; the trunk is frozen. Probes of several rates and decays are trained at once
(harness.metrics.parallel_training); rate, decay and step are those with the lowest negative log likelihood on
validation. Test is used once.

B images of a batch, L positions, D features, M heads, K classes, R probes that are trained at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.judging.positions import positions_of
from harness.metrics.classification import accuracy, majority_share, surprises
from harness.metrics.features import drawn_rows
from harness.metrics.parallel_training import Chosen, Parameters, drawn_batches, train_and_choose, uniform
from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, SplitName, Subject, hookimpl

RATES = (1e-3, 4e-3, 1.6e-2)
DECAYS = (1e-2, 1.0)  # decoupled, times the rate
PROBES = tuple(product(RATES, DECAYS))
BLOCK = 256  # images whose tokens are encoded or judged at once
MEASURED = 1_000  # training images that the mean and the deviation of tokens are taken of
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Config:
    heads: int = 4  # M
    steps: int = 400
    batch_size: int = 128
    train_limit: int = 10_000  # training images used at most, drawn with every class's share kept
    validation_limit: int = 2_000  # validation images used at most
    cache_mib: int = 1_024  # tokens of a split are kept in half precision up to this, else encoded when needed

    def __post_init__(self) -> None:
        if min(self.heads, self.steps, self.batch_size, self.validation_limit) < 1 or self.train_limit < 2:
            raise ValueError("heads, steps, batch_size and validation_limit must be at least 1, train_limit at least 2")
        if self.cache_mib < 0:
            raise ValueError("cache_mib is a number of mebibytes, 0 to keep none")


Take = Callable[[Tensor], Tensor]  # places among the rows of a split (n,) -> standardised tokens (n,L,D), on the device


def encoder(subject: Subject) -> Callable[[SplitName, Tensor], Tensor]:
    """Tokens float32 (n,L,D) on the CPU of some rows (n,) of a split."""
    positions = positions_of(subject)

    def encode(split: SplitName, rows: Tensor) -> Tensor:
        maps = subject.batched(positions, subject.inputs(split).rows(rows))  # (n,D,h,w)
        return maps.flatten(2).transpose(1, 2)

    return encode


def taker(encode: Callable[[Tensor], Tensor], rows: Tensor, scale: tuple[Tensor, Tensor], config: Config) -> Take:
    """The standardised tokens of these rows of a split: in memory in half precision if they fit, else encoded anew."""
    mean, deviation = scale  # (D,)

    def fresh(some: Tensor) -> Tensor:
        return (encode(some).to(mean.device) - mean) / deviation

    first = fresh(rows[:1])
    if len(rows) * first.numel() * 2 > config.cache_mib * MIB:
        return lambda places: fresh(rows[places.cpu()])
    kept = torch.cat([fresh(some).half() for some in rows.split(BLOCK)])  # (N,L,D)
    return lambda places: kept[places.to(kept.device)].float()


def logits_of(parameters: Parameters, tokens: Tensor) -> Tensor:
    """(B,L,D) -> (R,B,K), by parameters u (R,M,D), w (R,M*D,K), b (R,1,K)."""
    queries = parameters["u"]
    probes, heads, dim = queries.shape
    scores = tokens @ queries.flatten(0, 1).T / math.sqrt(dim)  # (B,L,R*M)
    pooled = scores.softmax(1).transpose(1, 2) @ tokens  # (B,R*M,D)
    pooled = pooled.view(len(tokens), probes, heads * dim).transpose(0, 1)  # (R,B,M*D)
    return torch.baddbmm(parameters["b"], pooled, parameters["w"])


def summed(logits: Tensor, labels: Tensor) -> Tensor:
    """Nats of all images for each probe: (R,B,K), (B,) -> (R,)."""
    each = F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)), reduction="none")
    return each.view(len(logits), -1).sum(1)


def fitted(
    train: tuple[Take, Tensor], validation: tuple[Take, Tensor], classes: int, config: Config, draws: torch.Generator
) -> Chosen:
    """The probe that validation chose: tokens by place, and the labels of those places on the device."""
    (take, labels), (look, truth) = train, validation
    dim, n = take(torch.zeros(1, dtype=torch.int64)).shape[2], len(PROBES)
    start = {
        "u": 0.1 * uniform((config.heads, dim), 1, n, draws),  # near 0, all positions alike: the mean
        "w": uniform((config.heads * dim, classes), config.heads * dim, n, draws),
        "b": torch.zeros(n, 1, classes),
    }

    def judged(parameters: Parameters) -> Tensor:
        blocks = torch.arange(len(truth)).split(BLOCK)
        parts = [summed(logits_of(parameters, look(some)), truth[some.to(truth.device)]) for some in blocks]
        return torch.stack(parts).sum(0) / len(truth)

    return train_and_choose(
        {name: value.to(labels.device) for name, value in start.items()},
        lambda parameters, rows: summed(logits_of(parameters, take(rows)), labels[rows.to(labels.device)]) / len(rows),
        judged,
        drawn_batches(len(labels), config.batch_size, config.steps, draws),
        weights=("u", "w"),
        rates=[rate for rate, _ in PROBES],
        decays=[decay for _, decay in PROBES],
    )


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Scores of the chosen probe on the test split."""
    encode = encoder(subject)
    labels = {split: subject.labels(split) for split in ("train", "validation", "test")}
    if len(labels["train"].unique()) < 2:
        raise NotApplicable("the training split shows fewer than two classes")
    draws = subject.generator("attentive-probe")
    rows = {
        "train": drawn_rows(len(labels["train"]), config.train_limit, draws, labels["train"]),
        "validation": drawn_rows(len(labels["validation"]), config.validation_limit, draws, labels["validation"]),
        "test": torch.arange(len(labels["test"])),
    }
    device = subject.device if subject.device.type == "cuda" else torch.device("cpu")
    spread = torch.randperm(len(rows["train"]), generator=draws)[:MEASURED]
    measured = encode("train", rows["train"][spread]).flatten(0, 1)  # (n*L,D)
    scale = (measured.mean(0).to(device), measured.std(0, correction=0).clamp_min(1e-6).to(device))

    def part(split: SplitName) -> tuple[Take, Tensor]:
        return (
            taker(lambda some: encode(split, some), rows[split], scale, config),
            labels[split][rows[split]].to(device),
        )

    classes = 1 + max(int(each.max()) for each in labels.values())
    best = fitted(part("train"), part("validation"), classes, config, draws)
    shares = []
    with torch.no_grad():
        for some in rows["test"].split(BLOCK):
            tokens = (encode("test", some).to(device) - scale[0]) / scale[1]
            shares.append(logits_of(best.parameters, tokens)[0].softmax(1).cpu())
    return _scores(torch.cat(shares), labels["test"], classes, _note(best, config, len(rows["train"]), labels["train"]))


def _note(best: Chosen, config: Config, used: int, labels: Tensor) -> str:
    rate, decay = PROBES[best.network]
    note = f"rate {rate:g}, decay {decay:g}, step {best.step} of {config.steps}"
    return note + (f", fitted to {used} of {len(labels)} training images" if used < len(labels) else "")


def _scores(shares: Tensor, truth: Tensor, classes: int, note: str) -> dict[str, float | ScoreValue]:
    """From the probabilities (N,K) of the test images."""
    right, surprise = shares.argmax(1) == truth, surprises(shares, truth)
    return {
        "accuracy": ScoreValue(
            value=accuracy(shares.argmax(1), truth), chance=majority_share(truth), note=note, outcomes=right
        ),
        "nll": ScoreValue(value=float(surprise.mean()), chance=math.log(classes), outcomes=surprise),
    }


SCORES = (
    ScoreSpec(
        name="accuracy",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=True,
        role="follows",
        proportion=True,
        help="test images classified right; chance is the share of the most frequent class",
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
        name="attentive-probe",
        run=run,
        scores=SCORES,
        needs=("encode", "labels"),
        fits_labels=True,
        on_request=True,
        config=Config,
        source="arXiv:2404.08471, section 4 (a learned query attends to frozen tokens)",
    )
