"""A text dataset, an image dataset that cannot be judged on, and plugins that take texts: one unpackaged plugin file.

What planning decides is tested with it; nothing in it is ever trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from harness.plugin import (
    ANY,
    BackboneSpec,
    DatasetSpec,
    DataSpec,
    EvaluationSpec,
    ImageField,
    MethodSpec,
    NotApplicable,
    ScoreSpec,
    TextField,
    hookimpl,
)


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    checkpoint: Path | None = None  # a file that the method reads
    beta: float = 1.0
    shortest: int = 0  # fewest classes


class Reader(nn.Module):
    """Encodes images as they are; texts not at all."""

    def __init__(self, backbone, data, config: ReaderConfig) -> None:
        super().__init__()

    def encode(self, images):
        return images.flatten(1)


@dataclass(frozen=True, kw_only=True)
class NotesConfig:
    path: Path = field(metadata={"changes_images": False})
    kind: str = "text"


def describe(config: NotesConfig, root: Path) -> DataSpec:
    if config.kind == "broken":
        raise KeyError("no table")
    inputs = TextField() if config.kind == "text" else ImageField(channels=1, size=8)
    return DataSpec(inputs=inputs, classes=tuple(config.path.read_text().split()[:2]))


def load(config: NotesConfig, root: Path):
    if config.kind == "text":
        raise AssertionError("what makes no sense is not loaded")
    raise NotApplicable("these images are for reading only")


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="reader",
        kind="reference",
        build=Reader,
        config=ReaderConfig,
        takes=ANY,
        applies=lambda data, config: "too few classes" if len(data.classes) < config.shortest else "",
        files=lambda config: [config.checkpoint] if config.checkpoint else [],
    )


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="notes", describe=describe, files=lambda config, root: [config.path], load=load, config=NotesConfig
    )


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="words", build=lambda data, config: nn.Identity(), takes=("text",))


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="count",
        run=lambda subject, config: {"rows": float(len(subject.target.test))},
        scores=(ScoreSpec(name="rows", unit="rows", better="none", primary=True),),
        takes=ANY,
    )
