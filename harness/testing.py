"""The contract of plugins, as named checks: what `harness plugins check NAME` and the test suite run.

    checks = check_plugin(registry.load("vae", METHOD_KINDS), registry, data_root())
    assert not [check for check in checks if check.status == "failed"]

A check is a small function of one case. It returns (a word of detail), raises Broken with what is wrong and what was
expected, or raises NotApplicable where the contract asks for nothing. Methods are in `harness.method_contract`,
datasets in `harness.dataset_contract`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.capabilities import CAPABILITIES
from harness.config import full_ref, resolve
from harness.data.batches import Batch
from harness.data.captions import tokenised, vocabulary_of
from harness.data.images import channel_statistics, to_float
from harness.errors import DatasetMissing, HarnessError, NotApplicable
from harness.installed import METHOD_KINDS, first_docstring_line
from harness.nn.backbone import Backbone
from harness.records import ImageSpec, Information
from harness.registry import LoadedPlugin, Registry
from harness.seeding import derived_generator, seed_everything
from harness.specs import BackboneSpec, DatasetSpec, EvaluationSpec

IMAGES = 32  # in a check's one batch
TOLERANCE = 1e-4  # between an image encoded in two different batches


class Broken(AssertionError):
    """The contract is broken: one line with what was found and what was expected."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """How one check of one plugin went."""

    plugin: str
    name: str
    status: Literal["ok", "failed", "skipped"]
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class SmallImages:
    """One batch of images to check a plugin on."""

    spec: ImageSpec
    images: Tensor  # uint8 (N,C,H,W)
    labels: Tensor  # int64 (N,)
    captions: Tensor  # int64 (N,L): the class in words
    counterparts: Tensor  # uint8 (N,C,H,W): the negative

    @property
    def title(self) -> str:
        return f"{self.spec.size}x{self.spec.size}x{self.spec.channels}"

    @property
    def inputs(self) -> Tensor:
        return to_float(self.images)  # (N,C,H,W) in [0,1]

    def batch(self, uses: Collection[Information]) -> Batch:
        """All images, with what a method may see beside them and nothing else."""
        return Batch(
            inputs=self.inputs,
            labels=self.labels if "labels" in uses else None,
            captions=self.captions if "captions" in uses else None,
            counterparts=to_float(self.counterparts) if {"counterparts", "unpaired"} & set(uses) else None,
        )


def check_plugin(
    loaded: LoadedPlugin, registry: Registry, root: Path, params: Mapping[str, Any] | None = None
) -> list[Check]:
    """Run every check that fits the plugin's kind, with these parameters and defaults for all others.

    `registry` gives methods their backbone (convnet); `root` is where datasets lie.
    """
    with one_thread():
        return _checked(loaded, registry, root, params or {})


def _checked(loaded: LoadedPlugin, registry: Registry, root: Path, params: Mapping[str, Any]) -> list[Check]:
    name = loaded.info.name
    checks = [run_check(name, "documented", lambda: documented(loaded))]
    needed = _required(loaded.spec.config, params)
    if needed:
        return [*checks, Check(plugin=name, name="config", status="skipped", detail=f"needs {', '.join(needed)}")]
    checks.append(run_check(name, "config", lambda: config_survives_storage(loaded.spec.config, params, name)))
    if checks[-1].status == "ok":
        config = resolve(loaded.spec.config, params, name)
        checks += [run_check(name, title, check) for title, check in _checks(loaded, config, registry, root)]
    return checks


@contextmanager
def one_thread() -> Iterator[None]:
    """Cells run on one thread by default; and small layers on a busy machine are many times as fast so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_check(plugin: str, name: str, check: Callable[[], str | None]) -> Check:
    """Turn what a check returns or raises into a record."""
    try:
        return Check(plugin=plugin, name=name, status="ok", detail=check() or "")
    except (NotApplicable, DatasetMissing) as reason:
        return Check(plugin=plugin, name=name, status="skipped", detail=str(reason))
    except (Broken, HarnessError) as error:
        return Check(plugin=plugin, name=name, status="failed", detail=str(error))
    except Exception as error:  # whatever a stranger's code raises is a finding, not a crash of the kit
        detail = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Check(plugin=plugin, name=name, status="failed", detail=detail)


def _checks(
    loaded: LoadedPlugin, config: Any, registry: Registry, root: Path
) -> Iterator[tuple[str, Callable[[], str | None]]]:
    spec = loaded.spec
    if loaded.info.kind in METHOD_KINDS:
        from harness.method_contract import method_checks

        backbone = registry.load("convnet", ("backbone",)).spec if spec.uses_backbone else None
        for data in small_datasets():
            yield from method_checks(spec, config, data, backbone)
    elif isinstance(spec, BackboneSpec):
        for data in small_datasets():
            case = BackboneCase(spec, config, data)
            yield from ((f"{check.__name__} [{data.title}]", _bound(check, case)) for check in BACKBONE_CHECKS)
    elif isinstance(spec, DatasetSpec):
        from harness.dataset_contract import CHECKS, DatasetCase

        dataset = DatasetCase(spec, config, root)
        yield from ((check.__name__, _bound(check, dataset)) for check in CHECKS)
    elif isinstance(spec, EvaluationSpec):
        yield from ((check.__name__, _bound(check, spec)) for check in EVALUATION_CHECKS)


def _bound(check: Callable[[Any], str | None], case: Any) -> Callable[[], str | None]:
    return lambda: check(case)


# Data. ----------------------------------------------------------------------------------------------------------------


def small_datasets() -> list[SmallImages]:
    """Two shapes that every method and backbone is checked on: 8x8 grey with ten classes, 16x16 colour with four."""
    return [generated_images(channels=1, size=8, classes=10), generated_images(channels=3, size=16, classes=4)]


def generated_images(*, channels: int, size: int, classes: int, n: int = IMAGES) -> SmallImages:
    """Smooth seeded patterns, one for each class, moved and with noise: learnable, and the same on every machine."""
    generator = derived_generator(0, "contract images", f"{channels}x{size}x{classes}")
    coarse = torch.rand(classes, channels, size // 2, size // 2, generator=generator)
    patterns = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")  # (K,C,H,W)
    labels = torch.arange(n) % classes
    noise = 0.1 * torch.randn(n, channels, size, size, generator=generator)
    rows = torch.randint(-1, 2, (n,), generator=generator).tolist()
    moved = torch.stack([patterns[label].roll(row, dims=1) for label, row in zip(labels.tolist(), rows, strict=True)])
    images = (moved + noise).clamp(0, 1).mul(255).round().to(torch.uint8)  # (N,C,H,W)
    mean, std = channel_statistics(images)
    names = tuple(f"class {label}" for label in range(classes))
    captions = [f"an image of class {label}" for label in labels.tolist()]
    vocabulary, words = vocabulary_of(captions)
    spec = ImageSpec(
        channels=channels,
        size=size,
        classes=names,
        captioned=True,
        counterpart="negative",
        mean=mean,
        std=std,
        vocabulary=vocabulary,
        caption_words=words,
    )
    tokens = tokenised(captions, vocabulary, words)
    return SmallImages(spec=spec, images=images, labels=labels, captions=tokens, counterparts=255 - images)


# Every plugin. --------------------------------------------------------------------------------------------------------


def documented(loaded: LoadedPlugin) -> str:
    """A module docstring says what it is; the spec says where it comes from."""
    line = first_docstring_line(loaded.file)
    require(bool(line), f"{loaded.file.name} has no docstring: open it with one line that says what the plugin is")
    require(bool(loaded.spec.source), "the spec's source is empty: name the paper, or 'own work'")
    return ""


def config_survives_storage(config_class: type, params: Mapping[str, Any], owner: str) -> str:
    """A plan stores every parameter as JSON; read back, it must be the same config."""
    require(config_class.__dataclass_params__.frozen, "the config can be changed: use @dataclass(frozen=True)")  # type: ignore[attr-defined]
    config: Any = resolve(config_class, params, owner)
    ref = full_ref(owner, config)
    again: Any = resolve(config_class, json.loads(json.dumps(ref.params)), owner)
    require(again == config, f"the config is {again} after it was stored as JSON, expected {config}")
    return str(ref)


def _required(config_class: type, params: Mapping[str, Any]) -> list[str]:
    without = [f for f in fields(config_class) if f.default is MISSING and f.default_factory is MISSING and f.init]
    return [field.name for field in without if field.name not in params]


def require(condition: bool, message: str) -> None:
    """Raise Broken with `message` unless `condition`."""
    if not condition:
        raise Broken(message)


def require_shape(what: str, value: Tensor, expected: Iterable[int]) -> None:
    require(isinstance(value, Tensor), f"{what} returned a {type(value).__name__}, expected a tensor")
    require(tuple(value.shape) == tuple(expected), f"{what} returned {tuple(value.shape)}, expected {tuple(expected)}")


def require_finite(what: str, value: Tensor) -> None:
    require(bool(torch.isfinite(value).all()), f"{what} returned values that are not finite")


def require_same_alone(what: str, function: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
    """The answer to an image depends on that image alone, not on the others of its batch, and is always the same."""
    whole, again, alone = function(inputs), function(inputs), function(inputs[:4])
    require(torch.equal(whole, again), f"{what} gave two answers to the same images: no noise in eval mode")
    gap = float((whole[:4] - alone).abs().max())
    require(gap < TOLERANCE, f"{what} of an image changes by {gap:.2g} with the other images of its batch")


# Backbones. -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BackboneCase:
    spec: BackboneSpec
    config: Any
    data: SmallImages

    def build(self, seed: int = 0) -> Backbone:
        seed_everything(seed, "initialisation", "backbone")
        return self.spec.build(self.data.spec, self.config)


def encodes_to_its_dim(case: BackboneCase) -> str:
    backbone = case.build()
    require(isinstance(backbone, Backbone), f"build gave a {type(backbone).__name__}, expected a harness.nn Backbone")
    features = backbone(case.data.inputs)
    require_shape("the backbone", features, (IMAGES, backbone.dim))
    require_finite("the backbone", features)
    return f"D={backbone.dim}"


def passes_gradients(case: BackboneCase) -> str:
    backbone = case.build().train()
    inputs = case.data.inputs.requires_grad_()
    backbone(inputs).square().sum().backward()
    without = [name for name, weight in backbone.named_parameters() if weight.requires_grad and weight.grad is None]
    require(not without, f"no gradient reaches {', '.join(without[:3])}")
    require(inputs.grad is not None, "no gradient reaches the images")
    return ""


def answers_alike_in_any_batch(case: BackboneCase) -> str:
    backbone = case.build().eval()
    with torch.no_grad():
        require_same_alone("the backbone", backbone, case.data.inputs)
    return ""


def is_fixed_by_the_seed(case: BackboneCase) -> str:
    first, second = case.build().state_dict(), case.build().state_dict()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    require(not different, f"two builds with one seed differ in {', '.join(different[:3])}")
    return ""


def takes_the_sizes_that_it_claims(case: BackboneCase) -> str:
    backbone = case.build().eval()
    if not backbone.any_size:
        raise NotApplicable("it is bound to the size of its source")
    half = case.data.spec.size // 2
    with torch.no_grad():
        features = backbone.trunk(case.data.inputs[:, :, :half, :half])
    require_shape(f"the trunk, for {half}x{half} tiles", features, (IMAGES, backbone.dim))
    return ""


BACKBONE_CHECKS = (
    encodes_to_its_dim,
    passes_gradients,
    answers_alike_in_any_batch,
    is_fixed_by_the_seed,
    takes_the_sizes_that_it_claims,
)


# Evaluations. ---------------------------------------------------------------------------------------------------------


def scores_are_specified(spec: EvaluationSpec) -> str:
    names = [score.name for score in spec.scores]
    require(bool(names), "it yields no score")
    require(len(set(names)) == len(names), "two of its scores have one name")
    for score in spec.scores:
        require(score.better in ("higher", "lower", "none"), f"{score.name} is better when '{score.better}'")
        require(bool(score.unit), f"{score.name} has no unit: 'fraction', 'nats', 'count' ...")
        bounded = score.low is not None and score.high is not None
        require(not bounded or score.low < score.high, f"{score.name} lies in [{score.low}, {score.high}]")  # type: ignore[operator]
    return ", ".join(names)


def at_most_one_score_ranks(spec: EvaluationSpec) -> str:
    primary = [score for score in spec.scores if score.primary]
    require(len(primary) <= 1, f"{' and '.join(score.name for score in primary)} are both primary: choose one")
    if primary:
        require(primary[0].better != "none", f"{primary[0].name} is primary, but has no better direction")
    return primary[0].name if primary else "none does"


def needs_are_known(spec: EvaluationSpec) -> str:
    known = {*CAPABILITIES, "labels"}
    unknown = [need for need in spec.needs if need not in known]
    require(not unknown, f"it needs {', '.join(unknown)}, which is no capability of {', '.join(sorted(known))}")
    return ", ".join(spec.needs)


EVALUATION_CHECKS = (scores_are_specified, at_most_one_score_ranks, needs_are_known)
