"""Latent: is the space of codes continuous, do its points decode to real-looking images, does it know the factors?

Interpolation, z(t) = z_a + t (z_b - z_a) between the codes of P pairs of test images, x_s = decode(z(s/S)), s = 0..S:
midpoint_precision the fraction of midpoints x_(S/2) that lie where the data is: no farther from some training image
                   than that one is from its fifth nearest other one, as in Kynkäänniemi et al. 2019, arXiv:1904.06991.
                   In the features of the in-domain extractor (in pixels, where the target has no labels). Chance: the
                   cross-fade (x_0 + x_S)/2 of the two reconstructions, what a linear decoder gives.
midpoint_distance  mean distance of midpoints to the nearest training image, over that of real test images.
midpoint_cost      the same over that of the reconstructions x_0 and x_S: what interpolation adds to their error. A
                   decoder that hardly heeds its code gets 1 here, so this ranks nothing.
largest_step       max_s |x_(s+1) - x_s| over their mean, in pixels: 1 is even motion and S one jump, which a path that
                   is not continuous tends to. A decoder that is nearly linear comes near 1 without real midpoints.
path_length        sum_s |x_(s+1) - x_s| over |x_S - x_0|: 1 is a cross-fade of pixels, more is a detour, e.g. a shape
                   that moves. So neither is better.

With factors, mig, dci_* and sap: see harness.metrics.disentanglement. With factors that can be read back from pixels,
attribute_changed and attribute_changed_alone: see harness.metrics.attribute_arithmetic.

N images, C channels, H=W pixels, L code dimensions, P pairs, S steps, F factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.data.columns import InMemory
from harness.data.images import to_float, to_uint8
from harness.data.rows import Rows
from harness.judging.codes import codes_of, decoded, decoded_paths
from harness.judging.in_domain import in_domain_extractor
from harness.metrics.attribute_arithmetic import Edits, edit_factor
from harness.metrics.disentanglement import dci, mutual_information_gap, separated_attribute_predictability
from harness.metrics.features import drawn_rows
from harness.metrics.neighbours import nearest, squared_radii
from harness.metrics.paths import share_in_reach, step_evenness
from harness.plugin import EvaluationSpec, ScoreSpec, ScoreValue, Subject, hookimpl

NEIGHBOURS = 5  # the one that sets the radius of a training image
LOW, HIGH = 0.02, 0.98  # quantiles of the training codes between which a dimension is varied
EDITS_SHOWN = 8  # images in the picture of attribute arithmetic


@dataclass(frozen=True, kw_only=True)
class Config:
    pairs: int = 256  # P, of test images, fewer where the test split is smaller
    steps: int = 16  # S, even
    train_limit: int = 5_000  # training images used at most
    test_limit: int = 2_000  # test images used at most
    fitted: int = 2_000  # training codes that classifiers of factors are fitted to, at most
    edits: int = 500  # test images at most that are asked for another value, for each factor
    dimensions: int = 8  # rows of the traversal
    shown: int = 9  # images in a row of the traversal

    def __post_init__(self) -> None:
        if self.steps < 2 or self.steps % 2:
            raise ValueError("steps must be even and at least 2: the midpoint is one of them")
        if min(self.pairs, self.edits, self.dimensions) < 1 or self.shown < 2:
            raise ValueError("pairs, edits and dimensions must be at least 1, shown at least 2")
        if min(self.train_limit, self.test_limit, self.fitted) < 2:
            raise ValueError("train_limit, test_limit and fitted must be at least 2")


@dataclass(frozen=True, kw_only=True)
class Coded:
    """Rows of a split with their codes (N,L)."""

    rows: Rows
    codes: Tensor

    def known(self, columns: list[int]) -> tuple[Tensor, Tensor]:
        assert self.rows.factors is not None, "only a target with factors is asked for them"
        return self.codes, self.rows.factors[:, columns]

    def first(self, n: int) -> Coded:
        index = torch.arange(min(n, len(self.codes)))
        return Coded(rows=self.rows.rows(index), codes=self.codes[index])


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    train = _coded(subject, subject.target.train, config.train_limit, "training")
    test = _coded(subject, subject.target.test, config.test_limit, "test")
    scores = interpolation(subject, train, test, config)
    show_traversal(subject, train.codes, test, config)
    if subject.target.spec.factors and test.rows.factors is not None:
        scores |= disentangled(subject, train.first(config.fitted), test)
        if subject.target.read_factors is not None:
            scores |= arithmetic(subject, train, test.first(config.edits))
    return scores


def _coded(subject: Subject, split: Rows, limit: int, which: str) -> Coded:
    """Rows drawn from the split in an order of their own, so that the first of them are a draw as well."""
    generator = subject.generator(f"latent {which} rows")
    rows = drawn_rows(len(split), limit, generator, split.labels)
    chosen = split.rows(rows[torch.randperm(len(rows), generator=generator)])
    chosen = replace(chosen, inputs=InMemory(chosen.values))  # read once
    return Coded(rows=chosen, codes=codes_of(subject, chosen.values))


# Interpolation. -------------------------------------------------------------------------------------------------------


def interpolation(subject: Subject, train: Coded, test: Coded, config: Config) -> dict[str, ScoreValue]:
    pairs = min(config.pairs, len(test.codes) // 2)
    ends = test.first(2 * pairs)
    paths = decoded_paths(subject, ends.codes[:pairs], ends.codes[pairs:], config.steps)  # (P,S+1,C,H,W)
    largest, length = step_evenness(paths)
    start, end = paths[:, 0], paths[:, -1]
    images = {
        "midpoints": paths[:, config.steps // 2],
        "cross-fades": (start + end) / 2,
        "reconstructions": torch.cat([start, end]),
        "test images": to_float(ends.rows.values),
    }
    return {
        "largest_step": ScoreValue(value=largest, n=pairs, note=f"of {config.steps} steps"),
        "path_length": ScoreValue(value=length, n=pairs, note=f"in {config.steps} steps"),
        **realism(subject, images, train.rows.values, pairs),
    }


def realism(subject: Subject, images: dict[str, Tensor], train: Tensor, pairs: int) -> dict[str, ScoreValue]:
    """The three midpoint scores, of images (N,C,H,W) in [0,1] by what they are and uint8 training images (M,C,H,W)."""
    embed, space = _image_space(subject)
    data = embed(train)
    points = {name: embed(to_uint8(part)) for name, part in images.items()}
    radii = squared_radii(data, min(NEIGHBOURS, len(data) - 1))
    inside = {name: share_in_reach(part, data, radii) for name, part in points.items()}
    away = {name: float(nearest(part, data)[0].mean()) for name, part in points.items()}

    def score(values: dict[str, float], unit: float) -> ScoreValue:
        of = {name: value / unit for name, value in values.items()}
        beside = ", ".join(f"{name} {value:.3g}" for name, value in of.items() if name != "midpoints")
        note = f"{beside}; {space}, {len(data)} training images"
        return ScoreValue(value=of["midpoints"], n=pairs, chance=of["cross-fades"], note=note)

    scores = {"midpoint_precision": score(inside, 1.0)}
    if away["test images"] > 0:
        scores["midpoint_distance"] = score(away, away["test images"])
    if away["reconstructions"] > 0:
        scores["midpoint_cost"] = score(away, away["reconstructions"])
    return scores


def _image_space(subject: Subject) -> tuple[Callable[[Tensor], Tensor], str]:
    """Where distances between images are taken: a map from uint8 (N,C,H,W) to (N,F), and its name."""
    if subject.target.train.labels is None:
        return lambda images: to_float(images).double().flatten(1), "pixels"
    extractor = in_domain_extractor(subject)
    return extractor, str(extractor)


# Traversal. -----------------------------------------------------------------------------------------------------------


def show_traversal(subject: Subject, train: Tensor, test: Coded, config: Config) -> None:
    """A row for each of the dimensions that change this image most, from its low to its high training quantile."""
    code = test.codes[0]  # (L,)
    low, high = quantiles(train, LOW), quantiles(train, HIGH)  # (L,)
    chosen = most_active(subject, code, low, high)[: config.dimensions]
    values = torch.lerp(low[:, None], high[:, None], torch.linspace(0, 1, config.shown))  # (L,shown)
    varied = code.repeat(len(chosen), config.shown, 1)  # (rows,shown,L)
    for row, dimension in enumerate(chosen.tolist()):
        varied[row, :, dimension] = values[dimension]
    caption = (
        f"Each row varies one of {len(code)} code dimensions of one test image, from its {LOW:.0%} to its {HIGH:.0%} "
        "quantile in training; those first that change the image most"
    )
    names = [f"dimension {dimension}" for dimension in chosen.tolist()]
    subject.show_images(
        "traversal",
        decoded(subject, varied.flatten(0, 1)),
        config.shown,
        caption,
        row_names=names,
        heading="Traversal: one part of the code at a time",
        place=80,
    )


def quantiles(codes: Tensor, level: float) -> Tensor:
    """The value of each dimension of (N,L) below which that fraction of the codes lies, without interpolation: (L,)."""
    return codes.sort(0).values[round(level * (len(codes) - 1))]


def most_active(subject: Subject, code: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """All dimensions, the one first whose way from `low` to `high`, each (L,), changes the image of the code most."""
    both = code.repeat(2, len(code), 1)  # (2,L,L)
    both[0].diagonal().copy_(low)
    both[1].diagonal().copy_(high)
    first, second = (decoded(subject, part) for part in both)
    return (first - second).square().flatten(1).sum(1).argsort(descending=True, stable=True)


# Factors. -------------------------------------------------------------------------------------------------------------


def disentangled(subject: Subject, train: Coded, test: Coded) -> dict[str, ScoreValue]:
    """MIG, SAP and DCI over the factors that vary, each with its value for every factor where it has one."""
    columns = _varying(train, test)
    if not columns:
        return {}
    fitted, judged = train.known(columns), test.known(columns)
    names = [subject.target.spec.factors[column].name for column in columns]
    gaps = mutual_information_gap(*judged)
    predictability = separated_attribute_predictability(fitted, judged)
    shared = dci(fitted, judged)
    n, rows = len(judged[0]), f"fitted to {len(fitted[0])} training codes"
    return {
        "mig": ScoreValue(value=float(gaps.mean()), n=n, note=_by_factor(names, gaps)),
        "sap": ScoreValue(value=float(predictability.mean()), n=n, note=f"{_by_factor(names, predictability)}; {rows}"),
        "dci_disentanglement": ScoreValue(value=shared.disentanglement, n=n, note=rows),
        "dci_completeness": ScoreValue(value=shared.completeness, n=n, note=rows),
        "dci_informativeness": ScoreValue(value=shared.informativeness, n=n, note=rows),
    }


def _varying(train: Coded, test: Coded) -> list[int]:
    """The columns of the factors that have two values at least in both."""
    assert train.rows.factors is not None
    assert test.rows.factors is not None
    both = (train.rows.factors, test.rows.factors)
    return [column for column in range(both[0].shape[1]) if all(len(each[:, column].unique()) > 1 for each in both)]


def _by_factor(names: list[str], values: Tensor) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(names, values.tolist(), strict=True))


def arithmetic(subject: Subject, train: Coded, test: Coded) -> dict[str, ScoreValue]:
    """Ask test images for another value of each factor, and read back what came of it."""
    read = subject.target.read_factors
    assert read is not None, "only a target whose factors can be read is asked for edits"
    factors = list(range(len(subject.target.spec.factors)))
    fitted, judged = train.known(factors), test.known(factors)
    rebuilt = to_uint8(decoded(subject, test.codes))
    found = read(rebuilt)  # (N,F)
    generator = subject.generator("latent edits")

    def decode(codes: Tensor) -> Tensor:
        return to_uint8(decoded(subject, codes))

    tried = (edit_factor(factor, fitted, judged, found, decode, read, generator) for factor in factors)
    edits = [edit for edit in tried if edit is not None]
    if not edits:
        return {}
    show_edits(subject, rebuilt, edits)
    right = float((found == judged[1]).all(1).double().mean())
    n = sum(len(edit.rows) for edit in edits)
    names = [subject.target.spec.factors[edit.factor].name for edit in edits]

    def score(value: str, chance: str) -> ScoreValue:
        each = torch.tensor([getattr(edit, value) for edit in edits])
        base = sum(getattr(edit, chance) for edit in edits) / len(edits)
        note = f"{_by_factor(names, each)}; unedited {base:.2f}; all factors right in {right:.2f} of reconstructions"
        return ScoreValue(value=float(each.mean()), n=n, chance=base, note=note)

    return {
        "attribute_changed": score("changed", "before"),
        "attribute_changed_alone": score("changed_alone", "before_alone"),
    }


def show_edits(subject: Subject, rebuilt: Tensor, edits: list[Edits]) -> None:
    """Reconstructions of some test images, and below a row for each factor that was changed in them."""
    in_all = [row for row in range(len(rebuilt)) if all(bool((edit.rows == row).any()) for edit in edits)]
    shown = torch.tensor(in_all[:EDITS_SHOWN], dtype=torch.int64)
    if len(shown) == 0:
        return
    rows = [rebuilt[shown], *(edit.images[torch.searchsorted(edit.rows, shown)] for edit in edits)]
    names = ["reconstructed", *(f"other {subject.target.spec.factors[edit.factor].name}" for edit in edits)]
    caption = "Reconstructions of test images; below, their codes moved to another value of one factor, and decoded"
    subject.show_images(
        "arithmetic",
        to_float(torch.cat(rows)),
        len(shown),
        caption,
        row_names=names,
        heading="Arithmetic with codes",
        place=90,
    )


SCORES = (
    ScoreSpec(
        name="midpoint_precision",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=True,
        help="Decoded midpoints of pairs of test images that lie where training images do; chance is a cross-fade.",
    ),
    ScoreSpec(
        name="midpoint_distance",
        unit="ratio",
        better="lower",
        low=0.0,
        help="Distance of decoded midpoints to the nearest training image over that of real test images; chance is a "
        "cross-fade.",
    ),
    ScoreSpec(
        name="midpoint_cost",
        unit="ratio",
        better="lower",
        low=0.0,
        help="Distance of decoded midpoints to the nearest training image over that of reconstructions.",
    ),
    ScoreSpec(
        name="largest_step",
        unit="ratio",
        better="lower",
        low=1.0,
        help="Largest over mean pixel step along a straight path between two codes: 1 is even motion, S one jump.",
    ),
    ScoreSpec(
        name="path_length",
        unit="ratio",
        better="none",
        low=1.0,
        help="Length in pixels of the path between two reconstructions over their distance: 1 is a cross-fade.",
    ),
    *(
        ScoreSpec(name=name, unit="fraction", better="higher", low=0.0, high=1.0, help=text)
        for name, text in (
            ("attribute_changed", "Codes moved to another value of a factor whose image shows that value."),
            ("attribute_changed_alone", "Those whose other factors are also still as they were."),
            ("mig", "Mutual information gap: how much more one dimension tells of a factor than the next does."),
            ("sap", "Gap of balanced accuracy between the two dimensions that best tell a factor by thresholds."),
            ("dci_disentanglement", "How nearly each dimension serves one factor only."),
            ("dci_completeness", "How nearly each factor is held by one dimension only."),
            ("dci_informativeness", "Accuracy of a random forest that reads factors from the code."),
        )
    ),
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="latent",
        run=run,
        needs=("code", "decode"),
        config=Config,
        scores=SCORES,
        source="interpolation and arithmetic: Radford et al. 2016, arXiv:1511.06434; MIG: arXiv:1802.04942; "
        "SAP: arXiv:1711.00848; DCI: Eastwood and Williams 2018",
    )
