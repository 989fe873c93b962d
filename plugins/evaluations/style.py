"""Style transfer: does the result have the statistics of the style image, and the structure of the content image?

Both are measured in the convolutions of the in-domain classifier (without labels, of the label-free encoder), which no
method has trained on. Style distance: of the channel means and standard deviations of all layers. Content distance: of
the last layer's self-similarity, which tells where an image is alike, whatever it is made of. Both are relative to the
distance between the content and the style image: a copy of the content has style distance 1 and content distance 0, a
copy of the style the reverse. `transfer` is the harmonic mean of what is reached of both, 0 for either copy.

N pairs of images, C channels, H=W pixels, L layers with c maps of h=w places.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.images import to_float, to_uint8
from harness.judging.extractor import Extractor
from harness.judging.feature_spaces import extractor_named, has_labels
from harness.metrics.classification import accuracy
from harness.plugin import EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, TrainingFailed, hookimpl

SMALLEST_SPREAD = 1e-6  # a map that spreads less over its places has no structure


@dataclass(frozen=True, kw_only=True)
class Config:
    n: int = 500  # pairs of test images; fewer where the test split is smaller
    shown: int = 5  # content images, and style images, in the picture

    def __post_init__(self) -> None:
        if self.n < 2 or self.shown < 1:
            raise ValueError("n must be at least 2 and shown at least 1")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    extractor = extractor_named("in-domain", subject)
    images = subject.inputs("test")
    chosen = torch.randperm(len(images), generator=subject.generator("style pairs"))[: config.n]
    content = images.take(chosen)  # uint8 (N,C,H,W)
    style = content.roll(1, 0)
    made = stylised(subject, content, style)
    maps = [extractor.maps(part) for part in (made, content, style)]
    reached = relative_style_distance(*maps)
    kept = relative_content_distance(*(layers[-1] for layers in maps))
    show(subject, content[: 2 * config.shown])
    n, judge = len(chosen), f"maps of the {extractor}"
    values = {
        "transfer": ScoreValue(value=harmonic_mean(1 - reached, 1 - kept), n=n, note=f"0 for either copy; {judge}"),
        "style_distance": ScoreValue(value=reached, n=n, note="content copied 1, style copied 0"),
        "content_distance": ScoreValue(value=kept, n=n, note="content copied 0, style copied 1"),
    }
    if has_labels(subject):
        values["label_kept"] = label_kept(extractor, subject.labels("test")[chosen], made, content, style)
    return values


def label_kept(extractor: Extractor, labels: Tensor, made: Tensor, content: Tensor, style: Tensor) -> ScoreValue:
    """In which share of the images made is the class of the content seen? labels (N,) are those of the contents."""
    right, copied, other = (accuracy(extractor.predicted(images), labels) for images in (made, content, style))
    note = f"content copied {copied:.3f}, style copied {other:.3f}"
    return ScoreValue(value=right, n=len(labels), note=note)


def stylised(subject: Subject, content: Tensor, style: Tensor) -> Tensor:
    """uint8 (N,C,H,W) twice -> the contents in the styles, uint8. Raises TrainingFailed if that is no image."""

    def both(pairs: Tensor) -> Tensor:
        one, two = pairs.chunk(2, dim=1)  # (B,C,H,W) each
        return subject.method.stylise(one, two)

    made = subject.batched(both, torch.cat([content, style], dim=1))
    if made.shape != content.shape:
        raise TrainingFailed(f"stylise() gave {tuple(made.shape)}, expected {tuple(content.shape)}")
    if not torch.isfinite(made).all():
        raise TrainingFailed("stylise() gave values that are not finite")
    return to_uint8(made)


def statistics(maps: Tensor) -> Tensor:
    """Mean and standard deviation over the places of each map: (N,c,h,w) -> (N,2c)."""
    places = maps.flatten(2)
    return torch.cat([places.mean(2), places.std(2, correction=0)], dim=1)


def relative_style_distance(made: list[Tensor], content: list[Tensor], style: list[Tensor]) -> float:
    """Mean over layers of: distance of the statistics to those of the style, over that of the content to the style.

    Both are Euclidean distances, averaged over pairs. Source: Huang and Belongie 2017, arXiv:1703.06868, eq. 13.
    """
    ratios = []
    for now, before, wanted in zip(made, content, style, strict=True):
        target = statistics(wanted)
        now_far, before_far = ((statistics(maps) - target).norm(dim=1).mean() for maps in (now, before))
        ratios.append(_ratio(float(now_far), float(before_far), "style"))
    return sum(ratios) / len(ratios)


def self_similarity(maps: Tensor) -> Tensor:
    """Cosines between what lies at any two places, less the mean of all places: (N,c,h,w) -> (N,h*w,h*w).

    So it tells where an image is alike and where not, and hardly what it is made of. Source: Kolkin et al. 2019,
    arXiv:1904.12785, section 2.2. Differs from the paper: centred, one layer, and similarities are not normalised.
    """
    places = maps.flatten(2)  # (N,c,h*w)
    directions = torch.nn.functional.normalize(places - places.mean(2, keepdim=True), dim=1)
    return directions.transpose(1, 2) @ directions


def relative_content_distance(made: Tensor, content: Tensor, style: Tensor) -> float:
    """Distance of self-similarities from the content's (Frobenius, mean over pairs), over that of the style image."""
    wanted = self_similarity(content)
    now_far, before_far = (
        float((self_similarity(maps) - wanted).flatten(1).norm(dim=1).mean()) for maps in (made, style)
    )
    return _ratio(now_far, before_far, "content")


def _ratio(now: float, before: float, what: str) -> float:
    if before <= SMALLEST_SPREAD:
        raise NotApplicable(f"all test images have the same {what}: there is nothing to transfer")
    return now / before


def harmonic_mean(one: float, two: float) -> float:
    """2ab / (a + b), where anything below 0 counts as 0.

    >>> harmonic_mean(0.5, 1.0), harmonic_mean(-0.5, 1.0)
    (0.6666666666666666, 0.0)
    """
    one, two = max(one, 0.0), max(two, 0.0)
    return 2 * one * two / (one + two) if one + two else 0.0


def show(subject: Subject, images: Tensor) -> None:
    """A table: styles in the first row, contents in the first column, one in the style of the other where they meet."""
    contents, styles = images.chunk(2)
    pairs = stylised(subject, contents.repeat_interleave(len(styles), 0), styles.repeat(len(contents), 1, 1, 1))
    corner = images.new_full((1, *images.shape[1:]), 255)
    rows = [torch.cat([corner, styles])]
    rows += [torch.cat([one[None], made]) for one, made in zip(contents, pairs.split(len(styles)), strict=True)]
    subject.show_images(
        "stylised",
        to_float(torch.cat(rows)),
        len(styles) + 1,
        "Content images in the first column, each in the styles of the images in the first row",
        heading="Style transfer",
        place=130,
    )


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="style",
        run=run,
        needs=("stylise",),
        config=Config,
        source="Statistics: Huang and Belongie 2017, arXiv:1703.06868, section 6.1; relative distances: this project",
        scores=(
            ScoreSpec(
                name="transfer",
                unit="fraction",
                better="higher",
                low=0.0,
                high=1.0,
                primary=True,
                asks="Takes on a style",
                help="Harmonic mean of 1 - style_distance and 1 - content_distance; 0 for a copy of either image.",
            ),
            ScoreSpec(
                name="style_distance",
                unit="ratio",
                better="lower",
                low=0.0,
                help="Distance of channel statistics to the style, over that of the content image; 0: fully reached.",
            ),
            ScoreSpec(
                name="content_distance",
                unit="ratio",
                better="lower",
                low=0.0,
                help="Distance of self-similarity to the content, over that of the style image; 0: fully kept.",
            ),
            ScoreSpec(
                name="label_kept",
                unit="fraction",
                better="higher",
                low=0.0,
                high=1.0,
                help="Fraction of results in which the in-domain classifier sees the class of the content.",
            ),
        ),
    )
