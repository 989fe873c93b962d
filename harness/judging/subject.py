"""What an evaluation gets to judge: a frozen method, a target, and everything that is shared between evaluations.

N images, C channels, H=W pixels, D features.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.answers import AMONG, company_fault, features_fault
from harness.data.batches import Batch, batch_of
from harness.data.columns import Column, blocks, column_of
from harness.data.fewer import with_fewer_labels
from harness.data.fields import PLURALS, DataKind
from harness.data.images import to_uint8
from harness.data.rows import Dataset, Rows, condition_of, joined
from harness.errors import NotApplicable, TrainingFailed
from harness.judging.gallery import Gallery
from harness.judging.handed import Handed
from harness.judging.readouts import Readout, choose_readout
from harness.labels import Labels
from harness.nn.backbone import Backbone
from harness.optimisation import Optimisation
from harness.plugin.capabilities import capabilities_of
from harness.precision import autocast
from harness.records import Cell, Information, Picture, PluginRef, SplitName
from harness.seeding import derived_generator

ENCODING_BATCH = 512
SAMPLED = 256  # images drawn at once
COMPANY_TOLERANCE = 1e-2  # of the largest feature: what TF32 and the kernels of other batch sizes round stays below


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Images of a method, and the rows whose labels or captions were asked for, if any."""

    images: Tensor  # uint8 (N,C,H,W) on the CPU
    asked: Rows | None = None


class Subject:
    """One trained method on one target. Representations are extracted once per split and shared by all evaluations."""

    def __init__(
        self,
        *,
        method: nn.Module,
        cell: Cell,
        source: Dataset,
        learned_from: Rows,
        target: Dataset,
        artifacts: Path,
        cache: Path,
        fingerprint: str,
        uses: tuple[Information, ...] = (),
        read: Callable[[PluginRef], Dataset] | None = None,
        untrained: Callable[[], nn.Module] | None = None,
        new_backbone: Callable[[str], Backbone] | None = None,
    ) -> None:
        self.method: Any = method.eval().requires_grad_(False)  # a module with methods of harness.plugin.capabilities
        self.cell = cell
        self.spec = source.spec  # what the method was built for
        self.source = source
        self.uses = uses  # what the method sees beside inputs
        self.learned_from = learned_from  # rows of the source, with what the method saw of them and nothing else
        self.target = target  # already of the source's size and channels
        self.device = torch.device(cell.device)
        self.cache = cache  # a folder for what may be kept between runs, e.g. feature extractors
        self.target_fingerprint = fingerprint
        self.new_backbone = new_backbone  # purpose -> the backbone of the cell, as it is before training
        self.gallery = Gallery(artifacts, target.spec.classes, f"{fingerprint} {cell.seed}")
        self.show_images, self.show_film = self.gallery.show_images, self.gallery.show_film
        self.show_points, self.show_curves = self.gallery.show_points, self.gallery.show_curves
        self.show_matrix, self.show_texts = self.gallery.show_matrix, self.gallery.show_texts
        self.keep_features = self.gallery.keep_features
        self.handed = Handed()  # what is shared between evaluations, which none may write into
        self._read = read  # a dataset as the source's inputs are
        self._untrained = untrained  # the method as it was built
        self._others: tuple[PluginRef, ...] = ()
        self._features: dict[SplitName, Tensor] = {}
        self._tested: dict[str, Tensor] = {}  # features of the test split by readout, shared with `with_labels`
        self._samples: list[Sampled] = []
        self._sampling = derived_generator(cell.seed, "evaluation", source.name, "samples")

    def begin(self, artifacts: Path, others: tuple[PluginRef, ...] = ()) -> None:
        """Start an evaluation: its pictures go to a folder of its own, and it reads the datasets `others`."""
        self.gallery.begin(artifacts)
        self._others = others

    @property
    def pictures(self) -> list[Picture]:
        """What this evaluation has shown so far."""
        return self.gallery.pictures

    @property
    def others(self) -> dict[str, Dataset]:
        """The datasets that the spec of this evaluation reads beside the target, by what a request calls them.

        They have the splits of the cell's seed, and the source's size and channels, as the target has.
        """
        assert self._read is not None or not self._others, "a subject without a run reads no other datasets"
        return {str(ref): self._read(ref) for ref in self._others if self._read}

    def untrained(self) -> nn.Module:
        """The method as it was before training, built anew from the same seed: on the device, frozen.

        Raises NotApplicable where it is not known how it was built.
        """
        if self._untrained is None:
            raise NotApplicable("it is not known how the method was built")
        return self._untrained().to(self.device).eval().requires_grad_(False)

    def with_labels(self, labels: Labels) -> Subject:
        """The same method on the same target with a part of the labels, of training and of validation alike.

        Rows without a label are not there: a readout is chosen, and features are encoded, from those that are left.
        Raises NotApplicable where there is no such part.
        """
        if labels.all:
            return self
        fewer = copy.copy(self)
        fewer.__dict__.pop("readout", None)
        fewer.target = with_fewer_labels(self.target, labels, self.cell.seed)
        fewer._features = {}
        return fewer

    def has(self, capability: str) -> bool:
        """Can the method do this? See harness.plugin.capabilities."""
        return capability in capabilities_of(self.method)

    @property
    def knows_validation(self) -> bool:
        """Did the method learn from the target's validation rows (`train.validation`)? Then nothing is chosen on them.

        A target of the source's plugin counts as the source, whatever its parameters: the rows may be the same.
        """
        able = capabilities_of(self.method)
        learns = "fit" in able or (
            bool(able & {"loss", "turns"}) and self.cell.budget is not None and self.cell.budget.amount > 0
        )
        return self.cell.train.validation and learns and self.source.name == self.target.name

    def _rows(self, split: SplitName) -> Rows:
        """The rows of a split of the target. Raises NotApplicable for validation rows that the method learned from."""
        if split == "validation" and self.knows_validation:
            raise NotApplicable(f"it chooses on validation rows, which {self.cell.method.name} learned from too")
        return self.target.split(split)

    def inputs(self, split: SplitName) -> Column:
        """The inputs of a split as a column, which may be in files: `batched` walks it in blocks, `take(rows)` reads
        some of it.
        """
        return self._rows(split).inputs

    def seen(self, split: SplitName) -> Rows:
        """The rows of a split with what the method's spec uses beside the inputs, and nothing else."""
        self._rows(split)
        return self.target.seen(split, self.uses)

    def images(self, split: SplitName) -> Tensor:
        """All inputs of a split as they are kept, on the CPU: uint8 (N,C,H,W), clips (N,T,C,H,W), tokens (N,L).

        All are read into memory, which they may not fit: `inputs(split).take(rows)` reads those that are needed.
        """
        return self._rows(split).values

    def labels(self, split: SplitName) -> Tensor:
        """int64 (N,) on the CPU. Raises NotApplicable where the target has no labels."""
        labels = self._rows(split).labels
        if labels is None:
            raise NotApplicable(f"{self.target.name} has no labels")
        return labels

    def masks(self, split: SplitName, index: Tensor) -> Tensor:
        """What each pixel of the rows (n,) shows, as an index of the target's regions: uint8 (n,H,W) on the CPU.

        Of the size that networks see: by the nearest pixel where the target was resized. Raises NotApplicable where
        the target does not tell.
        """
        if self.target.read_masks is None:
            raise NotApplicable(f"{self.target.name} does not tell what each pixel shows")
        masks = self.target.read_masks(self._rows(split).rows(index))
        size = self.spec.inputs.shape[-2:]
        if masks.shape[1:] == size:
            return masks
        return F.interpolate(masks[:, None].float(), size, mode="nearest-exact").squeeze(1).to(masks.dtype)

    def features(self, split: SplitName) -> Tensor:
        """The frozen representation of a split: float32 (N,D) on the CPU. Raises TrainingFailed when it is unusable."""
        if split == "test":  # the same whatever part of the labels is fitted to
            if self.readout.name not in self._tested:
                self._tested[self.readout.name] = self._encoded(split)
            return self._tested[self.readout.name]
        if split not in self._features:
            self._features[split] = self._encoded(split)
        return self._features[split]

    def _encoded(self, split: SplitName) -> Tensor:
        self._check_company(split)
        features = self.batched(self.encode, self.inputs(split))
        _check_features(features, len(self.inputs(split)), self.spec.kind)
        self.handed.add("features", features)
        return features

    def _check_company(self, split: SplitName) -> None:
        """Raise TrainingFailed if the representation of an example depends on the others of its batch.

        BatchNorm in train mode reads the statistics of the test set, and looks like the best method.
        """
        column = self.inputs(split)
        if len(column) < 2:
            return
        few = column.take(torch.arange(min(AMONG, len(column)))).to(self.device)
        with torch.no_grad():  # in fp32, where rounding is no excuse
            inputs = self.spec.inputs.ready(few)
            fault = features_fault("encode()", self.encode(inputs), len(few))
            if not fault:
                thing = PLURALS[self.spec.kind].removesuffix("s")
                fault = company_fault("encode()", self.encode, inputs, thing=thing, tolerance=COMPANY_TOLERANCE)
        if fault:
            raise TrainingFailed(fault)

    def encode(self, inputs: Tensor) -> Tensor:
        """The representation (B,D) of inputs as networks see them, on the device, from the readout that was chosen."""
        if self.readout.name:
            return self.method.read(inputs, self.readout.name)
        return self.method.encode(inputs)

    @cached_property
    def readout(self) -> Readout:
        """Where the representation is read: chosen on the validation split, if the method and the target allow it."""
        if not self.has("read") or self.target.train.labels is None or self.knows_validation:
            return Readout()
        return choose_readout(
            self.method.readouts(),
            lambda inputs, name: self.batched(lambda part: self.method.read(part, name), inputs),
            self.target.train,
            self.target.validation,
            self.generator("readout rows"),
        )

    @property
    def note(self) -> str:
        """What a reader of any score of this subject has to know."""
        chosen = self.__dict__.get("readout")  # only if something asked for it
        learned = "it learned from the validation rows too" if self.knows_validation else ""
        return "; ".join(text for text in (self.target.note, chosen.note if chosen else "", learned) if text)

    def batched(self, function: Callable[[Tensor], Tensor], inputs: Tensor | Column) -> Tensor:
        """Apply `function` to inputs as networks see them, on the device; float32 results (N,...) on the CPU.

        inputs: as they are kept, uint8 (N,C,H,W) for images, in a tensor or a column.
        """
        parts = []
        with torch.no_grad(), autocast(self.device, self.cell.precision):
            for part in blocks(column_of(inputs), ENCODING_BATCH):
                parts.append(function(self.spec.inputs.ready(part.to(self.device))).float().cpu())
        return torch.cat(parts)

    def sampled(self, n: int) -> Sampled:
        """n new images, the first of a sequence that all evaluations share.

        Where the method samples on request, it is asked for the labels or captions of training rows, drawn with
        replacement, so that the mix is that of the source. Raises TrainingFailed if what comes is no image.
        """
        while sum(len(part.images) for part in self._samples) < n:
            rows = None
            if self.has("sample_as"):
                index = torch.randint(len(self.source.train), (SAMPLED,), generator=self._sampling)
                rows = self.source.train.rows(index)
            images = self.sampled_as(rows, self._sampling) if rows else self._drawn(SAMPLED, self._sampling)
            self._samples.append(Sampled(images=images, asked=rows))
        images = torch.cat([part.images for part in self._samples])[:n]
        asked = [part.asked for part in self._samples if part.asked is not None]
        return Sampled(images=images, asked=joined(asked).rows(torch.arange(n)) if asked else None)

    def sampled_as(self, rows: Rows, generator: torch.Generator) -> Tensor:
        """An image for the label or the caption of each row: uint8 (N,C,H,W)."""
        condition = condition_of(rows, self.method.condition)
        if condition is None:
            raise NotApplicable(f"{self.target.name} has no {self.method.condition} to ask for")
        parts = condition.to(self.device).split(SAMPLED)
        return torch.cat([self._images("sample_as", self.method.sample_as, part, generator) for part in parts])

    def _drawn(self, n: int, generator: torch.Generator) -> Tensor:
        return self._images("sample", lambda _, source: self.method.sample(n, source), torch.empty(n), generator)

    def _images(self, name: str, function: Callable[..., Tensor], rows: Tensor, generator: torch.Generator) -> Tensor:
        """What a sampling method gives, rounded to uint8 (n,C,H,W) as real images are, if it is images at all."""
        with torch.no_grad(), autocast(self.device, self.cell.precision):
            images = function(rows, generator).float().cpu()
        expected = (len(rows), *self.spec.inputs.shape)
        if images.shape != expected:
            raise TrainingFailed(f"{name}() gave {tuple(images.shape)}, expected {expected}")
        if not torch.isfinite(images).all():
            raise TrainingFailed(f"{name}() gave values that are not finite")
        return to_uint8(images)

    def generator(self, purpose: str) -> torch.Generator:
        """A CPU generator of this seed for one purpose of one evaluation."""
        return derived_generator(self.cell.seed, "evaluation", self.target.name, purpose)

    @property
    def backbone(self) -> Backbone:
        """The trained backbone. Raises NotApplicable where the method has none, as pixels and PCA."""
        found = getattr(self.method, "backbone", None)
        if not isinstance(found, Backbone):
            raise NotApplicable(f"{self.cell.method.name} has no backbone")
        return found

    def trunk_inputs(self, inputs: Tensor) -> Tensor:
        """What the method's `encode` gives to its backbone's trunk, for inputs as networks see them."""
        return self.method.trunk_inputs(inputs) if self.has("trunk_inputs") else self.backbone.standardise(inputs)

    def fresh_backbone(self, purpose: str) -> Backbone:
        """A backbone like the method's, on the device, as it is before training, with weights of its own.

        They are drawn by the cell's seed for this purpose, and are not those that the method started from; torch's
        global generators are seeded for it. Raises NotApplicable where the method has no backbone.
        """
        if self.new_backbone is None:
            raise NotApplicable(f"{self.cell.method.name} has no backbone to initialise anew")
        return self.new_backbone(purpose)

    def training_batch(self) -> Batch:
        """A batch as the trainer makes them: the first rows that the method learned from, on the device."""
        rows = torch.arange(min(self.cell.train.batch_size, len(self.learned_from)))
        return batch_of(self.learned_from.rows(rows).to(self.device), self.spec)

    def trainable_copy(self) -> nn.Module:
        """A deep copy of the method whose weights may be changed; the subject stays as it is."""
        return copy.deepcopy(self.method).requires_grad_(True).train()

    def training_step(self, rate: float = 1.0) -> Callable[[Batch], Tensor]:
        """What the trainer does with one batch, on a trainable copy: forward, backward and optimiser step; the loss.

        `rate` multiplies the learning rate of the cell.
        """
        train = replace(self.cell.train, learning_rate=rate * self.cell.train.learning_rate)
        return Optimisation(self.trainable_copy(), train, self.cell.precision).step


def _check_features(features: Tensor, n: int, kind: DataKind) -> None:
    fault = features_fault("encode()", features, n)
    if fault:
        raise TrainingFailed(fault)
    if not torch.isfinite(features).all():
        raise TrainingFailed("the representation has values that are not finite")
    if float(features.std(0).max()) < 1e-6:
        raise TrainingFailed(f"collapsed: every {PLURALS[kind].removesuffix('s')} has the same representation")
