"""The loss divides by nothing."""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class InfiniteLoss(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)

    def loss(self, batch: Batch) -> Tensor:
        return self.head(self.backbone(batch.inputs)).square().mean() / 0

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="infinite-loss", kind="pretext", build=InfiniteLoss, source="a test")
