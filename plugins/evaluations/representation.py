"""Representation: the geometry of the frozen features, without labels.

rankme               exp of the entropy of the normalised singular values of the features (N,D):
                     p_i = s_i / sum s + 1e-7, exp(-sum p_i log p_i). Garrido et al. 2022, arXiv:2210.02885, eq. 1-2.
                     The paper validates it between runs of one method only, so it ranks nothing here.
effective_dimension  participation ratio (sum l)^2 / sum l^2 of the eigenvalues l of the features' covariance.
alignment            mean |f(x) - f(x+)|^2 of normalised features of an image and a slightly changed one
                     (alpha = 2), Wang & Isola 2020, arXiv:2005.10242, eq. 4. x+ is x moved by up to an eighth of its
                     size in both directions, the edge repeated, with Gaussian noise of deviation 0.02, in 256 levels.
                     Clips move as a whole. Texts have no such neighbour, and no alignment.
uniformity           log of the mean of exp(-2 |f(x) - f(y)|^2) over pairs of different images (t = 2), ibid., eq. 5.
spread               mean deviation of a normalised feature times sqrt(D): 1 if all directions are used alike, 0 if all
                     images have one (Chen & He 2021, arXiv:2011.10566, section 4.1).
collapsed            1 if spread < 0.01 or rankme < 1.05, else 0 (always 0 for D = 1).

Measured on the test split, or on a seeded draw of it. N images, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.data.images import to_float, to_uint8
from harness.metrics.features import drawn_rows, normalised
from harness.metrics.geometry import effective_dimension, rankme, spread
from harness.nn.augment import random_shift
from harness.plugin import ANY, EvaluationSpec, ScoreSpec, ScoreValue, Subject, hookimpl

SHIFT, NOISE = 1 / 8, 0.02  # of the size, and in units of [0,1]
LEAST_SPREAD, LEAST_RANK = 0.01, 1.05
PERPLEXITY = 30.0  # of the map


@dataclass(frozen=True, kw_only=True)
class Config:
    rank_limit: int = 25_600  # images at most for rankme and the effective dimension
    pair_limit: int = 2_048  # images at most for alignment and uniformity
    map_points: int = 400  # images at most in the map; 0 draws none

    def __post_init__(self) -> None:
        if min(self.rank_limit, self.pair_limit) < 2 or self.map_points < 0:
            raise ValueError("rank_limit and pair_limit must be at least 2, map_points not negative")


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of the rows of two normalised (N,D): in [0,4], 0 if nothing moved."""
    return float((first.double() - second.double()).square().sum(1).mean())


def uniformity(features: Tensor) -> float:
    """log mean exp(-2 |f(x) - f(y)|^2) over the pairs x < y of normalised features (N,D): in [-8,0], low is uniform."""
    distances = torch.pdist(features.double()).square()  # (N (N-1) / 2,)
    return float(torch.logsumexp(-2 * distances, 0) - math.log(len(distances)))


def changed(images: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 (N,C,H,W) or (N,T,C,H,W) on the CPU -> the same, each moved and with noise (see above)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        moved = random_shift(images, SHIFT)
    noise = torch.randn(images.shape, generator=generator)
    return to_uint8(to_float(moved) + NOISE * noise)


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Scores of the test split, and a map of some of its examples."""
    features = subject.features("test")
    available = len(features)
    many = features[drawn_rows(available, config.rank_limit, subject.generator("rank rows"))]
    rows = drawn_rows(available, config.pair_limit, subject.generator("pair rows"))
    sphere = normalised(features[rows])
    rank, breadth = rankme(many), spread(sphere)
    collapsed = features.shape[1] > 1 and (breadth < LEAST_SPREAD or rank < LEAST_RANK)
    _show_map(subject, config.map_points)
    scores = {
        "rankme": ScoreValue(value=rank, n=len(many), note=f"of {features.shape[1]} features"),
        "effective_dimension": ScoreValue(value=effective_dimension(many), n=len(many)),
    }
    pairs = {} if subject.spec.kind == "text" else {"alignment": alignment(sphere, _of_changed(subject, rows))}
    pairs |= {"uniformity": uniformity(sphere), "spread": breadth, "collapsed": float(collapsed)}
    scores |= {name: ScoreValue(value=value, n=len(rows)) for name, value in pairs.items()}
    return scores | {"dimension": float(features.shape[1])}


def _of_changed(subject: Subject, rows: Tensor) -> Tensor:
    """Normalised features (N,D) of these test examples after a small change."""
    views = changed(subject.inputs("test").take(rows), subject.generator("views"))
    return normalised(subject.batched(subject.encode, views))


def _show_map(subject: Subject, limit: int) -> None:
    labels = subject.target.split("test").labels
    features = subject.features("test")
    rows = drawn_rows(len(features), limit, subject.generator("map rows"))
    if len(rows) < 4:
        return
    how = f"t-SNE (perplexity {PERPLEXITY:g}, started from PCA)"
    caption = f"{how} of the normalised features of {len(rows)} test {PLURALS[subject.spec.kind]}"
    shown = None if labels is None else labels[rows]
    points = map_of(normalised(features[rows]))
    subject.show_points("map", points, shown, caption, heading="Map of the features", place=160)


def map_of(points: Tensor) -> Tensor:
    """Points (N,D) -> their map (N,2) by scikit-learn's t-SNE (van der Maaten and Hinton 2008, JMLR 9:2579-2605).

    Started from the first two principal components, as Kobak and Berens 2019 (doi:10.1038/s41467-019-13056-x) advise,
    so that it depends on nothing but the points. N is at least 4.
    """
    from sklearn.manifold import TSNE

    if float(points.std(0).max()) == 0:  # no direction to start in
        return points.new_zeros(len(points), 2)
    wide = torch.cat([points, points.new_zeros(len(points), max(0, 2 - points.shape[1]))], 1)
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    return torch.from_numpy(TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(wide.numpy()))


SCORES = (
    ScoreSpec(name="rankme", unit="dimensions", better="none", low=0.0, help="effective rank of the features"),
    ScoreSpec(
        name="effective_dimension",
        unit="dimensions",
        better="none",
        low=0.0,
        help="participation ratio of the covariance's eigenvalues",
    ),
    ScoreSpec(
        name="alignment",
        unit="squared distance",
        better="none",
        low=0.0,
        high=4.0,
        help="how far a small shift and noise move a normalised feature",
    ),
    ScoreSpec(
        name="uniformity",
        unit="log kernel",
        better="none",
        low=-8.0,
        high=0.0,
        help="log mean exp(-2 d^2) over pairs; the lower, the more evenly features fill the sphere",
    ),
    ScoreSpec(
        name="spread",
        unit="ratio",
        better="none",
        low=0.0,
        high=1.0,
        help="mean deviation of a normalised feature times sqrt(D): 1 if all directions are used alike",
    ),
    ScoreSpec(
        name="collapsed",
        unit="flag",
        better="lower",
        low=0.0,
        high=1.0,
        help="1 if spread < 0.01 or rankme < 1.05: almost all images have one representation",
    ),
    ScoreSpec(name="dimension", unit="features", better="none", low=1.0, help="size of the representation"),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="representation",
        run=run,
        takes=ANY,
        scores=SCORES,
        config=Config,
        source="arXiv:2210.02885 (RankMe), arXiv:2005.10242 (alignment, uniformity)",
    )
