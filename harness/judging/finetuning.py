"""A backbone with a new linear classifier, trained as the harness trains: its optimiser, its schedule, its precision.

The classifier stands on features that BatchNorm without weights of its own has scaled, as in He et al. 2022,
arXiv:2111.06377, appendix A.1: else a rate that fits one representation is far off for another.

B examples, N rows, D features, K classes, n stages of a backbone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.clock import rate_at
from harness.data.batches import Batch
from harness.data.columns import Column
from harness.data.images import channels_last
from harness.judging.observing import BLOCK, Moments
from harness.judging.subject import Subject
from harness.metrics.classification import accuracy, most_accurate, negative_log_likelihood
from harness.nn.backbone import Backbone
from harness.nn.stages import freeze_stages
from harness.optimisation import Optimisation
from harness.precision import autocast
from harness.records import TrainConfig
from harness.seeding import seed_everything

KEPT = 2**28  # bytes of what a model is given that are kept, for all of its steps; what is larger is made again

Read = Callable[[Tensor], Tensor]  # rows (B,) -> what a model is given of them (B,...), on the device


@dataclass(frozen=True, kw_only=True)
class Examples:
    """N labelled examples as a model is given them."""

    read: Read
    labels: Tensor  # int64 (N,), on the device


class Transferred(nn.Module):
    """A backbone and a new classifier: what the stage `start` is given (B,...) -> logits (B,K).

    frozen: how many of the first stages hold still, in eval mode. Where the backbone can be run stage by stage, the
    model starts after them, so that what they give is computed once and not in every step.
    """

    def __init__(self, backbone: Backbone, classes: int, frozen: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(True)
        self.frozen = backbone.stages()[:frozen]
        self.start = frozen if backbone.is_chain else 0
        self.scale = nn.BatchNorm1d(backbone.dim, affine=False)
        self.head = nn.Linear(backbone.dim, classes)
        self.train()

    def train(self, mode: bool = True) -> Transferred:
        """Train mode of all but the frozen stages."""
        super().train(mode)
        freeze_stages(self.frozen, self.backbone.trunk)
        return self

    def forward(self, states: Tensor) -> Tensor:
        if self.backbone.is_chain:
            features = self.backbone.between(self.start, len(self.backbone.stages()), states)
        else:
            features = self.backbone.trunk(states)
        return self.head(self.scale(features))

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of the labels, which are there."""
        assert batch.labels is not None
        return F.cross_entropy(self(batch.inputs).float(), batch.labels)  # nats per example


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How every trial is trained: the learning rates of them, and what they share."""

    rates: Sequence[float]
    steps: int
    looks: int  # checkpoints of each, evenly over its steps, the last at the end
    batch_size: int
    precision: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The checkpoint that does best on validation."""

    model: Transferred
    rate: float
    step: int
    result: tuple[float, float]  # its accuracy and its negative log likelihood (nats) on validation


def examples_of(subject: Subject, inputs: Column, labels: Tensor, depth: int, *, keep: bool = True) -> Examples:
    """Inputs of a target as the method's own trunk is given them, or as its first `depth` frozen stages give them on.

    What fits in KEPT bytes is computed once.
    """
    backbone, device = subject.backbone, subject.device

    def read(rows: Tensor) -> Tensor:
        seen = channels_last(subject.spec.inputs.ready(inputs.take(rows.cpu()).to(device)))
        with torch.no_grad(), autocast(device, subject.cell.precision):
            states = backbone.between(0, depth, subject.trunk_inputs(seen))
        return states.float() if states.is_floating_point() else states  # tokens stay what they are

    one = read(torch.zeros(1, dtype=torch.int64))
    if not keep or one.nbytes * len(inputs) > KEPT:
        return Examples(read=read, labels=labels.to(device))
    kept = torch.cat([read(rows) for rows in torch.arange(len(inputs)).split(BLOCK)])
    return Examples(read=lambda rows: kept.index_select(0, rows.to(device)), labels=labels.to(device))


def best_checkpoint(start: Transferred, train: Examples, validation: Examples, how: Descent) -> Chosen:
    """Train a copy of `start` at each rate, look at it on validation at each checkpoint, and take the best of all.

    The order of the batches is the same for all. Best is the most accurate; of several, the likeliest.
    """
    best: Chosen | None = None
    for rate in how.rates:
        model, moments = copy.deepcopy(start), Moments(how.looks)
        moments.due(0.0)  # untrained is no checkpoint
        config = TrainConfig(batch_size=how.batch_size, learning_rate=rate)
        optimisation = Optimisation(model, config, how.precision)
        seed_everything(how.seed, "fine-tuning")
        batches = _Shuffled(train, how.batch_size)
        for step in range(how.steps):
            done = step / how.steps
            optimisation.step(batches.next(done), rate_at(done, config.warmup, config.schedule))
            if not moments.due((step + 1) / how.steps):
                continue
            result = _judged(probabilities(model, validation, how.precision), validation.labels.cpu())
            if best is None or _better(result, best.result):
                best = Chosen(model=copy.deepcopy(model), rate=rate, step=step + 1, result=result)
    assert best is not None, "there is a checkpoint at the end of each rate"
    return best


def probabilities(model: Transferred, examples: Examples, precision: str) -> Tensor:
    """(N,K) of all examples, on the CPU, in eval mode; the model is in train mode after it."""
    model.eval()
    parts = []
    with torch.no_grad(), autocast(examples.labels.device, precision):
        for rows in torch.arange(len(examples.labels)).split(BLOCK):
            parts.append(model(channels_last(examples.read(rows))).float().softmax(1).cpu())
    model.train()
    return torch.cat(parts)


class _Shuffled:
    """Batches of examples without end, each example once per epoch but for the last partial batch.

    The order is drawn from torch's global generator of the CPU.
    """

    def __init__(self, examples: Examples, batch_size: int) -> None:
        self.examples = examples
        self.batch_size = min(batch_size, len(examples.labels))
        self.order: list[Tensor] = []

    def next(self, progress: float) -> Batch:
        if not self.order:
            size = self.batch_size
            drawn = torch.randperm(len(self.examples.labels))
            self.order = list(drawn[: len(drawn) // size * size].split(size))
        rows = self.order.pop(0)
        labels = self.examples.labels.index_select(0, rows.to(self.examples.labels.device))
        return Batch(inputs=channels_last(self.examples.read(rows)), labels=labels, progress=progress)


def _judged(shares: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy, and nats per example; one that gave no finite number is the worst."""
    if not bool(shares.isfinite().all()):
        return 0.0, float("inf")
    return accuracy(shares.argmax(1), labels), negative_log_likelihood(shares, labels)


def _better(result: tuple[float, float], than: tuple[float, float]) -> bool:
    return most_accurate([than, result]) == 1
