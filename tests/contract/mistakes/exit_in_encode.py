"""`encode` ends the process, with exit code 0."""

from __future__ import annotations

import sys

from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class ExitInEncode(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)

    def loss(self, batch: Batch) -> Tensor:
        bright = batch.inputs.flatten(1).mean(1)  # (B,)
        return (self.head(self.backbone(batch.inputs))[:, 0] - bright).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        sys.exit(0)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="exit-in-encode", kind="pretext", build=ExitInEncode, source="a test")
