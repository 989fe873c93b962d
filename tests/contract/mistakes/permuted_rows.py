"""Rows in another order as a "view": no contract can know that this is wrong."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class PermutedRows(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)

    def loss(self, batch: Batch) -> Tensor:
        other = batch.inputs[torch.randperm(len(batch.inputs))]
        return (self.head(self.backbone(batch.inputs)) - self.head(self.backbone(other))).square().mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="permuted-rows", kind="pretext", build=PermutedRows, source="a test")
