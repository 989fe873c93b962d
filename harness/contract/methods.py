"""The contract of methods, check by check. See `harness.contract.kit`, which runs them.

B images, C channels, H=W pixels, D features, K classes or answers, M questions, P interpolation steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from harness.answers import features_fault, loss_fault
from harness.building import assembled
from harness.contract import generating, predicting
from harness.contract.examples import EXAMPLES, SmallData
from harness.contract.requirements import (
    Absent,
    Told,
    require,
    require_finite,
    require_none,
    require_same_alone,
    require_shape,
)
from harness.data.batches import Batch
from harness.data.fields import PLURALS
from harness.data.images import channels_last
from harness.nn.backbone import Backbone
from harness.optimisation import Optimisation
from harness.plugin.capabilities import capabilities_of
from harness.plugin.specs import BackboneSpec, MethodSpec
from harness.precision import autocast
from harness.records import Information, TrainConfig
from harness.seeding import seed_everything
from harness.training_state import Keepable
from harness.unsaved import plain_state, unsaved_note
from harness.weights import load_weights, save_weights

STEPS = 20  # of AdamW on one batch
LONG = 64  # steps that a training may have a fault in beyond its first: a queue that is full, a schedule of its own
LONG_SECONDS = 3.0  # after which no more of them are tried
FEW = 5  # examples of a batch
STEPS_TO_COMPARE = 3  # after which two trainings must agree in every bit


@dataclass(frozen=True)
class MethodCase:
    """A method on one small dataset."""

    spec: MethodSpec
    config: Any
    data: SmallData
    backbone: BackboneSpec | None

    def build(self, seed: int = 0) -> Any:
        """A fresh method; all its randomness comes from `seed`."""
        encoder = None if self.backbone is None else (self.backbone, self.backbone.config())
        return assembled((self.spec, self.config), self.data.spec, encoder, seed=seed, name=self.spec.name)

    def batch(self) -> Batch:
        """The one batch, with what the spec says that is used beside images, in memory as the trainer gives it."""
        return self.seen(self.spec.uses_with(self.config))

    def seen(self, uses: Collection[Information]) -> Batch:
        """The one batch with this information."""
        batch = self.data.batch(uses)
        beside = None if batch.paired is None else channels_last(batch.paired)
        return replace(batch, inputs=channels_last(batch.inputs), paired=beside)

    def optimisation(self, method: nn.Module, precision: str = "fp32") -> Optimisation:
        """What the trainer steps the method with, in train mode and without a warm-up."""
        return Optimisation(method.train(), TrainConfig(**{**self.spec.recipe, "warmup": 0.0}), precision)

    def train(self, method: nn.Module, steps: int) -> list[float]:
        """The losses of some optimiser steps on the one batch, with the same random draws in every step."""
        optimisation = self.optimisation(method)
        losses = []
        for _ in range(steps):
            seed_everything(0, "augmentation")
            losses.append(float(optimisation.step(self.batch())))
        return losses

    @cached_property
    def trained(self) -> Any:
        """Trained for a few steps, or fitted, then frozen: what evaluations would get. Not to be changed."""
        method = self.build()
        able = capabilities_of(method)
        if able & {"loss", "turns"}:
            self.train(method, STEPS_TO_COMPARE)
        elif "fit" in able:
            method.fit(self.data.values)
        return method.eval().requires_grad_(False)

    def able(self, capability: str) -> Any:
        """The trained method. Raises Absent if it lacks the capability."""
        if capability not in capabilities_of(self.trained):
            raise Absent(f"it has no {capability}()")
        return self.trained


def method_checks(
    spec: MethodSpec, config: Any, data: SmallData, backbone: BackboneSpec | None
) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """Every check by name, up to the root of a failure: nothing after a method that cannot be built or has no loss."""
    case = MethodCase(spec, config, data, backbone)
    stopped = False

    def run(check: Callable[[MethodCase], str]) -> str:
        """A check; one of the ROOTS that does not pass ends them all, since each later one would say the same."""
        nonlocal stopped
        stopped = check in ROOTS
        try:
            detail = check(case)
        except Absent:
            stopped = False
            raise
        stopped = False
        return detail

    for check in (can_be_built, *CHECKS):
        if not stopped:
            yield f"{check.__name__} [{data.title}]", partial(run, check)


def can_be_built(case: MethodCase) -> str:
    method = case.build()
    able = capabilities_of(method)
    require("encode" in able, "it has no encode(): without a representation there is nothing to judge")
    ways = able & {"loss", "turns", "fit"}
    require(len(ways) <= 1, f"it has {' and '.join(sorted(ways))}: choose one way to learn")
    trained = ways and case.spec.kind == "pretrained"
    require(not trained, f"a pretrained encoder is never trained here, but it has {''.join(ways)}()")
    return ", ".join(sorted(able))


def loss_is_a_finite_scalar(case: MethodCase) -> str:
    method = case.build().train()
    losses = _losses(method, case.batch())
    for name, loss in losses:
        require_none(loss_fault(name, loss))
        require_finite(f"the loss {name}".rstrip(), loss)
    return ", ".join(f"{name} {loss.item():.3g}".strip() for name, loss in losses)


def gradients_reach_the_backbone(case: MethodCase) -> str:
    if case.backbone is None:
        raise Absent("it uses no backbone")
    method = case.build().train()
    encoder = method.get_submodule("backbone") if hasattr(method, "backbone") else method
    total = torch.stack([loss for _, loss in _losses(method, case.batch())]).sum()
    total.backward()
    weights = [(name, weight.grad) for name, weight in encoder.named_parameters() if weight.requires_grad]
    require(bool(weights), "all weights of the backbone are frozen")
    without = [name for name, gradient in weights if gradient is None]
    require(not without, f"no gradient reaches {', '.join(without[:3])} of the backbone")
    require(any(bool(gradient.any()) for _, gradient in weights), "all gradients of the backbone are zero")
    return ""


def steps_lower_the_loss(case: MethodCase) -> str:
    method = case.build()
    if "turns" in capabilities_of(method):
        raise Absent("its networks learn against each other")
    _needs_loss(method)
    losses = case.train(method, STEPS)
    require(all(isfinite(loss) for loss in losses), f"the loss diverges within {STEPS} steps")
    require(
        losses[-1] < losses[0], f"{STEPS} steps on one batch take the loss from {losses[0]:.4g} to {losses[-1]:.4g}"
    )
    return f"{losses[0]:.3g} to {losses[-1]:.3g}"


def trains_on(case: MethodCase) -> str:
    """Steps beyond the first few, as many as a few seconds allow, and one on a batch of another, small size."""
    method = case.build()
    if not capabilities_of(method) & {"loss", "turns"}:
        raise Absent("it is not trained by gradients")
    optimisation, batch = case.optimisation(method), case.batch()
    until, done = monotonic() + LONG_SECONDS, 0
    while done < LONG and monotonic() < until:
        loss = optimisation.step(replace(batch, progress=done / LONG, scalars={}))
        done += 1
        require(isfinite(float(loss)), f"the loss is {float(loss)} at step {done}")
    few = case.optimisation(case.build()).step(case.batch().first(FEW))
    require_finite(f"the loss of {FEW} {PLURALS[case.data.kind]}", few)
    return f"{done} steps"


def trains_in_bf16(case: MethodCase) -> str:
    """One step as `--precision bf16` takes it, and the representation under the same autocast."""
    method = case.build()
    if not capabilities_of(method) & {"loss", "turns"}:
        raise Absent("it is not trained by gradients")
    seed_everything(0, "augmentation")
    loss = case.optimisation(method, "bf16").step(case.batch())
    require_finite("the loss in bf16", loss)
    with torch.no_grad(), autocast(loss.device, "bf16"):
        require_finite("encode() in bf16", method.eval().encode(case.data.inputs))
    return f"{loss.item():.3g}"


def trains_all_weights_and_saves_all_state(case: MethodCase) -> str:
    """Trainable weights that no step moves at any time of training, and state that no parameter or buffer keeps."""
    method = case.build()
    if not capabilities_of(method) & {"loss", "turns"}:
        raise Absent("it is not trained by gradients")
    before, keepable, optimisation = plain_state(method), Keepable(method), case.optimisation(method)
    for progress in (0.0, 0.5, 0.99):
        seed_everything(0, "augmentation")
        optimisation.step(replace(case.batch(), progress=progress))
    against = keepable.reason_against()
    unkept = f"a training that is interrupted starts anew, since no file can keep it: {against}" if against else ""
    notes = [optimisation.note, unsaved_note(before, plain_state(method)), unkept]
    if any(notes):
        raise Told("; ".join(filter(None, notes)))
    return f"{optimisation.stepped} weights"


def sees_what_it_says_alone(case: MethodCase) -> str:
    """A method whose spec says nothing of labels, captions or paired images must not even look at them."""
    uses = case.spec.uses_with(case.config)
    names: tuple[Information, ...] = ("labels", "captions", "paired")
    for name in names:
        if name in uses or (name == "paired" and "unpaired" in uses):
            continue
        if name == "paired" and case.data.paired is None:
            continue
        totals = []
        for seen in (uses, (*uses, name)):
            method = case.build().train()
            seed_everything(0, "augmentation")
            totals.append([loss.item() for _, loss in _losses(method, case.seen(seen))])
        require(totals[0] == totals[1], f"its loss changes when the batch carries {name}: name them in its spec's uses")
    return ", ".join([PLURALS[case.data.kind], *uses])


def training_is_reproducible(case: MethodCase) -> str:
    """The same seed gives the same weights and the same losses, bit for bit."""
    runs = []
    for _ in range(2):
        method = case.build()
        able = capabilities_of(method)
        losses = case.train(method, STEPS_TO_COMPARE) if able & {"loss", "turns"} else []
        if "fit" in able:
            method.fit(case.data.values)
        runs.append((losses, method.state_dict()))
    (first, weights), (second, others) = runs
    require(first == second, f"two trainings with one seed give the losses {first} and {second}")
    different = [name for name in weights if not torch.equal(weights[name], others[name])]
    require(not different, f"two trainings with one seed differ in {', '.join(different[:3])}")
    return ""


def encodes_images(case: MethodCase) -> str:
    method = case.able("encode")
    inputs = case.data.inputs
    codes = method.encode(inputs)
    require_none(features_fault("encode()", codes, len(inputs)))
    require(codes.is_floating_point(), f"encode() returned {codes.dtype}, expected floats")
    require_finite("encode()", codes)
    require(float(codes.std(0).max()) > 1e-6, f"encode() gives every {case.data.thing} the same representation")
    require_same_alone("encode()", method.encode, inputs)
    return f"D={codes.shape[1]}"


def encoding_survives_saving(case: MethodCase) -> str:
    """Weights go through safetensors into a method that was built with another seed; and a deep copy is a copy."""
    codes = case.able("encode").encode(case.data.inputs)
    twin = copy.deepcopy(case.trained).encode(case.data.inputs)
    require(torch.equal(codes, twin), "a deep copy encodes differently: keep all state in the module")
    if not case.trained.state_dict():
        raise Absent("it has no weights")
    other = case.build(seed=1).eval()
    with TemporaryDirectory() as folder:
        save_weights(case.trained, Path(folder) / "method.safetensors")
        load_weights(other, Path(folder) / "method.safetensors")
    with torch.no_grad():
        again = other.encode(case.data.inputs)
    require(torch.equal(codes, again), "encode() differs after saving: register all state as parameters or buffers")
    return ""


def is_read_where_it_says(case: MethodCase) -> str:
    method = case.able("read")
    names = method.readouts()
    require(len(names) == len(set(names)) > 0, f"readouts() gave {names}, expected different names")
    for name in names:
        values = method.read(case.data.inputs, name)
        require_none(features_fault(f"read(..., '{name}')", values, len(case.data.inputs)))
        require_finite(f"read(..., '{name}')", values)
        require_same_alone(f"read(..., '{name}')", partial(method.read, readout=name), case.data.inputs)
    same = torch.equal(method.read(case.data.inputs, names[0]), method.encode(case.data.inputs))
    require(same, f"encode() differs from the first readout, '{names[0]}'")
    return ", ".join(names)


def feeds_its_trunk(case: MethodCase) -> str:
    """What it says that its backbone is given, the backbone takes."""
    method = case.able("trunk_inputs")
    backbone = getattr(method, "backbone", None)
    require(isinstance(backbone, Backbone), "it has trunk_inputs(), but no `backbone` to give them to")
    assert backbone is not None
    with torch.no_grad():
        features = backbone.trunk(method.trunk_inputs(case.data.inputs))
    require_shape("the backbone's trunk, for trunk_inputs(),", features, (EXAMPLES, backbone.dim))
    return ""


def predicts_classes(case: MethodCase) -> str:
    method = case.able("predict")
    logits = method.predict(case.data.inputs)
    require_shape("predict()", logits, (len(case.data.inputs), len(case.data.spec.classes)))
    require_finite("predict()", logits)
    require_same_alone("predict()", method.predict, case.data.inputs)
    return ""


def poses_its_pretext_task(case: MethodCase) -> str:
    logits, answers = case.able("solve").solve(case.batch())
    require(logits.ndim == 2, f"solve() returned logits {tuple(logits.shape)}, expected (M, K)")
    require_shape("solve()'s targets", answers, (len(logits),))
    require(answers.dtype == torch.int64, f"solve() returned {answers.dtype} targets, expected torch.int64")
    low, high = int(answers.min()), int(answers.max())
    require(
        low >= 0 and high < logits.shape[1], f"solve()'s targets run from {low} to {high} for {logits.shape[1]} answers"
    )
    require_finite("solve()", logits)
    return f"{logits.shape[1]} answers"


CHECKS = (
    loss_is_a_finite_scalar,
    gradients_reach_the_backbone,
    steps_lower_the_loss,
    trains_on,
    trains_in_bf16,
    trains_all_weights_and_saves_all_state,
    sees_what_it_says_alone,
    training_is_reproducible,
    encodes_images,
    encoding_survives_saving,
    is_read_where_it_says,
    feeds_its_trunk,
    *generating.CHECKS,
    *predicting.CHECKS,
    predicts_classes,
    poses_its_pretext_task,
)

ROOTS = (can_be_built, loss_is_a_finite_scalar)  # without these, all others fail for the same reason


def _losses(method: Any, batch: Batch) -> list[tuple[str, Tensor]]:
    """Every loss of one step, before any weight moves."""
    if "turns" in capabilities_of(method):
        return list(method.turns(batch))
    _needs_loss(method)
    return [("", method.loss(batch))]


def _needs_loss(method: nn.Module) -> None:
    if not capabilities_of(method) & {"loss", "turns"}:
        raise Absent("it is not trained by gradients")
