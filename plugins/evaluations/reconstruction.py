"""Reconstruction: what of the test images survives the method's code, and how small that code is.

mse = mean (x - x')^2, psnr = -10 log10 of an image's mse in dB, ssim after Wang et al. 2004, compression_ratio =
8 C H W / bits of the code. Reconstructions are clamped to [0,1] first, since nothing else is an image.

N images, C channels, H=W pixels, P interpolation steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.columns import Column, blocks, column_of
from harness.data.images import to_float
from harness.metrics.similarity import (
    SSIM_WINDOW,
    peak_signal_to_noise,
    squared_error,
    ssim_window,
    structural_similarity,
)
from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, Subject, TrainingFailed, hookimpl

PART = 512  # images in memory at once


@dataclass(frozen=True, kw_only=True)
class Config:
    shown: int = 10  # test images in the picture of reconstructions
    steps: int = 9  # images from one end of an interpolation to the other, both ends included

    def __post_init__(self) -> None:
        if self.shown < 2 or self.steps < 2:
            raise ValueError("shown and steps must be at least 2")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    images = subject.inputs("test")
    parts = list(_measured(subject, images))
    error, similarity = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])  # (N,) each
    noise = peak_signal_to_noise(error)  # (N,)
    chosen = spread(images, config.shown)  # uint8 (N,C,H,W)
    show_reconstructions(subject, chosen)
    if subject.has("interpolate"):
        show_interpolations(subject, chosen, config)
    return {
        "mse": ScoreValue(value=float(error.mean()), outcomes=error),
        "psnr": ScoreValue(value=float(noise.mean()), note="mean over images, 100 dB at most", outcomes=noise),
        "ssim": ScoreValue(value=float(similarity.mean()), note=window_note(chosen), outcomes=similarity),
        "compression_ratio": compression_ratio(chosen, bits=float(subject.method.code_bits())),
    }


def _measured(subject: Subject, images: Column) -> Iterator[tuple[Tensor, Tensor]]:
    """Squared error and SSIM, (n,) each, of one part of the images after the other."""
    for part in blocks(images, PART):
        rebuilt = reconstructed(subject, part)
        yield squared_error(to_float(part), rebuilt), structural_similarity(to_float(part), rebuilt)


def reconstructed(subject: Subject, images: Tensor) -> Tensor:
    """uint8 (N,C,H,W) -> what the method makes of them, float in [0,1]. Raises TrainingFailed if that is no image."""
    rebuilt = subject.batched(subject.method.reconstruct, images)
    if rebuilt.shape != images.shape:
        raise TrainingFailed(f"reconstruct() gave {tuple(rebuilt.shape)}, expected {tuple(images.shape)}")
    if not torch.isfinite(rebuilt).all():
        raise TrainingFailed("reconstruct() gave values that are not finite")
    return rebuilt.clamp(0, 1)


def compression_ratio(images: Tensor, *, bits: float) -> ScoreValue:
    """Bits of an uncompressed 8-bit image over bits of its code: above 1 the code is smaller than the image."""
    if not 0 < bits < float("inf"):
        raise TrainingFailed(f"code_bits() gave {bits:g}, expected a positive, finite number of bits per image")
    return ScoreValue(value=8 * images[0].numel() / bits, note=f"code of {bits:g} bits per image")


def window_note(images: Tensor) -> str:
    """What to say of the SSIM window: nothing unless the images are too small for the usual one."""
    window = ssim_window(*images.shape[-2:])
    return "" if window == SSIM_WINDOW else f"{window}x{window} window, since {SSIM_WINDOW}x{SSIM_WINDOW} does not fit"


def show_reconstructions(subject: Subject, chosen: Tensor) -> None:
    """Two rows: test images (N,C,H,W), and below each what the method makes of it."""
    both = torch.cat([to_float(chosen), reconstructed(subject, chosen)])
    caption = "Test images above, their reconstructions below"
    subject.show_images("reconstructions", both, len(chosen), caption, heading="Reconstructions", place=10)


def show_interpolations(subject: Subject, chosen: Tensor, config: Config) -> None:
    """A row for each of the pairs of test images (N,C,H,W): the path between their codes."""
    start, end = chosen[0::2], chosen[1::2]
    start = start[: len(end)]

    def path(first: Tensor) -> Tensor:
        return subject.method.interpolate(first, to_float(end.to(first.device)), config.steps)  # (B,P,C,H,W)

    frames = subject.batched(path, start).flatten(0, 1)  # (B*P,C,H,W)
    caption = "From one test image to another along the line between their codes; both ends are reconstructions"
    heading = "Interpolation: from one image to another"
    subject.show_images("interpolation", frames, config.steps, caption, heading=heading, place=70)


def spread(images: Tensor | Column, count: int) -> Tensor:
    """At most `count` images (n,C,H,W), evenly spread over all of them: the same ones for every method and seed."""
    index = torch.linspace(0, len(images) - 1, min(count, len(images))).round().long()
    return column_of(images).take(index)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="reconstruction",
        run=run,
        needs=("reconstruct",),
        config=Config,
        source="PSNR and SSIM: Wang et al. 2004, doi:10.1109/TIP.2003.819861",
        scores=(
            ScoreSpec(
                name="mse",
                unit="squared pixel value",
                better="lower",
                low=0.0,
                high=1.0,
                primary=True,
                asks="Reconstructs",
                help="Mean squared error per value of the test images, values in [0,1].",
            ),
            ScoreSpec(
                name="psnr",
                unit="dB",
                better="higher",
                low=0.0,
                high=100.0,
                help="Peak signal-to-noise ratio, -10 log10(mse) of each image, averaged over images.",
            ),
            ScoreSpec(
                name="ssim",
                unit="similarity",
                better="higher",
                low=-1.0,
                high=1.0,
                help="Structural similarity, Gaussian 11x11 window with sigma 1.5 (Wang et al. 2004, eq. 13).",
            ),
            ScoreSpec(
                name="compression_ratio",
                unit="ratio",
                better="higher",
                low=0.0,
                help="Bits of an 8-bit image divided by the bits of its code.",
            ),
        ),
    )
