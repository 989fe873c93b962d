"""The backbone in a Sequential too: a common idiom, and no mistake."""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class AliasedBackbone(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)
        self.online = nn.Sequential(self.backbone, self.head)

    def loss(self, batch: Batch) -> Tensor:
        bright = batch.inputs.flatten(1).mean(1)  # (B,)
        return (self.online(batch.inputs)[:, 0] - bright).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="aliased-backbone", kind="pretext", build=AliasedBackbone, source="a test")
