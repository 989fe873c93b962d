"""A decay that follows the progress of training: no mistake any more."""

from __future__ import annotations

from torch import Tensor, nn

from harness.nn.moving_average import ExponentialMovingAverage
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class AfterStepProgress(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)
        self.average = ExponentialMovingAverage(backbone, decay=0.9, statistics="batch", warm_up=False)

    def loss(self, batch: Batch) -> Tensor:
        target = self.average.network(batch.inputs)
        return (self.head(self.backbone(batch.inputs)) - target.mean(1, keepdim=True)).square().mean()

    def after_step(self, progress: float) -> None:
        self.average.update(self.backbone, 1 - 0.1 * (1 - progress))

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="after-step-progress", kind="pretext", build=AfterStepProgress, source="a test")
