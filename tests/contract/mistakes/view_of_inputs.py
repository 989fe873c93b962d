"""`view` of inputs that are channels last in memory."""

from __future__ import annotations

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class ViewOfInputs(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)

    def loss(self, batch: Batch) -> Tensor:
        bright = batch.inputs.view(len(batch.inputs), -1).mean(1)  # (B,)
        return (self.head(self.backbone(batch.inputs))[:, 0] - bright).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="view-of-inputs", kind="pretext", build=ViewOfInputs, source="a test")
