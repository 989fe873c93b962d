"""kNN: do the nearest training images of a test image, by cosine of the frozen features, share its class?

The k nearest training images vote with weight exp(cosine / T) (Wu et al. 2018, arXiv:1805.01978, section 3.4), or
with equal weights (T = infinity). k and T are chosen by validation accuracy, ties by likelihood; test is used once.

N images in the bank, Q queries, D features, M neighbours kept, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.metrics.classification import accuracy, majority_share, most_accurate, negative_log_likelihood
from harness.metrics.features import drawn_rows, normalised
from harness.plugin import ANY, EvaluationSpec, ScoreSpec, ScoreValue, SplitName, Subject, hookimpl

NEIGHBOURS = (1, 5, 10, 20, 50, 100, 200)
TEMPERATURES = (0.03, 0.07, 0.1, 0.2, 0.5, math.inf)  # of the cosine; infinite: every neighbour has one vote
QUERIES = 256  # similarities of that many queries with the whole bank are held at a time
GROUPS = 16


@dataclass(frozen=True, kw_only=True)
class Config:
    bank_limit: int = 60_000  # training images in the bank at most, drawn with every class's share kept

    def __post_init__(self) -> None:
        if self.bank_limit < 1:
            raise ValueError("bank_limit must be at least 1")


def nearest(queries: Tensor, bank: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest cosines (Q,k), in falling order, of normalised queries (Q,D) with a bank (N,D), and their rows."""
    parts = [_largest(block @ bank.T, k) for block in queries.split(QUERIES)]
    values, rows = zip(*parts, strict=True)
    return torch.cat(values), torch.cat(rows)


def _largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """topk of (Q,N) along N, about twice as fast where N is large.

    The columns form N/16 groups. Every one of the k largest lies in one of the k groups with the largest maxima, so
    those 16 k columns are all that needs sorting; a rest that fills no group is always looked at.
    """
    queries, n = values.shape
    groups = n // GROUPS
    if groups <= 4 * k:
        return values.topk(k, dim=1)
    grouped = values[:, : groups * GROUPS].view(queries, GROUPS, groups)
    best = grouped.amax(1).topk(k, dim=1, sorted=False).indices  # (Q,k)
    columns = best[:, None, :] + groups * torch.arange(GROUPS, device=values.device)[:, None]  # (Q,16,k)
    rest = torch.arange(groups * GROUPS, n, device=values.device).expand(queries, -1)
    columns = torch.cat([columns.flatten(1), rest], 1)
    largest, place = values.gather(1, columns).topk(k, dim=1)
    return largest, columns.gather(1, place)


def votes(cosines: Tensor, labels: Tensor, classes: int, ks: Sequence[int], temperature: float) -> Iterator[Tensor]:
    """For each of the rising `ks`, the share of the weighted vote that each class gets: (Q,K), rows sum to 1.

    `cosines` and `labels` (Q,M) are of the neighbours, the nearest first.
    """
    weights = ((cosines - cosines[:, :1]) / temperature).exp()  # the nearest has weight 1: shares do not change
    tally, start = cosines.new_zeros(len(cosines), classes), 0
    for k in ks:
        tally = tally.scatter_add(1, labels[:, start:k], weights[:, start:k])
        start = k
        yield tally / tally.sum(1, keepdim=True)


def choose(cosines: Tensor, neighbours: Tensor, labels: Tensor, classes: int) -> tuple[int, float]:
    """The (k, temperature) that classifies `labels` (Q,) best from their neighbours' cosines and labels (Q,M)."""
    ks = _bounded(cosines.shape[1])
    options, results = [], []
    for temperature in TEMPERATURES:
        for k, shares in zip(ks, votes(cosines, neighbours, classes, ks, temperature), strict=True):
            options.append((k, temperature))
            results.append((accuracy(shares.argmax(1), labels), negative_log_likelihood(shares, labels)))
    return options[most_accurate(results)]


def _bounded(bank: int) -> list[int]:
    """The ks that a bank of that size allows, rising."""
    return [k for k in NEIGHBOURS if k <= bank]


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Accuracy on the test split, with the bank from the training split."""
    train = subject.labels("train")
    rows = drawn_rows(len(train), config.bank_limit, subject.generator("knn rows"), train)
    bank = normalised(subject.features("train")[rows].to(subject.device))
    known = train[rows].to(subject.device)
    truth = {split: subject.labels(split) for split in ("validation", "test")}
    classes = 1 + int(max(train.max(), *(labels.max() for labels in truth.values())))

    def neighbours(split: SplitName, k: int) -> tuple[Tensor, Tensor]:
        queries = normalised(subject.features(split).to(subject.device))
        cosines, found = nearest(queries, bank, k)
        return cosines.cpu(), known[found].cpu()

    k, temperature = choose(*neighbours("validation", _bounded(len(bank))[-1]), truth["validation"], classes)
    (shares,) = votes(*neighbours("test", k), classes, [k], temperature)
    weighting = "equal votes" if math.isinf(temperature) else f"T={temperature:g}"
    things = PLURALS[subject.target.spec.kind]
    limited = f", bank of {len(rows)} of {len(train)} training {things}" if len(rows) < len(train) else ""
    return {
        "accuracy": ScoreValue(
            value=accuracy(shares.argmax(1), truth["test"]),
            chance=majority_share(truth["test"]),
            note=f"k={k}, {weighting}{limited}",
        )
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
        help="test images classified right by their nearest training images; chance: share of the most frequent class",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="knn",
        run=run,
        takes=ANY,
        scores=SCORES,
        needs=("encode", "labels"),
        config=Config,
        source="arXiv:1805.01978, section 3.4 (weighted kNN on cosine similarity)",
    )
