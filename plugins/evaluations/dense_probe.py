"""Dense probe: where is what? A linear classifier of each pixel on the frozen maps, as of segmentation.

A pixel's feature is the bilinear interpolation of the positions around it. A linear layer and an interpolation may
change places, so this is the linear head of Oquab et al. 2023 (DINOv2, arXiv:2304.07193, section 7.4): logits at each
position, enlarged to the pixels. Judged at the pixels, not at the positions, since then the truth and its chance are
the same for every backbone. Multinomial logistic regression (harness.metrics.softmax_regression) on pixels that are
drawn from the training images, features standardised; the penalty with the lowest negative log likelihood on drawn
pixels of validation is taken. Every pixel of the test images is judged, once.

What a pixel shows is told by the dataset (DatasetSpec.read_masks). An untrained convolution sees edges too: the row of
random-init says what its maps give.

IoU of a region: pixels that are and are called so, over those that are or are called so. N images, P pixels of each, D
features, h,w positions, H=W pixels, K regions, the background first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.images import to_float
from harness.judging.positions import positions_of
from harness.metrics.classification import negative_log_likelihood
from harness.metrics.features import drawn_rows, scaling_of
from harness.metrics.segmentation import (
    against_first,
    confusion,
    intersection_over_union,
    mean_intersection_over_union,
)
from harness.metrics.softmax_regression import SoftmaxRegression, fit_softmax_regression
from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, SplitName, Subject, hookimpl

BLOCK = 256  # images whose maps are held at a time
SHOWN = 8  # images of the picture
PENALTIES = (1e-3, 1e-2, 1e-1, 1e0, 1e1)  # C, as in the linear probe; ten thousands of pixels need little of it
INKS = (  # of regions in a picture, in [0,1]; further ones begin again after the background
    (0.10, 0.10, 0.10), (0.90, 0.62, 0.00), (0.34, 0.71, 0.91), (0.00, 0.62, 0.45), (0.94, 0.89, 0.26),
    (0.00, 0.45, 0.70), (0.84, 0.37, 0.00), (0.80, 0.47, 0.65),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    train_limit: int = 2_000  # training images used at most
    validation_limit: int = 500  # validation images used at most
    pixels: int = 32  # drawn from each of these images

    def __post_init__(self) -> None:
        if min(self.train_limit, self.validation_limit, self.pixels) < 1:
            raise ValueError("train_limit, validation_limit and pixels must be at least 1")


@dataclass(frozen=True)
class Pixels:
    """Some pixels of some images."""

    features: Tensor  # float32 (N*P,D)
    regions: Tensor  # int64 (N*P,)


def run(subject: Subject, config: Config) -> dict[str, float | ScoreValue]:
    positions = positions_of(subject)
    regions = subject.target.spec.regions
    if len(regions) < 2:
        raise NotApplicable(f"{subject.target.name} does not tell what each pixel shows")
    train = drawn_pixels(subject, positions, "train", config.train_limit, config.pixels)
    validation = drawn_pixels(subject, positions, "validation", config.validation_limit, config.pixels)
    shown, labels = train.regions.unique(return_inverse=True)  # a region that training does not show has no optimum
    if len(shown) < 2:
        raise NotApplicable("the drawn training pixels show fewer than two regions")
    scale = scaling_of(train.features)
    model = fit_softmax_regression(scale(train.features), labels, len(shown), PENALTIES, 1e-4, 200)
    chooser = scale(validation.features)
    known = torch.isin(validation.regions, shown)
    truth = torch.searchsorted(shown, validation.regions[known])
    losses = [
        negative_log_likelihood(model.probabilities(chooser[known], which), truth) for which in range(len(PENALTIES))
    ]
    best = losses.index(min(losses))
    counts, right = judged(subject, positions, Head(model, best, scale, shown), len(regions))
    each = intersection_over_union(counts)
    parts = ", ".join(f"{name} {value:.3f}" for name, value in zip(regions, each.tolist(), strict=True))
    share = float(counts.sum(1).max() / counts.sum())
    occurring = int((counts.sum(1) > 0).sum())
    used = f"C={PENALTIES[best]:g}, fitted to {len(train.regions)} pixels"
    return {
        "mean_iou": ScoreValue(
            value=mean_intersection_over_union(counts), chance=share / occurring, note=f"{parts}; {used}"
        ),
        "pixel_accuracy": ScoreValue(value=float(right.mean()), chance=share, outcomes=right),
        "place_iou": float(intersection_over_union(against_first(counts))[1].nan_to_num()),
    }


def drawn_pixels(
    subject: Subject, positions: Callable[[Tensor], Tensor], split: SplitName, limit: int, pixels: int
) -> Pixels:
    """`pixels` of each of at most `limit` images of a split: where they lie is drawn evenly."""
    column, generator = subject.inputs(split), subject.generator(f"dense-probe {split}")
    labels = subject.target.split(split).labels
    features, regions = [], []
    for index in drawn_rows(len(column), limit, generator, labels).split(BLOCK):
        masks = subject.masks(split, index)  # (n,H,W)
        height, width = masks.shape[1:]
        places = torch.randint(height * width, (len(index), pixels), generator=generator)  # (n,P)
        maps = subject.batched(positions, column.rows(index))  # (n,D,h,w)
        features.append(interpolated(maps, places, (height, width)).flatten(0, 1))
        regions.append(masks.flatten(1).long().gather(1, places).flatten())
    return Pixels(torch.cat(features), torch.cat(regions))


def interpolated(maps: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (N,D,h,w), enlarged to `size` bilinearly, at some pixels (N,P) in reading order alone: (N,P,D)."""
    height, width = size
    x = (2 * (places % width) + 1) / width - 1
    y = (2 * places.div(width, rounding_mode="floor") + 1) / height - 1
    grid = torch.stack([x, y], -1)[:, None]  # (N,1,P,2), from -1 to 1
    found = F.grid_sample(maps, grid.to(maps), mode="bilinear", padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)  # (N,P,D)


@dataclass(frozen=True)
class Head:
    """The classifier that validation chose."""

    model: SoftmaxRegression
    which: int
    scale: Callable[[Tensor], Tensor]
    shown: Tensor  # int64: the regions that it knows

    def __call__(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps (n,D,h,w) -> the region of each pixel, int64 (n,H,W)."""
        n, _, height, width = maps.shape
        features = self.scale(maps.permute(0, 2, 3, 1).flatten(0, 2))  # (n*h*w,D)
        logits = features @ self.model.weights[self.which].T + self.model.bias[self.which]
        logits = logits.view(n, height, width, -1).permute(0, 3, 1, 2)  # (n,K,h,w)
        return self.shown[F.interpolate(logits, size, mode="bilinear", align_corners=False).argmax(1)]


def judged(subject: Subject, positions: Callable[[Tensor], Tensor], head: Head, regions: int) -> tuple[Tensor, Tensor]:
    """The confusion of all test pixels (K,K), and the fraction of each image that is right, float64 (N,)."""
    column = subject.inputs("test")
    counts, right = torch.zeros(regions, regions, dtype=torch.int64), []
    for index in torch.arange(len(column)).split(BLOCK):
        truth = subject.masks("test", index).long()  # (n,H,W)
        predicted = head(subject.batched(positions, column.rows(index)), (truth.shape[1], truth.shape[2]))
        counts += confusion(predicted, truth, regions)
        right.append((predicted == truth).double().mean((1, 2)))
        if len(right) == 1:
            _show(subject, index[:SHOWN], truth[:SHOWN], predicted[:SHOWN])
    return counts, torch.cat(right)


def _show(subject: Subject, index: Tensor, truth: Tensor, predicted: Tensor) -> None:
    images = to_float(subject.inputs("test").take(index)).expand(-1, 3, -1, -1)
    rows = torch.cat([images, painted(truth), painted(predicted)])
    regions = ", ".join(subject.target.spec.regions)
    caption = f"Test images, what their pixels show ({regions}), and what a linear classifier of the maps says."
    names = ("image", "truth", "predicted")
    subject.show_images("regions", rows, len(index), caption, row_names=names, heading="Where is what", place=155)


def painted(masks: Tensor) -> Tensor:
    """Regions (N,H,W) in colours: (N,3,H,W) in [0,1]."""
    inks = torch.tensor(INKS)
    places = torch.where(masks > 0, 1 + (masks - 1) % (len(INKS) - 1), 0)
    return inks[places].permute(0, 3, 1, 2)


SCORES = (
    ScoreSpec(
        name="mean_iou",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=True,
        help="intersection over union of each region, meaned; chance is to call every pixel the commonest one",
    ),
    ScoreSpec(
        name="pixel_accuracy",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        help="test pixels that are called what they show; chance is the share of the commonest region",
    ),
    ScoreSpec(
        name="place_iou",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        help="where anything is, whatever it is: intersection over union of all regions but the background as one",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="dense-probe",
        run=run,
        scores=SCORES,
        needs=("encode", "masks"),
        config=Config,
        fits_labels=True,
        on_request=True,
        source="arXiv:2304.07193, section 7.4 (a linear layer on patch features, enlarged bilinearly)",
    )
