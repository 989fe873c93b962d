"""Collapse, seen while a method trains: all representations nearly one, or along one direction, or not finite.

Labels are not looked at. Of methods that learn from labels or captions one direction is no fault: two classes need no
more. A collapse that the head takes on itself while the representation stays varied is not seen.

N examples, D features.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from harness.clock import Clock
from harness.data.columns import InMemory, all_values
from harness.data.fields import PLURALS
from harness.data.rows import Dataset
from harness.errors import TrainingFailed
from harness.judging.diagnosis import EARLIEST
from harness.judging.observing import Encoder
from harness.metrics.features import drawn_rows, normalised, standardised
from harness.metrics.geometry import effective_dimension
from harness.records import Information
from harness.seeding import derived_generator

LOOKED_AT = 256  # validation examples
MOMENTS = 10  # at most
IN_A_ROW = 2  # observations that must agree before training has ended

# Measured with these two numbers (variation, dimension) on digits, shapes[size=16] and Fashion-MNIST, all and two
# classes of them, after 300 to 700 steps. Before training: variation 0.08 to 0.55 (sigmoid codes 0.004 to 0.008),
# dimension 2.5 to 23.
#   sound     autoencoders, vae, vq-vae, gan, rotation, jigsaw, byol, simsiam, dino: dimension 1.9 (sparse-autoencoder,
#             two classes of clothes), 2.7 (vq-vae on shapes) and more; variation 0.27 and more, or with dimension 5 and
#             more: rotation[turns=2] 0.093, wgan-gp 0.085. Before step 100 autoencoders know the brightness alone:
#             dimension 1.1 to 1.6, and growing.
#   collapsed two views drawn together and nothing else, by cosine: 0.002 to 0.015, dimension 1.1 to 1.2; by distance,
#             0.011 and 0; one target for all images: 0.0055; a small network with BatchNorm: dimension 1.0; a teacher
#             of one answer, on a linear head: 0.11, dimension 1.5 to 2.4.
#   not seen  what its head takes on, 0.45 to 0.6 and dimension 1.9 to 4.3: two classes look the same to these numbers.
CONSTANT = 1e-3  # variation: nearly one representation, whatever it was before
NEARLY_CONSTANT, OF_BEFORE = 0.03, 0.1  # nearly one: less than this, and less than that fraction of before
NARROW, OF_EXCESS = 1.4, 0.5  # dimension: one direction, if of those beside the first less than half is left
NARROW_IF_FALLEN, FALLEN = 2.5, 0.5  # the same, where variation is less than half of before
WIDENING = 1.25  # growth of the dimensions beside the first since the last look that shows learning
MEND = "lower train.learning_rate, or look at what keeps views of different examples apart"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How representations (N,D) lie in space."""

    features: int  # D
    finite: bool = True
    variation: float = 0.0  # see `variation_of`: the smaller one of the features as they are, and on the unit sphere
    dimension: float = 0.0  # effective: the larger one of the features as they are, and of each with deviation 1

    @property
    def excess(self) -> float:
        """Dimensions beside the first."""
        return max(0.0, self.dimension - 1)


def shape_of(features: Tensor) -> Shape:
    """Of the representations (N,D) of different examples."""
    if not bool(torch.isfinite(features).all()):
        return Shape(features=features.shape[1], finite=False)
    values = features.double()
    variation = variation_of(values)
    if values.shape[1] > 1:  # on a line, the sphere is two points
        variation = min(variation, variation_of(normalised(values)))
    dimension = max(effective_dimension(values), effective_dimension(*standardised(values)))
    return Shape(features=values.shape[1], variation=variation, dimension=dimension)


def variation_of(features: Tensor) -> float:
    """Root mean square distance of (N,D) from their mean, as a fraction of their root mean square length: in [0,1].

    >>> round(variation_of(torch.tensor([[3.0], [5.0]])), 3)  # a deviation of 1, of a length of 17 ** 0.5
    0.243
    """
    length = features.square().sum(1).mean()
    return float(((features - features.mean(0)).square().sum(1).mean() / length).sqrt()) if length > 0 else 0.0


def collapse(now: Shape, before: Shape, *, may_be_one: bool, last: Shape | None = None) -> str:
    """What is wrong with representations that were shaped like `before` untrained, or "".

    last: how they were shaped when looked at last. may_be_one: may they rightly lie along one direction?
    """
    if not now.finite:
        return "the representation has values that are not finite"
    fell = now.variation < min(NEARLY_CONSTANT, OF_BEFORE * before.variation)
    if now.variation < CONSTANT or fell:
        return (
            f"all representations are nearly one (they vary by {now.variation:.2g} of their length, "
            f"{before.variation:.2g} before training)"
        )
    falling = now.variation < FALLEN * before.variation
    narrow = now.dimension < (NARROW_IF_FALLEN if falling else NARROW)
    widening = last is not None and now.excess > WIDENING * last.excess
    if not may_be_one and narrow and not widening and now.excess < OF_EXCESS * before.excess:
        return (
            f"all representations lie along one direction (effective dimension {now.dimension:.1f} of {now.features}, "
            f"{before.dimension:.1f} before training)"
        )
    return ""


class CollapseWatch:
    """`look(clock)` raises TrainingFailed once a collapse is seen twice in a row, or at the end of training."""

    def __init__(self, encoder: Encoder, source: Dataset, uses: Collection[Information], *, seed: int) -> None:
        self.encoder = encoder
        self.kind = source.spec.kind
        self.may_be_one = bool({"labels", "captions"} & set(uses))
        rows = drawn_rows(len(source.validation), LOOKED_AT, derived_generator(seed, "collapse"))
        self.inputs = InMemory(all_values(source.validation.rows(rows).inputs))
        self.before: Shape | None = None
        self.last: Shape | None = None
        self.seen = 0

    def look(self, clock: Clock) -> None:
        """Compare with what was seen before training; too few steps are not looked at."""
        if clock.steps == 0:
            short = clock.steps_limit is not None and clock.steps_limit < EARLIEST
            self.before = None if short else self._shape()
        elif self.before is not None and clock.steps >= EARLIEST:
            shape = self._shape()
            reason = collapse(shape, self.before, may_be_one=self.may_be_one, last=self.last) if shape else ""
            self.last = shape
            self.seen = self.seen + 1 if reason else 0
            if self.seen >= IN_A_ROW or (reason and clock.done >= 1):
                raise TrainingFailed(f"collapsed after {self._when(clock)}: {reason}; {MEND}")

    def state(self) -> dict[str, Any]:
        """What it has seen: what `restore` takes."""
        shapes = {"before": self.before, "last": self.last}
        return {"seen": self.seen, **{name: asdict(each) if each else None for name, each in shapes.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what another watch of the same training has seen."""
        self.seen = state["seen"]
        self.before, self.last = (Shape(**state[name]) if state[name] else None for name in ("before", "last"))

    def _shape(self) -> Shape | None:
        """None where `encode` fails: whoever judges by it says so, and other judgements go on."""
        try:
            return shape_of(self.encoder.features(self.inputs))
        except TrainingFailed:
            return None

    def _when(self, clock: Clock) -> str:
        """`30000 of 100000 images`, or the seconds of a budget in seconds."""
        if clock.steps_limit is None:
            return f"{clock.seconds:.0f} of {clock.budget.amount:g} seconds"
        return f"{clock.examples} of {clock.steps_limit * clock.batch_size} {PLURALS[self.kind]}"
