"""`encode` puts the backbone into train mode: BatchNorm sees the other images of the batch."""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class TrainModeEncode(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)

    def loss(self, batch: Batch) -> Tensor:
        bright = batch.inputs.flatten(1).mean(1)  # (B,)
        return (self.head(self.backbone(batch.inputs))[:, 0] - bright).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.train()(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="train-mode-encode", kind="pretext", build=TrainModeEncode, source="a test")
