"""A moving average by hand, without no_grad: no mistake any more, since `after_step` is called without gradients."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class AverageWithoutNoGrad(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)
        self.target = copy.deepcopy(backbone).requires_grad_(False)

    def loss(self, batch: Batch) -> Tensor:
        bright = self.target(batch.inputs).mean(1)  # (B,)
        return (self.head(self.backbone(batch.inputs))[:, 0] - bright).square().mean()

    def after_step(self) -> None:
        for slow, fast in zip(self.target.parameters(), self.backbone.parameters(), strict=True):
            slow.data = 0.9 * slow + 0.1 * fast

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="average-without-no-grad", kind="pretext", build=AverageWithoutNoGrad, source="a test")
