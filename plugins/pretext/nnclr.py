"""NNCLR: predict the nearest neighbour of the other view. Dwibedi et al. 2021, arXiv:2104.14548, equations 2 to 4.

    l_i = -log exp(cos(NN(z_i), p_i) / T) / sum_k exp(cos(NN(z_i), p_k) / T),    NN(z) = argmax_{s in queue} cos(z, s)

B images, C channels, H=W pixels, D features, P units of a projection, Q places of the queue.
z_i projects one view, p_i predicts from the other. In place of z_i itself stands its nearest neighbour among the
projections of earlier batches: mostly another image of the same kind, so that positives differ by more than any view.
Both views play both parts. Gradients reach the predictions alone; a neighbour is a row of the queue.
Differs from the paper: AdamW, batches of 128 and a shorter queue, for budgets of minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.gathering import gathered, gathered_apart
from harness.nn.heads import predictor, projector
from harness.nn.queue import Queue
from harness.nn.views import ViewConfig, two_views, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, full_precision, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    crop: float = 0.5  # area of the smallest crop, as a fraction of the image in (0,1]
    temperature: float = 0.1  # T
    hidden: int = 256  # units of the hidden layers of projection and predictor
    projection: int = 64  # P
    layers: int = 3  # of the projection, which ends with a BatchNorm
    queue: int = 1024  # Q; the longer, the nearer is a neighbour, and the older the network that it came from

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")
        if min(self.hidden, self.projection, self.layers, self.queue) < 1:
            raise ValueError("hidden, projection, layers and queue must be at least 1")


def nearest(embeddings: Tensor, queue: Tensor) -> Tensor:
    """The row of the queue (Q,P) with the largest cosine to each embedding (B,P), of length 1 and in fp32: (B,P)."""
    with full_precision(queue.device):
        rows = F.normalize(queue.float(), dim=1)
        cosines = F.normalize(embeddings.detach().float(), dim=1) @ rows.T  # (B,Q)
        return rows[cosines.argmax(1)]


def neighbour_logits(neighbours: Tensor, predictions: Tensor, temperature: float) -> Tensor:
    """Cosines / T of neighbours and predictions, both (B,P), each with each: (B,B), the right ones on the diagonal."""
    with full_precision(predictions.device):
        asked, given = F.normalize(neighbours.float(), dim=1), F.normalize(predictions.float(), dim=1)
        return asked @ given.T / temperature


def nnclr_loss(neighbours: Tensor, predictions: Tensor, temperature: float) -> Tensor:
    """Equation 2 averaged over the batch, that of all processes together: nats per image."""
    logits = neighbour_logits(gathered_apart(neighbours), gathered(predictions), temperature)
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


class NnClr(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.view = views_for(data, config)  # (B,C,H,W) -> (B,C,H,W)
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.projector = projector(
            backbone.dim, config.hidden, config.projection, layers=config.layers, last_norm=True
        )  # (B,D) -> (B,P)
        self.predictor = predictor(config.projection, config.hidden)  # (B,P) -> (B,P)
        self.queue = Queue(config.queue, config.projection)  # (Q,P)

    def projections(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Projections (B,P) of two views of each image, which share the statistics of one batch of 2B."""
        one, other = self.projector(self.backbone(two_views(self.view, images))).chunk(2)  # (B,P) each
        return one, other

    def loss(self, batch: Batch) -> Tensor:
        one, other = self.projections(batch.inputs)
        predicted_by_one, predicted_by_other = self.predictor(torch.cat([one, other])).chunk(2)  # (B,P) each
        near_one, near_other = nearest(one, self.queue.values), nearest(other, self.queue.values)
        t = self.config.temperature
        loss = (nnclr_loss(near_one, predicted_by_other, t) + nnclr_loss(near_other, predicted_by_one, t)) / 2
        self.queue.push(F.normalize(one.detach().float(), dim=1))
        return loss

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """By which image of the batch was this view's neighbour predicted? Cosines (B,B) / T, the answers (B,)."""
        one, other = self.projections(batch.inputs)
        logits = neighbour_logits(nearest(one, self.queue.values), self.predictor(other), self.config.temperature)
        return logits, torch.arange(len(one), device=one.device)

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="nnclr",
        kind="pretext",
        build=NnClr,
        config=Config,
        source="arXiv:2104.14548",
        recipe={"batch_size": 128, "learning_rate": 4e-3},
    )
