"""The example plugins of each kind of data, loaded as files, and subjects made of them without a run around."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from harness import loading
from harness.building import build_method
from harness.data.rows import Dataset, read_as
from harness.judging.subject import Subject
from harness.records import Budget, Cell, Information, PluginRef, TrainConfig
from harness.registry import METHOD_KINDS, Registry
from harness.registry.config import resolve
from harness.trainer import train

HERE = Path(__file__).parent
FILES = {"video": HERE / "moving_squares.py", "text": HERE / "sentences.py"}
DATASETS = {"image": "digits", "video": "moving-squares", "text": "sentences"}
BACKBONES = {"image": "convnet", "video": "motion", "text": "words"}
METHODS = {"image": "rotation", "video": "order", "text": "hidden-word"}


@cache
def registry() -> Registry:
    """Installed plugins, and the examples."""
    found = Registry()
    for file in FILES.values():
        found.load_file(file)
    return found


def dataset(kind: str, seed: int = 0, **params: Any) -> Dataset:
    """The example of that kind, with its texts as strings still."""
    spec = registry().load(DATASETS[kind], ("dataset",)).spec
    return loading.load(spec, resolve(spec.config, params, spec.name), Path(), seed)


def cell(kind: str, method: str, *, backbone: str = "", source: str = "", **changes: Any) -> Cell:
    name = PluginRef(name=source or DATASETS[kind])
    spec = registry().load(method, METHOD_KINDS).spec
    made = Cell(
        method=PluginRef(name=method),
        kind=spec.kind,
        backbone=PluginRef(name=backbone or BACKBONES[kind]) if spec.uses_backbone else None,
        source=name,
        targets=(name,),
        evaluations=(),
        device="cpu",
        precision="fp32",
        seed=0,
        budget=Budget.parse("0 steps"),
        train=TrainConfig(batch_size=64, learning_rate=3e-3),
    )
    return replace(made, **changes)


def trained(kind: str, method: str, steps: int, uses: tuple[Information, ...] = ()) -> tuple[nn.Module, Dataset, Any]:
    """A method of the example, trained for some steps, with what it learned from and the record of its training."""
    source = dataset(kind)
    source = read_as(source, source.spec)
    asked = cell(kind, method)
    built = build_method(registry(), asked, source.spec)
    record = train(
        built, source.pretraining(uses), source.spec, asked.train, Budget.parse(f"{steps} steps"),
        seed=0, precision="fp32", progress=lambda done, scalars: None,
    )  # fmt: skip
    return built, source, record


def subject(method: nn.Module, data: Dataset, folder: Path, kind: str, name: str = "") -> Subject:
    """`method` on its own source."""
    return Subject(
        method=method,
        cell=cell(kind, name or METHODS[kind]),
        source=data,
        learned_from=data.pretraining(()),
        target=data,
        artifacts=folder / "artifacts",
        cache=folder / "cache",
        fingerprint="example",
    )
