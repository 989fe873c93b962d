"""A queue of keys in a plain attribute."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NoConfig, hookimpl


class PlainQueue(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec, config: NoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 1)
        self.queue = torch.zeros(64, backbone.dim)

    def loss(self, batch: Batch) -> Tensor:
        keys = self.backbone(batch.inputs)  # (B,D)
        self.queue = torch.cat([keys.detach().float(), self.queue])[:64]
        return (self.head(keys).square() + (keys @ self.queue.T).square().mean()).mean()

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(name="plain-queue", kind="pretext", build=PlainQueue, source="a test")
