"""DINO: a student that sees small crops agrees with a slow teacher that sees large ones. Caron et al. 2021,
arXiv:2104.14294, algorithm 1.

    L = -mean over pairs of views of sum_k P_teacher(large)_k log P_student(other)_k,   P_student = softmax(s / T_s)

The teacher, a moving average of the student, is normalised by batch statistics like it. What it says is sharpened by
a low T_t, or it would say nothing, and balanced, or one prototype would take all images: each alone collapses, in
opposite ways (section 5.3). `balance` is one of
    sinkhorn  P_teacher = Sinkhorn(t / T_t): all prototypes equally often over the batch (DINOv2, arXiv:2304.07193)
    centre    P_teacher = softmax((t - c) / T_t), c the moving mean of t: the paper's

B images, C channels, H=W pixels, D features, P units of a projection, K prototypes, G large and L small views.
Differs from the paper: Sinkhorn by default, since in a few hundred steps the moving centre lags behind: assignments
drift to a few prototypes (T_t of 0.02) or to all alike (0.04 and a decay of 0.9), and kNN or probe fall below those of
an untrained network; a sharper teacher, and BatchNorm in the head and at its end, without which all assignments become
alike on digits of 16 pixels; AdamW at a higher rate; a teacher that moves faster; no blur.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.gathering import gathered_apart
from harness.nn.heads import Prototypes, projector
from harness.nn.moving_average import ExponentialMovingAverage
from harness.nn.schedules import cosine
from harness.nn.sinkhorn import sinkhorn
from harness.nn.views import ViewConfig, views_for
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl

LEAST_TOLD = 0.05  # of which image it is, by the teacher's assignments, as a fraction of the most possible
LEAST_DIMENSION = 1.2  # of the features: an untrained network has about 2


@dataclass(frozen=True, kw_only=True)
class Config(ViewConfig):
    hidden: int = 512  # units of the head's hidden layers
    projection: int = 128  # P
    prototypes: int = 256  # K
    student: float = 0.1  # T_s
    teacher: float = 0.02  # T_t
    balance: Literal["sinkhorn", "centre"] = "sinkhorn"  # what keeps prototypes from taking all images
    centring: float = 0.9  # decay of the centre c
    decay: float = 0.97  # of the teacher at the start; it rises to 1 by the end of training
    frozen: float = 0.1  # fraction of training in which prototypes do not move
    small: int = 4  # L, views of a smaller part of the image
    small_crop: float = 0.1  # area of the smallest small view; the largest is `crop`
    small_size: float = 0.5  # H=W of small views, as a fraction of the image's

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.hidden, self.projection - 1, self.prototypes - 1) < 1:
            raise ValueError("hidden must be at least 1, projection and prototypes at least 2")
        if self.student <= 0 or self.teacher <= 0:
            raise ValueError("student and teacher are temperatures: they must be positive")
        if not (0 <= self.centring <= 1 and 0 <= self.decay <= 1):
            raise ValueError("centring and decay are fractions in [0,1]")
        if not 0 <= self.frozen < 1:
            raise ValueError("frozen is a fraction of training in [0,1)")
        if self.small < 0 or not 0 < self.small_size <= 1:
            raise ValueError("small must not be negative, and small_size is a fraction in (0,1]")
        if not 0 < self.small_crop <= self.crop:
            raise ValueError(f"small_crop is an area in (0,{self.crop:g}], the smallest of a large view")


class Dino(nn.Module):
    centre: Tensor  # c (K,)

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        head = projector(backbone.dim, config.hidden, config.projection, layers=3, last_norm=True)
        self.projector = head  # (B,D) -> (B,P)
        self.prototypes = Prototypes(config.projection, config.prototypes)  # (B,P) -> cosines (B,K)
        self.student = nn.Sequential(backbone, self.projector, self.prototypes)
        self.teacher = ExponentialMovingAverage(self.student, config.decay, statistics="batch", warm_up=False)
        self.register_buffer("centre", torch.zeros(config.prototypes))
        self.views = views_for(data, config)
        size = round(config.small_size * data.inputs.size) if backbone.any_size else data.inputs.size
        self.small = replace(self.views, size=size, smallest=config.small_crop, largest=config.crop)

    def loss(self, batch: Batch) -> Tensor:
        large = torch.cat([self.views(batch.inputs) for _ in range(2)])  # (2B,C,H,W)
        seen = [large]
        if self.config.small:
            seen.append(torch.cat([self.small(batch.inputs) for _ in range(self.config.small)]))  # (L*B,C,h,w)
        with torch.no_grad():
            taught = self.teacher.network(large).unflatten(0, (2, -1))  # (2,B,K)
        projected = [self.projector(self.backbone(views)) for views in seen]  # (2B,P) and (L*B,P)
        learned = torch.cat([self.prototypes(z) for z in projected])  # ((2+L)*B,K)
        scores = learned.unflatten(0, (-1, len(batch.inputs)))  # (2+L,B,K)
        targets = self.targets(taught)  # (2,B,K)
        self.centre.copy_(moved(self.centre, taught, self.config.centring))
        batch.log("told_apart", told_apart(targets.flatten(0, 1)))
        return agreement(targets, F.log_softmax(scores / self.config.student, dim=2))

    def targets(self, taught: Tensor) -> Tensor:
        """P_teacher of the teacher's scores, both (G,B,K), in fp32: an autocast leaves softmax and Sinkhorn alone."""
        if self.config.balance == "centre":
            return F.softmax((taught - self.centre) / self.config.teacher, dim=2)
        return torch.stack([sinkhorn(scores, self.config.teacher) for scores in taught])

    def rates(self, progress: float) -> dict[str, float]:
        """Prototypes stay as they are at first."""
        return {"prototypes": 0.0} if progress < self.config.frozen else {}

    def after_step(self, progress: float) -> None:
        self.teacher.update(self.student, cosine(self.config.decay, 1.0, progress))

    def diagnose(self, images: Tensor) -> str:
        """Would all images be assigned alike, be it to one prototype or to every one; are the features on one line?

        By the student, since a teacher's running statistics are further behind than its weights.
        """
        said = told_apart(self.targets(self.student(images)[None])[0])
        if said < LEAST_TOLD:
            share = f"{float(said):.2g} of what they could"
            return f"collapsed: assignments to prototypes tell {share} of {len(images)} images"
        dimension = effective_dimension(self.backbone(images))
        if dimension < LEAST_DIMENSION:
            return f"collapsed: the features have an effective dimension of {float(dimension):.2f}"
        return ""

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)


def agreement(targets: Tensor, logs: Tensor) -> Tensor:
    """Cross-entropy of what the teacher says (G,B,K) with the student's log-probabilities (G+L,B,K) of other views."""
    pairs = [(target, log) for i, target in enumerate(targets) for j, log in enumerate(logs) if i != j]
    return torch.stack([-(target * log).sum(1).mean() for target, log in pairs]).mean()  # nats per pair


def moved(centre: Tensor, taught: Tensor, decay: float) -> Tensor:
    """The centre (K,) after a step towards the mean of the teacher's scores (G,B,K) over the whole batch."""
    everywhere = gathered_apart(taught.transpose(0, 1)).mean((0, 1))  # (K,)
    return centre.lerp(everywhere, 1 - decay)


def told_apart(targets: Tensor) -> Tensor:
    """What assignments (B,K) tell of which image it is: entropy of their mean less their mean entropy, in [0,1].

    As a fraction of the most possible. 0 after either collapse: all take one prototype, or all take all alike.
    """
    mean, own = (-torch.xlogy(shares, shares).sum(-1) for shares in (targets.mean(0), targets))
    return (mean - own.mean()) / log(min(targets.shape))


def effective_dimension(features: Tensor) -> Tensor:
    """Participation ratio of the eigenvalues l of the covariance of (B,D): (sum l)^2 / sum l^2, at least 1."""
    spread = torch.linalg.svdvals((features - features.mean(0)).double()).square()
    return spread.sum().square() / spread.square().sum()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="dino",
        kind="pretext",
        build=Dino,
        config=Config,
        source="arXiv:2104.14294",
        recipe={"batch_size": 256},
    )
