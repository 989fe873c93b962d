"""A method of images on the frames of clips: `frame-by-frame[method=simclr]`. What a clip tells without its motion.

Each step the method sees some frames of each clip, drawn at random, as images. Its encoder is the run's backbone, given
each frame as a clip in which nothing moves: with `frames[pool=mean]` that is a 2-D network. A clip is read as the mean
of its frames, or as its frames side by side, which is better on validation. The method has its default parameters. One
that takes turns, or needs the maps or patches of its backbone, is skipped.

B clips, T frames, n of them seen, C channels, H=W pixels, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.nn.clips import taken
from harness.plugin import (
    Backbone,
    Batch,
    DataSpec,
    MethodSpec,
    NotApplicable,
    RequestError,
    VideoField,
    hookimpl,
)

GROUPS = ("harness.models", "harness.pretext_tasks")  # entry points of what it may be
MEAN, BESIDE = "mean of frames", "frames side by side"  # where it can be read


@dataclass(frozen=True, kw_only=True)
class Config:
    method: str = "simclr"  # an installed method of images that has a `loss`
    frames: int = 1  # n, of each clip in a step

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError("frames must be at least 1")
        _module(self.method)


def _module(name: str) -> str:
    """The module of a method. Raises ValueError where there is none of that name."""
    found = [entry.value for group in GROUPS for entry in entry_points(group=group, name=name)]
    if not found:
        known = sorted({entry.name for group in GROUPS for entry in entry_points(group=group)})
        raise ValueError(f"method={name}: there is no such method of images; there are {', '.join(known)}")
    return found[0]


def inner_spec(config: Config) -> MethodSpec:
    """The spec of the method of images."""
    from importlib import import_module

    spec: MethodSpec = import_module(_module(config.method)).harness_method()
    return spec


class OneFrame(nn.Module):
    """Frames (B,C,H,W), standardised, as clips of two equal frames: (B,D).

    Of two, since 3-D convolutions of one frame in bf16, channels last, give wrong values on the CPU (torch 2.14).
    """

    def __init__(self, clips: nn.Module) -> None:
        super().__init__()
        self.clips = clips

    def forward(self, frames: Tensor) -> Tensor:
        return self.clips(frames.unsqueeze(1).expand(-1, 2, -1, -1, -1))


class FrameByFrame(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        spec = inner_spec(config)
        if "image" not in spec.takes or not spec.uses_backbone:
            raise NotApplicable(f"{config.method} learns no backbone from images")
        if spec.uses_with(spec.config()):
            raise NotApplicable(f"{config.method} uses {' and '.join(spec.uses_with(spec.config()))} beside images")
        frame = DataSpec(inputs=data.inputs.frame)
        reason = spec.applies(frame, spec.config()) if spec.applies else ""
        if reason:
            raise NotApplicable(reason)
        self.seen = config.frames  # n
        self.backbone = backbone  # (B,T,C,H,W) -> (B,D)
        images = Backbone(OneFrame(backbone.trunk), backbone.dim, frame, any_size=backbone.any_size)
        self.inner: Any = spec.build(images, frame, spec.config())
        if not hasattr(self.inner, "loss"):
            raise NotApplicable(f"{config.method} has no loss() to learn frame by frame by")

    def loss(self, batch: Batch) -> Tensor:
        clips = batch.inputs
        places = torch.rand(clips.shape[:2], device=clips.device).argsort(1)[:, : self.seen]  # (B,n)
        frames = taken(clips, places).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.inner.loss(replace(batch, inputs=frames))

    def after_step(self, progress: float) -> None:
        """What the method does after each step, if anything."""
        step = getattr(self.inner, "after_step", None)
        if step is not None:
            step(progress) if signature(step).parameters else step()

    def encode(self, clips: Tensor) -> Tensor:
        return self.read(clips, MEAN)

    def readouts(self) -> tuple[str, ...]:
        return (MEAN, BESIDE)

    def read(self, clips: Tensor, readout: str) -> Tensor:
        features = self.inner.encode(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])  # (B,T,D)
        return features.mean(1) if readout == MEAN else features.flatten(1)


def files(config: Config) -> Sequence[Path]:
    """The file of the method of images: another version of it is another cell."""
    found = find_spec(_module(config.method))
    if found is None or found.origin is None:
        raise RequestError(f"frame-by-frame: the module of method={config.method} is not there")
    return [Path(found.origin)]


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="frame-by-frame",
        kind="pretext",
        build=FrameByFrame,
        config=Config,
        takes=("video",),
        files=files,
        source="that of the method of images",
    )
