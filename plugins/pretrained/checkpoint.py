"""The run's backbone with weights from a file: an encoder that was trained elsewhere, or in another run of Harness.

B images, C channels, H=W pixels, S pixels of the input, D features.
    --plugins 'checkpoint[file=runs/.../method.safetensors]' --backbone resnet18
    --plugins 'checkpoint[file=moco.pth,backbone="timm[model=resnet50]",prefix=encoder_q.,unused=true]'
Reads safetensors, and state dicts by torch's weights-only loader, which runs nobody's code. Every weight of the
backbone must be in the file. Inputs are standardised as they were in training: by `mean` and `std`, else by those that
a run of Harness keeps beside its weights, else by the source's. It is never trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.nn.pretrained import numbers_of, resized
from harness.nn.stored_weights import AUTO, load_whole, stored_weights
from harness.plugin import Backbone, DataSpec, ImageField, MethodSpec, NotApplicable, TrainingFailed, hookimpl

TRUNK = "trunk."  # of a backbone of Harness, beside its mean and std
KEPT = f"backbone.{TRUNK}"  # where a run of Harness keeps the encoder of a method


@dataclass(frozen=True, kw_only=True)
class Config:
    file: Path  # .safetensors, or a state dict as torch saves it (.pt, .pth)
    prefix: str = AUTO  # what stands before the backbone's own names in the file, such as module. or encoder_q.
    backbone: str = ""  # the network of these weights, such as 'timm[model=resnet50]'; empty: the run's
    unused: bool = False  # may the file hold more than the backbone, such as a classifier, under that prefix?
    size: int = 0  # S, in pixels, that images are resized to; 0: as they are
    mean: str = ""  # of each channel in training, in [0,1], such as '0.485,0.456,0.406'; empty: see above
    std: str = ""  # likewise

    def __post_init__(self) -> None:
        numbers_of(self.mean, "mean")
        numbers_of(self.std, "std")
        if self.size < 0:
            raise ValueError("size is in pixels, or 0 for images as they are")


class Checkpoint(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.size = config.size or data.inputs.size
        if self.size != data.inputs.size and not backbone.any_size:
            raise NotApplicable(f"size={self.size} needs a backbone of any size: this one is bound to the source's")
        weights = stored_weights(config.file.expanduser())
        prefix = config.prefix
        if prefix == AUTO and any(name.startswith(KEPT) for name in weights):
            prefix = KEPT
        prefix = load_whole(backbone.trunk, weights, prefix=prefix, unused=("",) if config.unused else ())
        standardise_as_trained(backbone, weights, prefix, config)
        self.backbone = backbone.requires_grad_(False)  # (B,C,H,W) -> (B,D)
        self.note = f"all weights from {config.file.name}" + (f", where they are called {prefix}*" if prefix else "")

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.trunk(self.trunk_inputs(images))  # (B,D)

    def trunk_inputs(self, images: Tensor) -> Tensor:
        return self.backbone.standardise(resized(images, self.size))  # (B,C,S,S)


def standardise_as_trained(backbone: Backbone, weights: Mapping[str, Tensor], prefix: str, config: Config) -> None:
    """Give the backbone the mean and std of its training, where they are known."""
    beside = prefix.removesuffix(TRUNK)
    for name, text in (("mean", config.mean), ("std", config.std)):
        own: Tensor = getattr(backbone, name)  # (1,C,1,1)
        given = numbers_of(text, name)
        kept = weights.get(beside + name) if prefix.endswith(TRUNK) else None
        value = torch.tensor(given) if given else own if kept is None else kept
        if value.numel() != own.numel():
            raise TrainingFailed(f"{name} has {value.numel()} numbers, expected {own.numel()}: one for each channel")
        own.copy_(value.reshape(own.shape))


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="checkpoint",
        kind="pretrained",
        build=Checkpoint,
        config=Config,
        own_backbone=lambda config: config.backbone,
        files=lambda config: [config.file],
        source="the weights' own",
    )
