"""A small training that is interrupted after a step, and one that goes on from what that left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from harness.contract.examples import small_datasets
from harness.contract.kit import Setting
from harness.contract.methods import MethodCase
from harness.data.columns import InMemory
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness.plugin.capabilities import capabilities_of
from harness.records import Budget, StatePace, StatePlace, TrainConfig, TrainingResult
from harness.registry import METHOD_KINDS, Registry
from harness.registry.config import resolve
from harness.registry.grammar import parse_plugins
from harness.trainer import train
from harness.training_state import TrainingState, found_state

OFTEN = StatePace(first=0.0, between=0.0, share=float("inf"))  # after every step
TOKENS = {"image": "vit[width=16,depth=1,heads=2,patch=4]", "video": "video-vit"}  # for what hides patches
BATCH = 10  # of 32 examples: an epoch has three steps, and two examples are left out of each


class Interrupted(Exception):
    """Stands for a kill: nobody catches it."""


@dataclass
class Training:
    """A method, trained from its seed, and what that gave."""

    method: Any
    result: TrainingResult
    draws: torch.Tensor  # what the default generators give next

    def bytes(self) -> dict[str, Any]:
        """All that must be equal bit for bit."""
        weights = {name: value.clone() for name, value in self.method.state_dict().items()}
        passing = {f"buffer {name}": value.clone() for name, value in self.method.named_buffers()}
        return {**weights, **passing, "draws": self.draws}

    @property
    def curve(self) -> list[Any]:
        return [(point.examples, dict(point.scalars)) for point in self.result.curve]


def case_of(name: str, registry: Registry) -> MethodCase | None:
    """A method on the smallest data that it takes; None where it does not train."""
    loaded = registry.load(name, METHOD_KINDS)
    spec = loaded.spec
    config: Any = resolve(spec.config, {}, name)
    own = spec.own_backbone(config) if spec.own_backbone else ""
    for tokens, data in product((False, True), small_datasets(spec.takes)):
        encoder = own or (TOKENS.get(data.kind, "") if tokens else "")
        setting = Setting(backbone=parse_plugins(encoder)[0] if encoder else None)
        backbone = setting.encoder(data.kind, registry) if spec.uses_backbone else None
        case = MethodCase(spec, config, data, backbone)
        try:
            method = case.build()
        except NotApplicable:
            continue
        return case if capabilities_of(method) & {"loss", "turns"} else None
    return None


def rows_of(case: MethodCase) -> Rows:
    uses = case.spec.uses_with(case.config)
    data = case.data
    paired = {"paired", "unpaired"} & set(uses)
    return Rows(
        inputs=InMemory(data.values),
        labels=data.labels if "labels" in uses else None,
        captions=InMemory(data.captions) if "captions" in uses else None,
        paired=InMemory(data.paired) if paired else None,
    )


def trained(
    case: MethodCase,
    file: Path | None = None,
    *,
    steps: int = 8,
    stop: int | None = None,
    key: str = "key",
    budget: str = "",
    build: Callable[[], Any] | None = None,
    pace: StatePace = OFTEN,
    device: str = "cpu",
    **config: Any,
) -> Training:
    """Train with its state in `file` after every step, from what that holds; raises Interrupted after step `stop`."""
    method = (build or case.build)().to(device)
    where = None if file is None else StatePlace(file=file, pace=pace)
    found, damage = found_state(where, key)
    state = None if where is None else TrainingState(where, key, {}, found, told={"precision": "fp32"})

    def observe(clock: Any) -> None:
        if stop is not None and clock.steps == stop + 1:
            raise Interrupted

    result = train(
        method,
        rows_of(case).to(device),
        case.data.spec,
        TrainConfig(**{**case.spec.recipe, "batch_size": BATCH, **config}),
        Budget.parse(budget or f"{steps} steps"),
        seed=3,
        precision="fp32",
        progress=lambda done, scalars: None,
        observe=observe,
        state=state,
    )
    draws = torch.cat([torch.rand(4), torch.rand(4, device=device).cpu()])
    return Training(method, replace(result, note="; ".join(filter(None, (result.note, damage)))), draws)


def first_difference(one: Training, other: Training) -> str:
    """What is not equal bit for bit; "" where all is."""
    a, b = one.bytes(), other.bytes()
    if a.keys() != b.keys():
        return f"names {a.keys() ^ b.keys()}"
    for name, value in a.items():
        same = value.dtype == b[name].dtype and value.shape == b[name].shape
        if not same or value.numpy(force=True).tobytes() != b[name].numpy(force=True).tobytes():
            return name
    parts = ("steps", "examples", "views", "passes", "flops", "parameters", "loss", "note")
    for part in parts:
        if getattr(one.result, part) != getattr(other.result, part):
            return f"{part}: {getattr(one.result, part)!r}, {getattr(other.result, part)!r}"
    return "" if one.curve == other.curve else "curve"
