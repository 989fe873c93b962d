"""Clips in small: a dataset whose class only motion tells, a backbone that sees motion, a pretext task on the order.

B clips, T frames, C channels, H=W pixels, D features. Loaded as an unpackaged plugin file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.augment import random_shift
from harness.plugin import (
    Backbone,
    BackboneSpec,
    Batch,
    DatasetSpec,
    DataSpec,
    MethodSpec,
    NoConfig,
    RawData,
    Stage,
    VideoField,
    hookimpl,
)
from harness.seeding import derived_generator

STEPS = {"right": (0, 1), "down": (1, 0), "left": (0, -1), "up": (-1, 0)}  # pixels a frame: (rows, columns)
SQUARE = 3  # pixels


@dataclass(frozen=True, kw_only=True)
class Config:
    clips: int = 400
    frames: int = 6
    size: int = 12
    channels: int = 1


def describe(config: Config, root: Path) -> DataSpec[VideoField]:
    field = VideoField(frames=config.frames, channels=config.channels, size=config.size)
    return DataSpec(inputs=field, classes=tuple(STEPS))


def load(config: Config, root: Path) -> RawData:
    """A square that leaves on one side comes in on the other, so that any place is as likely in every class."""
    generator = derived_generator(0, "moving squares", str(config))
    size = config.size
    labels = torch.arange(config.clips) % len(STEPS)
    starts = torch.randint(0, size, (config.clips, 2), generator=generator)
    square = torch.zeros(size, size)
    square[:SQUARE, :SQUARE] = 0.8
    ways = list(STEPS.values())
    frames = [
        square.roll((row + frame * ways[label][0], column + frame * ways[label][1]), dims=(0, 1))
        for label, (row, column) in zip(labels.tolist(), starts.tolist(), strict=True)
        for frame in range(config.frames)
    ]
    clips = torch.stack(frames).view(config.clips, config.frames, 1, size, size)
    clips = clips.expand(-1, -1, config.channels, -1, -1)
    noisy = clips + 0.1 * torch.rand(clips.shape, generator=generator)
    return RawData(inputs=noisy.mul(255).round().to(torch.uint8), labels=labels)


class Motion(nn.Module):
    """Two 3-D convolutions, then the mean over time and place."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, 16, 3, padding=1)
        self.second = nn.Conv3d(16, dim, 3, stride=(1, 2, 2), padding=1)

    def forward(self, clips: Tensor) -> Tensor:
        maps = self.first(clips.transpose(1, 2)).relu()  # (B,T,C,H,W) -> (B,16,T,H,W)
        return self.second(maps).relu().mean((2, 3, 4))  # (B,D)


def build(data: DataSpec[VideoField], config: NoConfig) -> Backbone:
    stages = [Stage("first", ("first",)), Stage("second", ("second",))]
    return Backbone(Motion(data.inputs.channels, 32), 32, data, any_size=True, stages=stages)


class Order(nn.Module):
    """Are the frames of a clip in their order, or shuffled? Misra et al. 2016, arXiv:1603.08561, in small."""

    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone  # (B,T,C,H,W) -> (B,D)
        self.head = nn.Linear(backbone.dim, 2)  # (B,D) -> (B,2)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        clips = random_shift(batch.inputs, 0.1)
        n, frames = clips.shape[:2]
        order = torch.rand(n, frames, device=clips.device).argsort(1)  # (B,T)
        shuffled = clips[torch.arange(n, device=clips.device)[:, None], order]
        in_order = torch.arange(n, device=clips.device) % 2 == 0
        posed = torch.where(in_order[:, None, None, None, None], clips, shuffled)
        return self.head(self.backbone(posed)), in_order.long()

    def loss(self, batch: Batch) -> Tensor:
        logits, answers = self.solve(batch)
        batch.log("accuracy", (logits.argmax(1) == answers).float().mean())
        return F.cross_entropy(logits, answers)  # nats per clip

    def encode(self, clips: Tensor) -> Tensor:
        return self.backbone(clips)  # (B,D)


@hookimpl
def harness_dataset() -> DatasetSpec:
    return DatasetSpec(
        name="moving-squares",
        kind="video",
        describe=describe,
        files=lambda config, root: [Path(__file__)],
        load=load,
        config=Config,
        source="a test",
    )


@hookimpl
def harness_backbone() -> BackboneSpec:
    return BackboneSpec(name="motion", build=build, takes=("video",), source="a test")


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="order", kind="pretext", build=Order, takes=("video",), source="arXiv:1603.08561")
