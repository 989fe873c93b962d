"""Fréchet, kernel and sliced Wasserstein distances of generated from real test images, in a named feature space.

Fréchet: |m1-m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)) of feature means and covariances (Heusel et al. 2017).
Debiased: that distance extrapolated to infinitely many images (Chong and Forsyth 2020), by the jackknife.
Kernel: unbiased squared MMD with k(x,y) = (x.y/F + 1)^3 (Binkowski et al. 2018), over all pairs instead of random
subsets. Sliced Wasserstein: F times the mean squared W2 of 1,000 projections, a third of MIND (arXiv:2605.06797).
All depend on the extractor and, but for the debiased two, on n: all methods get the same n, and beside each stands its
floor, the distance of as many real training images from the same test images. An in-domain extractor has learnt from
those training images, so its floor holds its generalisation gap as well; so has a label-free one, which takes its place
where the target has no labels. Formulas: harness.metrics.feature_distances.

N images, C channels, H=W pixels, F features, P steps of a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.data.columns import Column
from harness.data.images import to_float
from harness.judging.extractor import Extractor
from harness.judging.feature_spaces import extractor_named, files_of
from harness.metrics.feature_distances import (
    GROUPS,
    debiased_frechet_distance,
    frechet_distance,
    kernel_distance,
    sliced_wasserstein_distance,
    unit_directions,
)
from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, Subject, TrainingFailed, hookimpl
from harness.precision import autocast

SHOWN = 64  # images in a picture, 8 rows of 8
PATHS, STEPS = 8, 9  # rows and columns in a picture of a process
HEADINGS = {"forward_process": ("From image to noise", 100), "reverse_process": ("From noise to sample", 110)}


@dataclass(frozen=True, kw_only=True)
class Config:
    n: int = 2000  # images on each side; fewer where the training or the test split is smaller
    extractor: Literal["in-domain", "label-free", "inception"] = "in-domain"  # in-domain without labels: label-free

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError("n must be at least 2: a covariance needs two images")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    extractor = extractor_named(config.extractor, subject)
    n = min(config.n, len(subject.inputs("train")), len(subject.inputs("test")))
    samples = subject.sampled(n).images  # uint8 (N,C,H,W), as real images are
    real = some(subject.inputs("test"), n, subject.generator("fid test images"))
    others = some(subject.inputs("train"), n, subject.generator("fid training images"))
    show(subject, samples, real)
    fake, truth, training = extractor(samples), extractor(real), extractor(others)  # (N,F) each
    if not torch.isfinite(fake).all():
        raise TrainingFailed(f"the features of the samples are not finite in {extractor}")
    directions = unit_directions(extractor.dim, subject.generator("fid directions"))
    values = distances(fake, truth, directions)
    values |= {name.replace("_distance", "_floor"): v for name, v in distances(training, truth, directions).items()}
    notes = {name: _note(name, values, extractor, n) for name in values}
    return {name: ScoreValue(value=value, n=n, note=notes[name]) for name, value in values.items()}


def distances(images: Tensor, real: Tensor, directions: Tensor) -> dict[str, float]:
    """All distances by name, of features (N,F) and (N,F). Too few images to remove the bias: no debiased one."""
    n, features = real.shape
    values = {
        "frechet_distance": frechet_distance(images, real),
        "kernel_distance": kernel_distance(images, real),
        "sliced_wasserstein_distance": sliced_wasserstein_distance(images, real, directions),
    }
    if n >= 2 * GROUPS and n * (GROUPS - 1) / GROUPS > features:
        values["debiased_frechet_distance"] = debiased_frechet_distance(images, real)
    return values


def _note(name: str, values: dict[str, float], extractor: Extractor, n: int) -> str:
    """`in-domain classifier f3a9c1, test accuracy 0.983, 64 features, floor 0.8 at n=360`."""
    floor = values[name.replace("_distance", "_floor")]
    beside = f", floor {floor:.3g}" if name.endswith("_distance") else ", training images against test images"
    return f"{extractor}{beside} at n={n}"


def some(images: Column, n: int, generator: torch.Generator) -> Tensor:
    """n of the images, (n,C,H,W), drawn without replacement: the same ones for every method of a seed."""
    return images.take(torch.randperm(len(images), generator=generator)[:n])


def show(subject: Subject, samples: Tensor, real: Tensor) -> None:
    """One grid of samples and one of real images; where the method makes noise and images of it, how it does that."""
    caption = "Samples, as drawn, none picked out"
    subject.show_images("samples", to_float(samples[:SHOWN]), 8, caption, heading="Samples", place=20)
    subject.show_images("real", to_float(real[:SHOWN]), 8, "Test images", heading="Samples", place=30, shared=True)
    if subject.has("forward_process"):
        show_forward_process(subject, real[:PATHS])
    if subject.has("reverse_process"):
        show_reverse_process(subject)


def show_forward_process(subject: Subject, images: Tensor) -> None:
    """A row for each test image (B,C,H,W), from the image to noise."""
    generator = subject.generator("fid forward process")
    frames = subject.batched(lambda part: subject.method.forward_process(part, STEPS, generator), images)
    _show_paths(subject, "forward_process", frames, len(images), "Test images on their way to noise, a row for each")


def show_reverse_process(subject: Subject) -> None:
    """A row for each of a few samples, from noise to the image."""
    with torch.no_grad(), autocast(subject.device, subject.cell.precision):
        frames = subject.method.reverse_process(PATHS, STEPS, subject.generator("fid reverse process")).float().cpu()
    _show_paths(subject, "reverse_process", frames, PATHS, "Samples on their way from noise, a row for each")


def _show_paths(subject: Subject, name: str, frames: Tensor, rows: int, caption: str) -> None:
    """Paths (B,P,C,H,W) as a picture. Raises TrainingFailed if they are no images of the source's shape."""
    expected = (rows, STEPS, *subject.spec.inputs.shape)
    if frames.shape != expected:
        raise TrainingFailed(f"{name}() gave {tuple(frames.shape)}, expected {expected}")
    if not torch.isfinite(frames).all():
        raise TrainingFailed(f"{name}() gave values that are not finite")
    heading, place = HEADINGS[name]
    subject.show_images(name, frames.flatten(0, 1), STEPS, caption, heading=heading, place=place)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="fid",
        run=run,
        needs=("sample",),
        config=Config,
        files=lambda config: files_of(config.extractor),
        source="Heusel et al. 2017, arXiv:1706.08500; Chong and Forsyth 2020, arXiv:1911.07023; Binkowski et al. 2018, "
        "arXiv:1801.01401; Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3",
        scores=(
            ScoreSpec(
                name="frechet_distance",
                unit="squared feature distance",
                better="lower",
                low=0.0,
                primary=True,
                asks="Samples look real",
                help="Fréchet distance of samples from test images; comparable within one extractor and one n only.",
            ),
            ScoreSpec(
                name="frechet_floor",
                unit="squared feature distance",
                better="none",
                low=0.0,
                beside="frechet_distance",
                word="floor",
                help="The same distance of as many real training images: what perfect samples would get.",
            ),
            ScoreSpec(
                name="debiased_frechet_distance",
                unit="squared feature distance",
                better="lower",
                help="The Fréchet distance extrapolated to infinite n by the jackknife; may be negative.",
            ),
            ScoreSpec(
                name="debiased_frechet_floor",
                unit="squared feature distance",
                better="none",
                beside="debiased_frechet_distance",
                word="floor",
                help="The same distance of as many real training images: 0 but for noise and the extractor's own gap.",
            ),
            ScoreSpec(
                name="sliced_wasserstein_distance",
                unit="squared feature distance",
                better="lower",
                low=0.0,
                help="F times the mean squared W2 distance over 1,000 projections of F features; a third of MIND.",
            ),
            ScoreSpec(
                name="sliced_wasserstein_floor",
                unit="squared feature distance",
                better="none",
                low=0.0,
                beside="sliced_wasserstein_distance",
                word="floor",
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
                beside="kernel_distance",
                word="floor",
                help="The same distance of as many real training images: 0 on average, its spread is the noise.",
            ),
        ),
    )
