"""Robustness: what is left of a probe's accuracy when test images are noisy, blurred, pale, turned or partly hidden?

The linear probe (harness.judging.probing) is fitted on features of clean images, and judged on those of corrupted test
images. The idea, five kinds at five strengths each, is of Hendrycks & Dietterich 2019, arXiv:1903.12261, section 4; the
kinds and the numbers here are ours, chosen for images of 8 to 96 pixels, grey or coloured, so that scores compare with
no published mCE. Images x are in [0,1], and in 256 levels again after the change:

noise      x + s e, e normal                                s = 0.04 0.08 0.12 0.18 0.26
blur       Gaussian of deviation s H, edges repeated        s = 0.02 0.03 0.045 0.065 0.09 of the side
contrast   m + c (x - m), m the image's mean per channel    c = 0.75 0.5 0.35 0.2 0.1
rotation   by a degrees to either side, edges repeated      a = 6 12 20 30 45
occlusion  a square of side s H anywhere, in the colour m   s = 0.2 0.3 0.4 0.5 0.6 of the side

accuracy        mean over all 25; each kind has the mean over its strengths
relative_loss   (clean - accuracy) / clean

All methods see the same draws on a target with one seed. Frames of a clip are changed alike, but for noise.

B images, C channels (of a clip: frames times channels), H=W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.judging.probing import LinearProbe, ProbeConfig, probe_of
from harness.metrics.classification import majority_share
from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, Subject, full_precision, hookimpl

SHOWN = 2  # test images in the picture
LEVELS = 255

Corruption = Callable[[Tensor, float, torch.Generator], Tensor]  # images (B,C,H,W), strength, CPU generator


@dataclass(frozen=True, kw_only=True)
class Config(ProbeConfig):
    """The parameters of harness.judging.probing."""


def noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    return images + deviation * torch.randn(images.shape, generator=generator).to(images.device)


def blur(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    weights = blur_matrix(images.shape[-1], share * images.shape[-1]).to(images)
    return weights @ images @ weights.T


def blur_matrix(size: int, deviation: float) -> Tensor:
    """(H,H): row i has the weights of a Gaussian about pixel i, what lies outside given to the edges; rows sum to 1."""
    reach = max(1, round(4 * deviation))
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / deviation) ** 2)
    places = (torch.arange(size)[:, None] + offsets).clamp(0, size - 1)  # (H,2R+1)
    return torch.zeros(size, size).scatter_add_(1, places, (weights / weights.sum()).expand(size, -1))


def contrast(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    return torch.lerp(images.mean((2, 3), keepdim=True), images, share)


def rotation(images: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    sides = 2 * torch.randint(2, (len(images),), generator=generator) - 1  # (B,) -1 or 1
    angles = torch.deg2rad(degrees * sides.float())
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    turn = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)  # (B,2,3)
    grid = F.affine_grid(turn.to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def occlusion(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    size = images.shape[-1]
    side = max(1, round(share * size))
    corners = torch.randint(size - side + 1, (2, len(images), 1), generator=generator)  # of rows and columns
    rows, columns = ((corners <= torch.arange(size)) & (torch.arange(size) < corners + side)).to(images.device)
    hidden = rows[:, None, :, None] & columns[:, None, None, :]  # (B,1,H,W)
    return torch.where(hidden, images.mean((2, 3), keepdim=True), images)


KINDS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "noise": (noise, (0.04, 0.08, 0.12, 0.18, 0.26)),
    "blur": (blur, (0.02, 0.03, 0.045, 0.065, 0.09)),
    "contrast": (contrast, (0.75, 0.5, 0.35, 0.2, 0.1)),
    "rotation": (rotation, (6.0, 12.0, 20.0, 30.0, 45.0)),
    "occlusion": (occlusion, (0.2, 0.3, 0.4, 0.5, 0.6)),
}
STRENGTHS = (1, 2, 3, 4, 5)


def corrupted(inputs: Tensor, kind: str, strength: int, generator: torch.Generator) -> Tensor:
    """Images (B,C,H,W) or clips (B,T,C,H,W) in [0,1] -> the same after a corruption of strength 1 to 5."""
    function, values = KINDS[kind]
    images = inputs.flatten(1, -3)  # (B,C,H,W), frames as channels
    with full_precision(images.device):
        changed = function(images, values[strength - 1], generator)
    return (changed.clamp(0, 1) * LEVELS).round().div(LEVELS).reshape(inputs.shape)


def run(subject: Subject, config: Config) -> Mapping[str, float | ScoreValue]:
    """Accuracy on test images that are changed, and how much of the clean one it loses."""
    probe = probe_of(subject, config, "robustness rows")
    labels = subject.labels("test")
    right_clean = (probe.probabilities(subject.features("test")).argmax(1) == labels).double()  # (N,)
    clean = float(right_clean.mean())
    right = {kind: torch.stack([_right(subject, probe, kind, strength) for strength in STRENGTHS]) for kind in KINDS}
    chance = majority_share(labels)
    _show(subject, {kind: each.mean(1).tolist() for kind, each in right.items()}, clean, chance)
    overall = torch.stack(list(right.values())).mean((0, 1))  # (N,) share of the 25 that are right
    scores: dict[str, float | ScoreValue] = {}
    scores |= {"accuracy": _mean(overall, chance, probe.note), "clean": _mean(right_clean, chance)}
    scores |= {kind: _mean(each.mean(0), chance) for kind, each in right.items()}
    if clean > 0:
        scores["relative_loss"] = (clean - float(overall.mean())) / clean
    return scores


def _mean(each: Tensor, chance: float, note: str = "") -> ScoreValue:
    """The score of test images (N,), one each."""
    return ScoreValue(value=float(each.mean()), chance=chance, note=note, outcomes=each)


def _right(subject: Subject, probe: LinearProbe, kind: str, strength: int) -> Tensor:
    """Is each test image classified right after this change? float64 (N,)."""
    generator = subject.generator(f"robustness {kind} {strength}")
    features = subject.batched(
        lambda images: subject.encode(corrupted(images, kind, strength, generator)), subject.inputs("test")
    )
    return (probe.probabilities(features).argmax(1) == subject.labels("test")).double()


def _show(subject: Subject, lines: Mapping[str, list[float]], clean: float, chance: float) -> None:
    subject.show_curves(
        "robustness",
        STRENGTHS,
        lines,
        "Accuracy, on test images that are changed, of a linear probe that was fitted on clean ones",
        levels={"clean": clean, "chance": chance},
        x_label="strength",
        y_label="accuracy",
        y_range=(0.0, 1.0),
        heading="Robustness",
        place=165,
    )
    few = subject.inputs("test").take(torch.arange(min(SHOWN, len(subject.inputs("test")))))
    seen = subject.spec.inputs.ready(few)  # (n,...)

    def row(kind: str) -> Tensor:
        changed = [corrupted(seen, kind, s, subject.generator(f"shown {kind} {s}")) for s in STRENGTHS]
        return torch.stack([seen, *changed], 1).flatten(0, 1)  # (6n,...)

    subject.show_images(
        "corruptions",
        torch.cat([row(kind) for kind in KINDS]),
        len(seen) * (1 + len(STRENGTHS)),
        "Test images as they are, then at strengths 1 to 5",
        row_names=tuple(KINDS),
        heading="Corruptions",
        place=166,
        shared=True,
    )


def _spec(name: str, text: str, **about: object) -> ScoreSpec:
    return ScoreSpec(name=name, unit="fraction", better="higher", low=0.0, high=1.0, help=text, **about)  # type: ignore[arg-type]


SCORES = (
    _spec(
        "accuracy",
        "test images classified right, mean over all kinds and strengths of change",
        primary=True,
        asks="Withstands corruption",
    ),
    _spec("clean", "the same of test images as they are", beside="accuracy", word="clean"),
    *(_spec(kind, f"the same, mean over the strengths of {kind}") for kind in KINDS),
    ScoreSpec(
        name="relative_loss",
        unit="fraction",
        better="lower",
        high=1.0,
        help="(clean - accuracy) / clean: the share of the clean accuracy that is lost",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="robustness",
        run=run,
        takes=("image", "video"),
        scores=SCORES,
        needs=("encode", "labels"),
        config=Config,
        on_request=True,
        source="after arXiv:1903.12261, section 4, with other kinds and strengths",
    )
