"""Rate: how many bits an image takes when its code is stored or sent, against what is left of the image.

A continuous code is quantised uniformly, q = round((z - mean) / step), clamped to the integers that training shows. The
steps are multiples of each dimension's own training deviation, or of one deviation for all dimensions (their root mean
square), since codes differ in which of the two costs less. Each dimension has its own distribution of q, counted in
training and smoothed by half a count for every integer in range; so does each position of a discrete code, smoothed by
what all positions show. The rate is the mean over test images of sum_l -log2 p_l(q_l): what an ideal entropy coder
sends. Decoder and distributions are at both ends and not counted.

bits            of the cheapest setting whose squared error is at most 1.05 times that of the unquantised code
psnr            -10 log10 mse there, in dB, with mse over all test images
compression_ratio  8 CHW / bits
psnr_at_budget  the best PSNR among the settings of at most `budget` bits for each value of an image: one number for
                methods whose codes differ in size. Chance: the mean training image, for no bits at all.

All settings are chosen on validation and judged on test. N images, C channels, H=W pixels, L code dimensions or
positions, A symbols.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.images import to_float
from harness.judging.codes import codes_of, decoded
from harness.metrics.features import drawn_rows
from harness.metrics.quantisation import (
    BLOCK,
    Coder,
    Point,
    best_within,
    cheapest,
    code_length,
    frontier,
    quantisers,
    symbol_costs,
)
from harness.metrics.similarity import SMALLEST_ERROR, squared_error
from harness.plugin import (
    EvaluationSpec,
    NotApplicable,
    ScoreSpec,
    ScoreValue,
    SplitName,
    Subject,
    TrainingFailed,
    hookimpl,
)

PNG_IMAGES = 200  # that the size of a PNG is measured on
LEAST_BITS = 0.01  # per image, so that a ratio stays finite


@dataclass(frozen=True, kw_only=True)
class Config:
    tolerance: float = 1.05  # largest squared error, as a multiple of that of the unquantised code
    budget: float = 0.25  # bits for each value of an image, of 8
    train_limit: int = 10_000  # training images used at most
    test_limit: int = 2_000  # test and validation images used at most, of each
    shown: int = 8  # images in a row of the picture

    def __post_init__(self) -> None:
        if self.tolerance < 1 or self.budget <= 0:
            raise ValueError("tolerance must be at least 1, budget positive")
        if min(self.train_limit, self.test_limit) < 2 or self.shown < 1:
            raise ValueError("train_limit and test_limit must be at least 2, shown at least 1")


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    if subject.has("symbols") and subject.has("reconstruct"):
        return discrete(subject, config)
    if subject.has("code") and subject.has("decode"):
        return continuous(subject, config)
    raise NotApplicable(f"{subject.cell.method.name} has no code to store: that takes code and decode, or symbols")


def drawn(subject: Subject, split: SplitName, limit: int) -> Tensor:
    """uint8 (N,C,H,W), at most `limit` of that split."""
    images = subject.inputs(split)
    return images.take(drawn_rows(len(images), limit, subject.generator(f"rate {split} rows")))


# Continuous codes. ----------------------------------------------------------------------------------------------------


def continuous(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    train = codes_of(subject, drawn(subject, "train", config.train_limit))  # (N,L)
    if float(train.std(0).max()) == 0:
        raise TrainingFailed("collapsed: every image has the same code")
    chooser, judged = (drawn(subject, split, config.test_limit) for split in ("validation", "test"))
    codes, test = codes_of(subject, chooser), codes_of(subject, judged)
    coders = quantisers(train, lambda codes: decoded(subject, codes))
    found = [coder().measured(codes, chooser) for coder in coders]
    allowed, budget = config.tolerance * _error(subject, codes, chooser), config.budget * judged[0].numel()
    near, within = cheapest(found, allowed), best_within(found, budget)
    points = {index: coders[index]().measured(test, judged) for index in {near, within, *frontier(found)}}
    ordered = sorted(points, key=lambda index: points[index].bits)
    _show(subject, [coders[index]() for index in _spread(ordered)], test, judged, config)
    against = points[near].error / max(_error(subject, test, judged), SMALLEST_ERROR)
    about = [
        f"step {points[near].title}" + ("" if found[near].error <= allowed else ", the finest: the error is larger"),
        f"{len(train[0])} dimensions, squared error {against:.3f} times that of the unquantised code",
        _png_note(judged),
        "rate and distortion: " + ", ".join(f"{points[i].bits:.4g} bits {points[i].psnr:.1f} dB" for i in ordered),
    ]
    affordable = points[within] if found[within].bits <= budget else None
    return _scores(points[near], affordable, judged, _guess(subject, judged, config), "; ".join(about))


def _error(subject: Subject, codes: Tensor, images: Tensor) -> float:
    """Mean squared error of the unquantised codes (N,L) of uint8 images."""
    parts = zip(codes.split(BLOCK), images.split(BLOCK), strict=True)
    return float(torch.cat([squared_error(to_float(truth), decoded(subject, part)) for part, truth in parts]).mean())


# Discrete codes. ------------------------------------------------------------------------------------------------------


def discrete(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    train, judged = drawn(subject, "train", config.train_limit), drawn(subject, "test", config.test_limit)
    fitted, symbols = symbols_of(subject, train), symbols_of(subject, judged)  # (N,L) each
    alphabet = int(max(fitted.max(), symbols.max())) + 1
    sizes = torch.full((fitted.shape[1],), alphabet)
    bits = float(code_length(symbol_costs(fitted, sizes, pooled=True), symbols).mean())
    parts = [subject.batched(subject.method.reconstruct, part).clamp(0, 1) for part in judged.split(BLOCK)]
    error = float(squared_error(to_float(judged), torch.cat(parts)).mean())
    point = Point(title="as it is", bits=bits, error=error)
    fixed = fitted.shape[1] * max(1, (alphabet - 1).bit_length())
    about = f"{fitted.shape[1]} symbols out of {alphabet}, {fixed} bits at a fixed length; {_png_note(judged)}"
    within = point if bits <= config.budget * judged[0].numel() else None
    return _scores(point, within, judged, _guess(subject, judged, config), about)


def symbols_of(subject: Subject, images: Tensor) -> Tensor:
    """uint8 (N,C,H,W) -> int64 (N,L) on the CPU. Raises TrainingFailed where that is no discrete code."""
    with torch.no_grad():
        parts = [subject.method.symbols(to_float(part.to(subject.device))).cpu() for part in images.split(BLOCK)]
    symbols = torch.cat(parts)
    if symbols.ndim != 2 or len(symbols) != len(images) or symbols.is_floating_point():
        raise TrainingFailed(
            f"symbols() gave {symbols.dtype} {tuple(symbols.shape)}, expected integers ({len(images)}, S)"
        )
    if int(symbols.min()) < 0:
        raise TrainingFailed("symbols() gave negative numbers, expected indices from 0")
    return symbols.long()


def png_bits(images: Tensor) -> float:
    """Mean size of uint8 images (N,C,H,W) as PNG files, each by itself, in bits."""
    from PIL import Image

    total = 0
    for image in images:
        pixels = image.permute(1, 2, 0).numpy()
        buffer = io.BytesIO()
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG", optimize=True)
        total += 8 * len(buffer.getvalue())
    return total / len(images)


# What is said of it. --------------------------------------------------------------------------------------------------


def _scores(point: Point, within: Point | None, images: Tensor, guess: Point, about: str) -> dict[str, ScoreValue]:
    raw, n = 8 * images[0].numel(), len(images)
    scores = {
        "bits": ScoreValue(value=point.bits, n=n, note=about),
        "psnr": ScoreValue(value=point.psnr, n=n, chance=guess.psnr, note=f"at {point.bits:.4g} bits"),
        "compression_ratio": ScoreValue(value=raw / max(point.bits, LEAST_BITS), n=n, note=f"{raw} bits uncompressed"),
    }
    if within is not None:
        note = f"at {within.bits:.4g} bits of {raw}, step {within.title}"
        scores["psnr_at_budget"] = ScoreValue(value=within.psnr, n=n, chance=guess.psnr, note=note)
    return scores


def _guess(subject: Subject, images: Tensor, config: Config) -> Point:
    """The mean training image in place of each of the images (N,C,H,W)."""
    mean = to_float(drawn(subject, "train", config.train_limit)).mean(0).expand(images.shape)
    return Point(title="mean image", bits=0.0, error=float(squared_error(to_float(images), mean).mean()))


def _png_note(images: Tensor) -> str:
    some = images[:PNG_IMAGES]
    return f"a PNG, lossless, takes {png_bits(some):.0f} bits and no compression {8 * images[0].numel()}"


def _spread(ordered: list[int], count: int = 5) -> list[int]:
    """At most `count` of them, the first and the last included."""
    places = torch.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().long().tolist()
    return [ordered[place] for place in places]


def _show(subject: Subject, coders: list[Coder], codes: Tensor, images: Tensor, config: Config) -> None:
    """Test images, and a row for each of the coders with what is left of them."""
    some, few = to_float(images[: config.shown]), codes[: config.shown]
    symbols = [coder.symbols(few) for coder in coders]
    rows = [coder.images(part) for coder, part in zip(coders, symbols, strict=True)]
    bits = [float(code_length(coder.costs, part).mean()) for coder, part in zip(coders, symbols, strict=True)]
    names: list[str] = ["original", *(f"{value:.3g} bits" for value in bits)]
    caption = "Test images, and what their codes decode to after quantisation; bits per image of this row"
    heading = "Detail against size of the code"
    subject.show_images(
        "rate", torch.cat([some, *rows]), len(some), caption, row_names=names, heading=heading, place=150
    )


SCORES = (
    ScoreSpec(
        name="psnr_at_budget",
        unit="dB",
        better="higher",
        low=0.0,
        high=100.0,
        primary=True,
        asks="Codes are short",
        help="PSNR of test images from a quarter of a bit per value; absent where a discrete code takes more.",
    ),
    ScoreSpec(
        name="bits",
        unit="bits",
        better="lower",
        low=0.0,
        help="Bits per image of the code at the fewest that keep its squared error within 1.05 of the unquantised one.",
    ),
    ScoreSpec(name="psnr", unit="dB", better="higher", low=0.0, high=100.0, help="PSNR of test images at those bits."),
    ScoreSpec(
        name="compression_ratio",
        unit="ratio",
        better="higher",
        low=0.0,
        help="Bits of an 8-bit image over those bits.",
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="rate",
        run=run,
        needs=(),  # code and decode, or symbols and reconstruct
        config=Config,
        scores=SCORES,
        source="uniform quantisation and entropy coding; half counts: Krichevsky and Trofimov 1981",
    )
