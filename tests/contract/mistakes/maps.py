"""`encode` gives maps of features instead of a vector for each image."""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class Maps(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)

    def loss(self, batch: Batch) -> Tensor:
        bright = batch.inputs.flatten(1).mean(1)  # (B,)
        return (self.head(self.backbone(batch.inputs))[:, 0] - bright).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.maps(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="maps", kind="pretext", build=Maps, source="a test")
