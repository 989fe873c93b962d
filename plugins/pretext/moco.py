"""MoCo v2: which key in a long queue is of the same image? He et al. 2020, arXiv:1911.05722, and arXiv:2003.04297.

    l = -log exp(cos(q, k+) / T) / (exp(cos(q, k+) / T) + sum_{k- in queue} exp(cos(q, k-) / T))

B images, C channels, H=W pixels, D features, P units of a projection, Q keys in the queue, G groups of keys.
The query q of one view is made by the network that learns, the key k+ of the other by its moving average. The negatives
are keys of the last batches: many of them, whatever the batch size, and alike enough since the average moves slowly.
BatchNorm leaks. Only the own key was normalised with statistics of the same images as the query, the queue with those
of others: the answer could be known by that. The paper shuffles the keys among devices. On one device a shuffle alone
does nothing, as a mean has no order; here the keys are shuffled and normalised in G groups, as on G devices.
Differs from the paper: groups on one device; AdamW, batches of 256, a shorter queue and a faster average, for
budgets of minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.contrastive import info_nce
from harness.nn.heads import projector
from harness.nn.moving_average import ExponentialMovingAverage
from harness.nn.queue import Queue
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    crop: float = 0.5  # area of the smallest crop, as a fraction of the image in (0,1]
    temperature: float = 0.1  # T
    hidden: int = 256  # units of the projection's hidden layer
    projection: int = 64  # P
    queue: int = 4096  # Q; much less than there are images, else it holds keys of the query's own image
    decay: float = 0.99  # of the moving average
    groups: int = 4  # G, in which keys are normalised; 1: all together, which leaks

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")
        if min(self.hidden, self.projection, self.queue, self.groups) < 1:
            raise ValueError("hidden, projection, queue and groups must be at least 1")
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
        """Keys of length 1: (B,C,H,W) -> (B,P). In training each is normalised among those of a random group."""
        order = torch.randperm(len(views), device=views.device)
        groups = min(self.config.groups, len(views) // 2) if self.training else 1  # two at least: BatchNorm needs them
        parts = [self.average.network(part) for part in views[order].chunk(max(1, groups))]
        return F.normalize(torch.cat(parts)[order.argsort()].float(), dim=1)

    def after_step(self, progress: float) -> None:
        self.average.update(self.queries)

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of which image of the batch is this another view? Cosines (B,B) of queries and keys / T, the answers (B,)."""
        queries = self.queries(self.view(batch.inputs))
        keys = self.keys(self.view(batch.inputs))
        with full_precision(queries.device):
            cosines = F.normalize(queries.float(), dim=1) @ keys.T
        return cosines / self.config.temperature, torch.arange(len(keys), device=keys.device)

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
