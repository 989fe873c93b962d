"""The contract of methods, check by check. See `harness.testing`, which runs them.

B images, C channels, H=W pixels, D features, K classes or answers, M questions, P interpolation steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from harness.capabilities import capabilities_of
from harness.data.batches import Batch
from harness.errors import NotApplicable
from harness.records import TrainConfig
from harness.seeding import derived_generator, seed_everything
from harness.specs import BackboneSpec, MethodSpec
from harness.testing import SmallImages, require, require_finite, require_same_alone, require_shape
from harness.trainer import Optimisation

STEPS = 20  # of AdamW on one batch
STEPS_TO_COMPARE = 3  # after which two trainings must agree in every bit
SLACK = 1e-4  # that a pixel may lie outside [0,1]


@dataclass(frozen=True)
class MethodCase:
    """A method on one small dataset."""

    spec: MethodSpec
    config: Any
    data: SmallImages
    backbone: BackboneSpec | None

    def build(self, seed: int = 0) -> Any:
        """A fresh method; all its randomness comes from `seed`."""
        encoder = None
        if self.backbone is not None:
            seed_everything(seed, "initialisation", "backbone")
            encoder = self.backbone.build(self.data.spec, self.backbone.config())
        seed_everything(seed, "initialisation", self.spec.name)
        return self.spec.build(encoder, self.data.spec, self.config)

    def batch(self) -> Batch:
        """The one batch, with labels only if the spec says that they are used."""
        return Batch(inputs=self.data.inputs, labels=self.data.labels if self.spec.uses_labels else None)

    def train(self, method: nn.Module, steps: int) -> list[float]:
        """The losses of some optimiser steps on the one batch, with the same random draws in every step."""
        optimisation = Optimisation(method.train(), TrainConfig(**{**self.spec.recipe, "warmup": 0.0}), "fp32")
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
            method.fit(self.data.images)
        return method.eval().requires_grad_(False)

    def able(self, capability: str) -> Any:
        """The trained method. Raises NotApplicable if it lacks the capability."""
        if capability not in capabilities_of(self.trained):
            raise NotApplicable(f"it has no {capability}()")
        return self.trained


def method_checks(
    spec: MethodSpec, config: Any, data: SmallImages, backbone: BackboneSpec | None
) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """Every check by name; only the first one where the method says that it does not apply to such data."""
    case = MethodCase(spec, config, data, backbone)
    applies = True

    def builds() -> str | None:
        nonlocal applies
        applies = False
        detail = can_be_built(case)
        applies = True
        return detail

    yield f"can_be_built [{data.title}]", builds
    for check in CHECKS:
        if applies:
            yield f"{check.__name__} [{data.title}]", (lambda check=check: check(case))  # type: ignore[misc]


def can_be_built(case: MethodCase) -> str:
    method = case.build()
    require(isinstance(method, nn.Module), f"build gave a {type(method).__name__}, expected an nn.Module")
    able = capabilities_of(method)
    require("encode" in able, "it has no encode(): without a representation there is nothing to judge")
    ways = able & {"loss", "turns", "fit"}
    require(len(ways) <= 1, f"it has {' and '.join(sorted(ways))}: choose one way to learn")
    return ", ".join(sorted(able))


def loss_is_a_finite_scalar(case: MethodCase) -> str:
    method = case.build().train()
    losses = _losses(method, case.batch())
    for name, loss in losses:
        require_shape(f"the loss {name}".rstrip(), loss, ())
        require_finite(f"the loss {name}".rstrip(), loss)
    return ", ".join(f"{name} {loss.item():.3g}".strip() for name, loss in losses)


def gradients_reach_the_backbone(case: MethodCase) -> str:
    if case.backbone is None:
        raise NotApplicable("it uses no backbone")
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
        raise NotApplicable("its networks learn against each other")
    _needs_loss(method)
    losses = case.train(method, STEPS)
    require(all(isfinite(loss) for loss in losses), f"the loss diverges within {STEPS} steps")
    require(
        losses[-1] < losses[0], f"{STEPS} steps on one batch take the loss from {losses[0]:.4g} to {losses[-1]:.4g}"
    )
    return f"{losses[0]:.3g} to {losses[-1]:.3g}"


def labels_are_left_alone(case: MethodCase) -> str:
    """A method whose spec says nothing of labels must not even look at them."""
    if case.spec.uses_labels:
        raise NotApplicable("its spec says that it uses labels")
    totals = []
    for labels in (None, case.data.labels):
        method = case.build().train()
        seed_everything(0, "augmentation")
        batch = replace(case.batch(), labels=labels, scalars={})
        totals.append([loss.item() for _, loss in _losses(method, batch)])
    require(totals[0] == totals[1], "its loss changes when the batch carries labels: set uses_labels=True in its spec")
    return ""


def training_is_reproducible(case: MethodCase) -> str:
    """The same seed gives the same weights and the same losses, bit for bit."""
    runs = []
    for _ in range(2):
        method = case.build()
        able = capabilities_of(method)
        losses = case.train(method, STEPS_TO_COMPARE) if able & {"loss", "turns"} else []
        if "fit" in able:
            method.fit(case.data.images)
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
    require(codes.ndim == 2 and len(codes) == len(inputs), f"encode() returned {tuple(codes.shape)}, expected (B, D)")
    require(codes.is_floating_point(), f"encode() returned {codes.dtype}, expected floats")
    require_finite("encode()", codes)
    require(float(codes.std(0).max()) > 1e-6, "encode() gives every image the same representation")
    require_same_alone("encode()", method.encode, inputs)
    return f"D={codes.shape[1]}"


def encoding_survives_saving(case: MethodCase) -> str:
    """Weights go through safetensors into a method that was built with another seed; and a deep copy is a copy."""
    from safetensors.torch import load_model, save_model

    codes = case.able("encode").encode(case.data.inputs)
    twin = copy.deepcopy(case.trained).encode(case.data.inputs)
    require(torch.equal(codes, twin), "a deep copy encodes differently: keep all state in the module")
    if not case.trained.state_dict():
        raise NotApplicable("it has no weights")
    other = case.build(seed=1).eval()
    with TemporaryDirectory() as folder:
        save_model(case.trained, str(Path(folder) / "method.safetensors"))
        load_model(other, str(Path(folder) / "method.safetensors"))
    with torch.no_grad():
        again = other.encode(case.data.inputs)
    require(torch.equal(codes, again), "encode() differs after saving: register all state as parameters or buffers")
    return ""


def reconstructs_images(case: MethodCase) -> str:
    method = case.able("reconstruct")
    _require_images("reconstruct()", method.reconstruct(case.data.inputs), case.data.inputs.shape)
    bits = method.code_bits()
    require(isfinite(bits) and bits > 0, f"code_bits() is {bits}, expected the bits of one image's code")
    return f"{bits:g} bits"


def samples_from_its_generator_alone(case: MethodCase) -> str:
    method = case.able("sample")
    drawn = []
    for seed, unrelated in ((0, 0), (0, 1), (1, 1)):
        torch.manual_seed(unrelated)  # the global generator must not matter
        drawn.append(method.sample(5, derived_generator(seed, "contract samples")))
    _require_images("sample()", drawn[0], (5, *case.data.spec.shape))
    require(torch.equal(drawn[0], drawn[1]), "sample() depends on more than the generator that it is given")
    require(not torch.equal(drawn[1], drawn[2]), "sample() gives the same images whatever its generator")
    return ""


def interpolates_between_reconstructions(case: MethodCase) -> str:
    method = case.able("interpolate")
    start, end = case.data.inputs[:3], case.data.inputs[3:6]
    path = method.interpolate(start, end, 4)
    _require_images("interpolate()", path, (3, 4, *case.data.spec.shape))
    if "reconstruct" in capabilities_of(method):
        for name, images, index in (("start", start, 0), ("end", end, -1)):
            gap = float((path[:, index] - method.reconstruct(images)).abs().max())
            require(gap < 1e-3, f"the {name} of interpolate() is {gap:.2g} away from its reconstruction")
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
    labels_are_left_alone,
    training_is_reproducible,
    encodes_images,
    encoding_survives_saving,
    reconstructs_images,
    samples_from_its_generator_alone,
    interpolates_between_reconstructions,
    predicts_classes,
    poses_its_pretext_task,
)


def _losses(method: Any, batch: Batch) -> list[tuple[str, Tensor]]:
    """Every loss of one step, before any weight moves."""
    if "turns" in capabilities_of(method):
        return list(method.turns(batch))
    _needs_loss(method)
    return [("", method.loss(batch))]


def _needs_loss(method: nn.Module) -> None:
    if not capabilities_of(method) & {"loss", "turns"}:
        raise NotApplicable("it is not trained by gradients")


def _require_images(what: str, images: Tensor, shape: tuple[int, ...]) -> None:
    require_shape(what, images, shape)
    require_finite(what, images)
    low, high = float(images.min()), float(images.max())
    require(low >= -SLACK and high <= 1 + SLACK, f"{what} returned values from {low:.3g} to {high:.3g}, expected [0,1]")
