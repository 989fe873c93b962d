"""Translation: how near to the true images are those made of their paired images in another domain?

l1 = mean |x - x'|, mse = mean (x - x')^2, psnr = -10 log10 of an image's mse in dB, ssim after Wang et al. 2004; x' is
clamped to [0,1] first. Beside them what costs nothing: the paired image itself, and the mean training image. A
paired image need not tell all of an image, e.g. an outline no colour: a perfect score may be out of reach.

N images, C channels, H=W pixels, F factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.data.columns import Column, all_values, blocks
from harness.data.images import to_float, to_uint8
from harness.metrics.features import drawn_rows
from harness.metrics.similarity import (
    SSIM_WINDOW,
    absolute_error,
    peak_signal_to_noise,
    squared_error,
    ssim_window,
    structural_similarity,
)
from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, TrainingFailed, hookimpl

PART = 512  # images in float64 at once
STREAMED = 2_000  # test images judged at most, where they are not in memory


@dataclass(frozen=True, kw_only=True)
class Config:
    shown: int = 6  # test images in the picture

    def __post_init__(self) -> None:
        if self.shown < 1:
            raise ValueError("shown must be at least 1")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    rows, paired = judged_rows(subject), paired_of(subject)
    truth, inputs = subject.inputs("test").take(rows), paired.take(rows)  # uint8 (N,C,H,W) each
    made = translated(subject, "translate", subject.method.translate, inputs)
    found = similarity(truth, made)
    copied = similarity(truth, to_float(inputs))
    flat = mean_image(subject.inputs("train"))[None]  # (1,C,H,W)
    blurred = similarity(truth, flat.expand(len(truth), -1, -1, -1))
    window = ssim_window(*truth.shape[-2:])
    drawn = "" if len(rows) == len(subject.inputs("test")) else f"; {len(rows)} of {len(paired)} pairs"
    scores = {name: ScoreValue(value=found[name], note=_note(name, copied, blurred) + drawn) for name in found}
    if window != SSIM_WINDOW:
        usual = f"{SSIM_WINDOW}x{SSIM_WINDOW}"
        note = f"{window}x{window} window, since {usual} does not fit; {scores['ssim'].note}"
        scores["ssim"] = ScoreValue(value=found["ssim"], note=note)
    scores["copy_psnr"] = ScoreValue(value=copied["psnr"])
    scores["mean_psnr"] = ScoreValue(value=blurred["psnr"])
    back = None
    if subject.has("translate_back"):
        back, more = there_and_back(subject, truth, inputs)
        scores |= more
    if subject.target.read_factors is not None and subject.target.test.factors is not None:
        scores["factors_right"] = factors_right(subject, made, rows)
    show(subject, [to_float(inputs), made, to_float(truth), *([] if back is None else [back])], config.shown)
    return {name: replace(score, n=len(rows)) for name, score in scores.items()}


def judged_rows(subject: Subject) -> Tensor:
    """The test rows that are judged, int64 (N,): all of them, or a draw where their images are not in memory."""
    test = subject.target.test
    if not test.waiting():
        return torch.arange(len(test))
    return drawn_rows(len(test), STREAMED, subject.generator("translation rows"), test.labels)


def mean_image(images: Column) -> Tensor:
    """The mean of uint8 images: float (C,H,W) in [0,1]."""
    if images.in_memory:
        return to_float(all_values(images)).mean(0)
    total = torch.stack([part.sum(0) for part in blocks(images)]).sum(0)  # exact: int64
    return (total.double() / (255 * len(images))).float()


def paired_of(subject: Subject) -> Column:
    """What the target's test images are to be made of: N images, of the domain that the method learned."""
    learned, target = subject.source.spec.paired_domain, subject.target
    if target.test.paired is None:
        raise NotApplicable(f"{target.name} has no paired images to translate")
    if target.spec.paired_domain != learned:
        raise NotApplicable(f"the paired images of {target.name} are {target.spec.paired_domain}, not {learned}")
    return target.test.paired


def translated(subject: Subject, name: str, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """uint8 (N,C,H,W) -> what the method makes of them, float in [0,1]. Raises TrainingFailed if that is no image."""
    made = subject.batched(function, images)
    if made.shape != images.shape:
        raise TrainingFailed(f"{name}() gave {tuple(made.shape)}, expected {tuple(images.shape)}")
    if not torch.isfinite(made).all():
        raise TrainingFailed(f"{name}() gave values that are not finite")
    return made.clamp(0, 1)


def similarity(truth: Tensor, made: Tensor) -> dict[str, float]:
    """Means over images of psnr, ssim, l1 and mse: uint8 and float in [0,1], (N,C,H,W) each."""
    pairs = [(to_float(one), two) for one, two in zip(truth.split(PART), made.split(PART), strict=True)]
    error = torch.cat([squared_error(one, two) for one, two in pairs])  # (N,)
    return {
        "psnr": float(peak_signal_to_noise(error).mean()),
        "ssim": float(torch.cat([structural_similarity(one, two) for one, two in pairs]).mean()),
        "l1": float(torch.cat([absolute_error(one, two) for one, two in pairs]).mean()),
        "mse": float(error.mean()),
    }


def _note(name: str, copied: dict[str, float], blurred: dict[str, float]) -> str:
    return f"the input itself {copied[name]:.3g}, the mean training image {blurred[name]:.3g}"


def there_and_back(subject: Subject, truth: Tensor, inputs: Tensor) -> tuple[Tensor, dict[str, ScoreValue]]:
    """Paired images made of the test images (N,C,H,W), how true they are, and how much survives the cycle."""
    method = subject.method
    back = translated(subject, "translate_back", method.translate_back, truth)
    again = translated(subject, "translate", lambda images: method.translate(method.translate_back(images)), truth)
    return back, {
        "back_psnr": ScoreValue(value=similarity(inputs, back)["psnr"]),
        "cycle_l1": ScoreValue(
            value=similarity(truth, again)["l1"], note="test image -> paired image -> image; a cycle may hide a code"
        ),
    }


def factors_right(subject: Subject, made: Tensor, rows: Tensor) -> ScoreValue:
    """Fraction of translated images (N,C,H,W), made for those test rows (N,), in which every factor is that of the
    true image; each one in the note.
    """
    factors, read_factors = subject.target.test.factors, subject.target.read_factors
    assert factors is not None
    assert read_factors is not None
    asked = factors[rows]
    read = read_factors(to_uint8(made))  # (N,F)
    right, names = asked == read, [factor.name for factor in subject.target.spec.factors]
    rates = [f"{name} {rate:.3f}" for name, rate in zip(names, right.double().mean(0).tolist(), strict=True)]
    unreadable = float((read < 0).any(1).double().mean())
    note = f"{', '.join(rates)}, unreadable {unreadable:.3f}"
    return ScoreValue(value=float(right.all(1).double().mean()), note=note)


def show(subject: Subject, rows: list[Tensor], count: int) -> None:
    """Input, output and truth, and what the truth becomes on the way back, below each other."""
    total = len(rows[0])
    chosen = torch.linspace(0, total - 1, min(count, total)).round().long()
    domain = subject.target.spec.paired_domain
    names = [domain, "image made", "true image", f"{domain} made"][: len(rows)]
    caption = f"From {domain} to image, with the true image below"
    caption += f", and the {domain} made of that" if len(rows) > 3 else ""
    images = torch.cat([row[chosen] for row in rows])
    subject.show_images(
        "translations", images, len(chosen), caption, row_names=names, heading="Translations", place=120
    )


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="translation",
        run=run,
        needs=("translate",),
        config=Config,
        source="PSNR, SSIM: Wang et al. 2004, doi:10.1109/TIP.2003.819861; cycles: Zhu et al. 2017, arXiv:1703.10593",
        scores=(
            ScoreSpec(
                name="psnr",
                unit="dB",
                better="higher",
                low=0.0,
                high=100.0,
                primary=True,
                asks="Translates",
                help="Peak signal-to-noise ratio of each translated test paired image against its image, mean.",
            ),
            ScoreSpec(
                name="ssim",
                unit="similarity",
                better="higher",
                low=-1.0,
                high=1.0,
                help="Structural similarity to the true image, Gaussian 11x11 window with sigma 1.5.",
            ),
            ScoreSpec(
                name="l1",
                unit="pixel value",
                better="lower",
                low=0.0,
                high=1.0,
                help="Mean absolute error per value, values in [0,1].",
            ),
            ScoreSpec(
                name="mse",
                unit="squared pixel value",
                better="lower",
                low=0.0,
                high=1.0,
                help="Mean squared error per value, values in [0,1].",
            ),
            ScoreSpec(
                name="copy_psnr",
                unit="dB",
                better="none",
                beside="psnr",
                word="copy",
                help="The PSNR of the paired image itself: what doing nothing gets.",
            ),
            ScoreSpec(
                name="mean_psnr",
                unit="dB",
                better="none",
                help="The PSNR of the mean training image: what not looking at the paired image gets.",
            ),
            ScoreSpec(
                name="back_psnr",
                unit="dB",
                better="higher",
                help="The PSNR of paired images made of the true images.",
            ),
            ScoreSpec(
                name="cycle_l1",
                unit="pixel value",
                better="lower",
                low=0.0,
                high=1.0,
                help="Mean absolute error of a test image that was translated back and forth.",
            ),
            ScoreSpec(
                name="factors_right",
                unit="fraction",
                better="higher",
                low=0.0,
                high=1.0,
                help="Fraction of translated images in which every factor reads as in the true image.",
            ),
        ),
    )
