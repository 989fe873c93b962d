"""Clustering: do groups that k-means finds in the frozen features agree with the classes?

k-means with as many clusters as there are classes (scikit-learn, Lloyd, k-means++ starts) on L2-normalised features,
so that distance is a function of the cosine, as for kNN; or on features of mean 0 and deviation 1, as scikit-learn's
example of the digits has them. Clusters are found in the training split without its labels, and test images are
assigned to them: scores are of the test split. nmi = 2 I(u;v) / (H(u) + H(v)), which is also called V-measure, ari is
the Rand index corrected for chance (Hubert & Arabie 1985), accuracy is that of the best one-to-one naming of the
clusters (Kuhn 1955).

N images, D features, K clusters.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.metrics.classification import majority_share
from harness.metrics.features import drawn_rows, normalised, standardised
from harness.plugin import ANY, EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    starts: int = 10  # k-means runs, of which the one with the least inertia is taken
    train_limit: int = 10_000  # training images clustered at most, drawn without looking at labels
    scaling: Literal["length", "deviation"] = (
        "length"  # what is 1 before: every image's length, every feature's deviation
    )

    def __post_init__(self) -> None:
        if self.starts < 1 or self.train_limit < 2:
            raise ValueError("starts must be at least 1 and train_limit at least 2")


def clusters(train: Tensor, test: Tensor, count: int, starts: int, seed: int) -> Tensor:
    """The cluster (N,) in range(count) of each `test` row, of k-means fitted to `train` (both (N,D)).

    One thread: with more, scikit-learn adds up in an order that is not fixed.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters: some stay empty
        means = KMeans(min(count, len(train)), n_init=starts, random_state=seed % 2**32).fit(train.numpy())
        return torch.from_numpy(means.predict(test.numpy())).long()


def scaled(scaling: str, train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N,D) of each on the unit sphere, or with the mean 0 and the deviation 1 of the training ones."""
    if scaling == "length":
        return normalised(train), normalised(test)
    first, second = standardised(train, test)
    return first, second


def matched_accuracy(found: Tensor, labels: Tensor) -> float:
    """The largest fraction of labels (N,) that a one-to-one naming of the clusters `found` (N,) gets right.

    Own: torchmetrics' cluster_accuracy needs one more package for the assignment that scipy has.
    """
    from scipy.optimize import linear_sum_assignment

    classes = 1 + int(max(found.max(), labels.max()))
    table = torch.bincount(found * classes + labels, minlength=classes**2).view(classes, classes)  # cluster x class
    rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
    return float(table[rows, columns].sum() / len(labels))


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Agreement of the clusters with the classes on the test split.

    nmi and ari by scikit-learn: torchmetrics' are float32, its NMI is 0 where one cluster is the one class and may
    exceed 1 by rounding, and its ARI overflows int64 (-19.7 instead of 0.49 for 100,000 images).
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    truth, available = subject.labels("test"), len(subject.labels("train"))
    count = len(subject.labels("train").unique())
    if count < 2:
        raise NotApplicable("the training split shows fewer than two classes")
    generator = subject.generator("clustering")
    rows = drawn_rows(available, config.train_limit, generator)
    features = scaled(config.scaling, subject.features("train")[rows], subject.features("test"))
    found = clusters(*features, count, config.starts, generator.initial_seed())
    things = PLURALS[subject.target.spec.kind]
    limited = f", found in {len(rows)} of {available} training {things}" if len(rows) < available else ""
    note = f"{count} clusters{limited}"
    return {
        "nmi": ScoreValue(value=float(normalized_mutual_info_score(truth, found)), chance=0.0, note=note),
        "ari": ScoreValue(value=float(adjusted_rand_score(truth, found)), chance=0.0),
        "accuracy": ScoreValue(value=matched_accuracy(found, truth), chance=majority_share(truth)),
    }


SCORES = (
    ScoreSpec(
        name="nmi",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=True,
        asks="Classes found unasked",
        help="mutual information of clusters and classes over the mean of their entropies",
    ),
    ScoreSpec(
        name="ari",
        unit="fraction",
        better="higher",
        low=-0.5,
        high=1.0,
        help="pairs of test images on which clusters and classes agree, corrected for chance",
    ),
    ScoreSpec(
        name="accuracy",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        help="test images in the right cluster under the best one-to-one naming; chance: one cluster for all",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="clustering",
        run=run,
        takes=ANY,
        scores=SCORES,
        needs=("encode", "labels"),
        config=Config,
        source="Lloyd 1982; scores as in Xie et al. 2016, arXiv:1511.06335, section 4.2",
    )
