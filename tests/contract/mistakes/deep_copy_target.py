"""A deep copy as the target, whose gradients are on."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class DeepCopyTarget(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)
        self.target = copy.deepcopy(backbone)

    def loss(self, batch: Batch) -> Tensor:
        target = self.target(batch.inputs).detach().mean(1)  # (B,)
        return (self.head(self.backbone(batch.inputs))[:, 0] - target).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="deep-copy-target", kind="pretext", build=DeepCopyTarget, source="a test")
