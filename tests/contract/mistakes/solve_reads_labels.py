"""`solve` reads labels that the spec does not use."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class SolveReadsLabels(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 2)

    def loss(self, batch: Batch) -> Tensor:
        return self.head(self.backbone(batch.inputs)).square().mean()

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        targets = torch.arange(len(batch.labels)) % 2  # even and odd rows, as many as there are labels
        return self.head(self.backbone(batch.inputs)), targets

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="solve-reads-labels", kind="pretext", build=SolveReadsLabels, source="a test")
