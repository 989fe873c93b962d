"""The loss is made of detached features, with a frozen head."""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class DetachedLoss(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)

    def loss(self, batch: Batch) -> Tensor:
        return self.backbone(batch.inputs).detach().square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="detached-loss", kind="pretext", build=DetachedLoss, source="a test")
