"""Fréchet and kernel distance between generated and real test images, in the feature space of a named extractor.

Fréchet: |m1-m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)) of feature means and covariances (Heusel et al. 2017).
Kernel: unbiased squared MMD with k(x,y) = (x.y/F + 1)^3 (Binkowski et al. 2018), over all pairs instead of random
subsets. Both depend on n and on the extractor: all methods get the same n, and beside each stands its floor, the
distance of as many real training images from the same test images. An in-domain extractor has learnt from those
training images, so its floor holds its generalisation gap as well. Everything is float64.

N images, C channels, H=W pixels, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.data.images import to_float
from harness.errors import TrainingFailed
from harness.extractor import Extractor, extractor_named
from harness.hookspecs import hookimpl
from harness.records import ScoreSpec, ScoreValue
from harness.specs import EvaluationSpec
from harness.subject import Subject

BLOCK = 2048  # rows of a kernel matrix in memory at once
SHOWN = 64  # images in a picture, 8 rows of 8


@dataclass(frozen=True, kw_only=True)
class Config:
    n: int = 2000  # images on each side; fewer where the training or the test split is smaller
    extractor: Literal["in-domain", "inception"] = "in-domain"

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError("n must be at least 2: a covariance needs two images")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    extractor = extractor_named(config.extractor, subject)
    n = min(config.n, len(subject.images("train")), len(subject.images("test")))
    samples = subject.sampled(n).images  # uint8 (N,C,H,W), as real images are
    real = some(subject.images("test"), n, subject.generator("fid test images"))
    others = some(subject.images("train"), n, subject.generator("fid training images"))
    show(subject, samples, real)
    fake, truth, floor = extractor(samples), extractor(real), extractor(others)  # (N,F) each
    values = {
        "frechet_distance": frechet_distance(fake, truth),
        "frechet_floor": frechet_distance(floor, truth),
        "kernel_distance": kernel_distance(fake, truth),
        "kernel_floor": kernel_distance(floor, truth),
    }
    if not all(torch.isfinite(torch.tensor(list(values.values())))):
        raise TrainingFailed(f"the features of the samples are not finite in {extractor}")
    notes = {name: _note(name, values, extractor, n) for name in values}
    return {name: ScoreValue(value=value, n=n, note=notes[name]) for name, value in values.items()}


def _note(name: str, values: dict[str, float], extractor: Extractor, n: int) -> str:
    """`in-domain classifier f3a9c1, test accuracy 0.983, 64 features, floor 0.8 at n=360`."""
    floor = values[name.replace("_distance", "_floor")]
    beside = f", floor {floor:.3g}" if name.endswith("_distance") else ", training images against test images"
    return f"{extractor}{beside} at n={n}"


def some(images: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """n of the images (N,C,H,W), drawn without replacement: the same ones for every method of a seed."""
    return images[torch.randperm(len(images), generator=generator)[:n]]


def show(subject: Subject, samples: Tensor, real: Tensor) -> None:
    """One grid of samples and one of real images."""
    subject.show_images("samples", to_float(samples[:SHOWN]), 8, "Samples, as drawn, none picked out")
    subject.show_images("real", to_float(real[:SHOWN]), 8, "Real test images, for comparison with the samples")


def frechet_distance(one: Tensor, two: Tensor) -> float:
    """Squared Fréchet distance between Gaussians fitted to features (N,F) and (M,F), N and M at least 2.

    With centred features A and B over sqrt(N-1) and sqrt(M-1), S1 = A'A and S2 = B'B, and tr((S1 S2)^(1/2)) is the
    sum of the singular values of A B'. So no matrix root is taken, and fewer images than features do no harm. A and B
    are first replaced by the triangular factors of their QR decompositions, which have the same products.

    Source: Dowson and Landau 1982, doi:10.1016/0047-259X(82)90077-X; for generated images Heusel et al. 2017.
    """
    if min(len(one), len(two)) < 2:
        raise ValueError(f"a covariance needs two images, got {len(one)} and {len(two)}")
    one, two = one.double(), two.double()
    shift = (one.mean(0) - two.mean(0)).square().sum()
    root_one, root_two = _covariance_root(one), _covariance_root(two)  # (min(N,F),F)
    traces = root_one.square().sum() + root_two.square().sum()
    overlap = torch.linalg.svdvals(root_one @ root_two.T).sum()
    return float((shift + traces - 2 * overlap).clamp_min(0))


def _covariance_root(features: Tensor) -> Tensor:
    """(N,F) -> R with R'R = the covariance of the features with N-1 in the denominator."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R


def kernel_distance(one: Tensor, two: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of features (N,F) and (M,F) under k(x,y) = (x.y/F + 1)^3.

    mean over i != j of k(x_i,x_j) and of k(y_i,y_j), minus twice the mean over all i, j of k(x_i,y_j). The U-statistic
    over all pairs: its expectation is that of averages over random subsets, with less variance and no randomness. It
    may be negative. Source: Binkowski et al. 2018, arXiv:1801.01401, section 4.
    """
    n, m = len(one), len(two)
    if min(n, m) < 2:
        raise ValueError(f"an unbiased kernel distance needs two images, got {n} and {m}")
    one, two = one.double(), two.double()
    within_one = (_kernel_sum(one, one) - float(_kernel(one.square().sum(1), one.shape[1]).sum())) / (n * (n - 1))
    within_two = (_kernel_sum(two, two) - float(_kernel(two.square().sum(1), two.shape[1]).sum())) / (m * (m - 1))
    return within_one + within_two - 2 * _kernel_sum(one, two) / (n * m)


def _kernel(products: Tensor, features: int) -> Tensor:
    return (products / features + 1) ** 3


def _kernel_sum(one: Tensor, two: Tensor) -> float:
    """The sum of k over all pairs of (N,F) and (M,F), a block of rows at a time."""
    return sum(float(_kernel(rows @ two.T, one.shape[1]).sum()) for rows in one.split(BLOCK))


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="fid",
        run=run,
        needs=("sample",),
        config=Config,
        source="Heusel et al. 2017, arXiv:1706.08500; Binkowski et al. 2018, arXiv:1801.01401",
        scores=(
            ScoreSpec(
                name="frechet_distance",
                unit="squared feature distance",
                better="lower",
                low=0.0,
                primary=True,
                help="Fréchet distance of samples from test images; comparable within one extractor and one n only.",
            ),
            ScoreSpec(
                name="frechet_floor",
                unit="squared feature distance",
                better="none",
                low=0.0,
                help="The same distance of as many real training images: what perfect samples would get.",
            ),
            ScoreSpec(
                name="kernel_distance",
                unit="squared MMD",
                better="lower",
                help="Unbiased kernel distance of samples from test images, polynomial kernel of degree 3.",
            ),
            ScoreSpec(
                name="kernel_floor",
                unit="squared MMD",
                better="none",
                help="The same distance of as many real training images: 0 on average, its spread is the noise.",
            ),
        ),
    )
