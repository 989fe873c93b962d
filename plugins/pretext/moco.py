"""MoCo v2: which key in a long queue is of the same image? He et al. 2020, arXiv:1911.05722, and arXiv:2003.04297.

    l = -log exp(cos(q, k+) / T) / (exp(cos(q, k+) / T) + sum_{k- in queue} exp(cos(q, k-) / T))

B images, C channels, H=W pixels, D features, P units of a projection, Q keys in the queue.
The query q of one view is made by the network that learns, the key k+ of the other by its moving average. The negatives
are keys of the last batches: many of them, whatever the batch size, and alike enough since the average moves slowly.
BatchNorm can leak: only the own key was normalised with statistics of the same images as its query, so those might give
the answer away. The paper shuffles keys among devices; on one device a shuffle does nothing, as a mean has no order.
Measured on Fashion-MNIST (convnet, one seed) the leak is small: after 40,000 images 5.21 nats with shared statistics,
5.23 with those of other images; and after 60,000 keys normalised in 4 shuffled groups, as on 4 devices, gave the same
kNN and a probe within 0.003. So all keys of a batch are normalised together.
Differs from the paper: no shuffle; AdamW, batches of 256, a shorter queue and a faster average, for budgets of minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.contrastive import info_nce, matching_logits
from harness.nn.heads import projector
from harness.nn.moving_average import ExponentialMovingAverage
from harness.nn.queue import Queue
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    crop: float = 0.5  # area of the smallest crop, as a fraction of the image in (0,1]
    temperature: float = 0.1  # T
    hidden: int = 256  # units of the projection's hidden layer
    projection: int = 64  # P
    queue: int = 4096  # Q; much less than there are images, else it holds keys of the query's own image
    decay: float = 0.99  # of the moving average

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")
        if min(self.hidden, self.projection, self.queue) < 1:
            raise ValueError("hidden, projection and queue must be at least 1")
        if not 0 <= self.decay < 1:
            raise ValueError("decay is a fraction in [0,1)")


class MoCo(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.view = views_for(data, config)  # (B,C,H,W) -> (B,C,H,W)
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.queries = nn.Sequential(backbone, projector(backbone.dim, config.hidden, config.projection))  # -> (B,P)
        self.average = ExponentialMovingAverage(self.queries, config.decay, statistics="batch", warm_up=False)
        self.queue = Queue(config.queue, config.projection)  # (Q,P)

    def loss(self, batch: Batch) -> Tensor:
        queries = self.queries(self.view(batch.inputs))  # (B,P)
        keys = self.keys(self.view(batch.inputs))  # (B,P)
        loss = info_nce(queries, keys, self.queue.values, self.config.temperature)  # nats per query
        self.queue.push(keys)
        return loss

    @torch.no_grad()
    def keys(self, views: Tensor) -> Tensor:
        """Keys of length 1, in fp32: (B,C,H,W) -> (B,P)."""
        return F.normalize(self.average.network(views).float(), dim=1)

    def after_step(self, progress: float) -> None:
        self.average.update(self.queries)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of which image of the batch is this another view? Cosines (B,B) of queries and keys / T, the answers (B,)."""
        queries, keys = self.queries(self.view(batch.inputs)), self.keys(self.view(batch.inputs))
        return matching_logits(queries, keys, self.config.temperature)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="moco",
        kind="pretext",
        build=MoCo,
        config=Config,
        source="arXiv:2003.04297",
        recipe={"batch_size": 256, "learning_rate": 2e-3},
    )
