"""Denoising diffusion. Ho et al. 2020, arXiv:2006.11239, algorithm 1 and equation 14; DDIM: Song et al. 2021.

B images, C channels, H=W pixels, D features, T noise levels, P steps of a strip.
q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I), where a_t (the paper's alpha bar) is the product of 1 - beta up to t, and
images lie in [-1,1]. A U-Net learns to tell the noise epsilon in x_t, by way of v = sqrt(a_t) epsilon - sqrt(1 - a_t)
x_0 (Salimans and Ho 2022, arXiv:2202.00512, appendix D); the loss is the mean squared error of v. Sampling is DDIM
with eta = 0 (arXiv:2010.02502, equation 12), which needs some tens of steps instead of T, by the moving average of the
weights. With a condition, labels or captions are left out at random in training, and guidance without a classifier
strengthens them in sampling (Ho and Salimans 2022, arXiv:2207.12598).

The backbone sees the noisy image; its features are added to the embedding of the time, which steers every block of
the U-Net (harness.nn.unet). The representation is read as in DDAE (Xiang et al. 2023, arXiv:2303.09769): activations
at little noise, averaged over positions. Here the image is scaled as at that time, but no noise is drawn.
Differs from the papers: v instead of epsilon, so that little noise is left in samples after a short training; times are
spread evenly over each batch (Kingma et al. 2021, arXiv:2107.00630, appendix I).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.conditions import condition_of
from harness.nn.moving_average import ExponentialMovingAverage
from harness.nn.unet import ConditionalUNet
from harness.plugin import Backbone, Batch, DataSpec, ImageField, Information, MethodSpec, hookimpl
from harness.seeding import derived_generator


@dataclass(frozen=True, kw_only=True)
class Config:
    condition: Literal["none", "labels", "captions"] = "none"  # what samples can be asked for
    width: int = 32  # maps of the U-Net at its first resolution: a multiple of 8
    steps: int = 1000  # T
    schedule: Literal["linear", "cosine"] = "cosine"  # of the betas
    sampling_steps: int = 25  # of DDIM, at most T
    guidance: float = 1.0  # w, of classifier-free guidance; 0: none
    drop: float = 0.1  # probability of training without the condition
    decay: float = 0.999  # of the moving average of the weights

    def __post_init__(self) -> None:
        if self.width < 8 or self.width % 8:
            raise ValueError("width must be a multiple of 8, since GroupNorm has 8 groups")
        if not 2 <= self.sampling_steps <= self.steps:
            raise ValueError("sampling_steps must lie between 2 and steps")
        if self.guidance < 0:
            raise ValueError("guidance must not be negative (0: none)")
        if not 0 <= self.drop <= 1 or not 0 <= self.decay < 1:
            raise ValueError("drop is a probability in [0,1], decay a rate in [0,1)")


class Diffusion(nn.Module):
    levels: Tensor

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.shape = data.inputs.shape
        self.condition = "" if config.condition == "none" else config.condition
        self.network = ConditionalUNet(backbone, data, width=config.width, condition=self.condition)
        self.averaged = ExponentialMovingAverage(self.network, config.decay)
        self.register_buffer("levels", (1 - betas(config.schedule, config.steps)).cumprod(0).float())  # a_t (T,)

    @property
    def backbone(self) -> Backbone:
        return self.network.backbone

    def loss(self, batch: Batch) -> Tensor:
        x = 2 * batch.inputs - 1  # (B,C,H,W) in [-1,1]
        t = spread_times(len(x), self.config.steps, x.device)
        epsilon = torch.randn_like(x)
        level = self.levels[t]  # a_t (B,)
        condition = condition_of(batch, self.condition) if self.condition else None
        asked = (torch.rand(len(x), device=x.device) >= self.config.drop).to(x.dtype)  # (B,) 0 or 1
        velocity = self.network(diffused(x, epsilon, level), t / self.config.steps, condition, asked)
        return F.mse_loss(velocity, velocity_of(x, epsilon, level))

    def after_step(self) -> None:
        self.averaged.update(self.network)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        *_, x = self._denoising(n, None, generator)
        return shown(x)

    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        *_, x = self._denoising(len(condition), condition, generator)
        return shown(x)

    def _denoising(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Iterator[Tensor]:
        """DDIM from pure noise to images in [-1,1]: all x on the way, (n,C,H,W) each."""
        x = torch.randn(n, *self.shape, generator=generator).to(self.levels.device)
        condition = None if condition is None else condition.to(x.device)
        yield x
        times = torch.linspace(self.config.steps - 1, 0, self.config.sampling_steps).round().long().tolist()
        for t, following in zip(times, [*times[1:], None], strict=True):
            time = x.new_full((n,), t / self.config.steps)
            velocity = self.averaged.network.guided(x, time, condition, self.config.guidance)
            level = x.new_ones(()) if following is None else self.levels[following]
            x = ddim_step(x, noise_in(x, velocity, self.levels[t]), self.levels[t], level)
            yield x

    def forward_process(self, images: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        epsilon = torch.randn(images.shape, generator=generator).to(images.device)
        t = torch.linspace(0, self.config.steps - 1, steps).round().long()  # (P,)
        x, level = 2 * images[:, None] - 1, self.levels[t]  # (B,1,C,H,W), (P,)
        return shown(diffused(x, epsilon[:, None], level[None]))  # (B,P,C,H,W)

    def reverse_process(self, n: int, steps: int, generator: torch.Generator) -> Tensor:
        way = torch.stack(list(self._denoising(n, None, generator)), 1)  # (n,sampling_steps+1,C,H,W)
        return shown(way[:, torch.linspace(0, way.shape[1] - 1, steps).round().long()])

    def encode(self, images: Tensor) -> Tensor:
        return self.read(images, self.readouts()[0])

    def readouts(self) -> tuple[str, ...]:
        return tuple(self._places())

    def read(self, images: Tensor, readout: str) -> Tensor:
        block, t = self._places()[readout]
        time = images.new_full((len(images),), t / self.config.steps)
        noisy = self.levels[t].sqrt() * (2 * images - 1)  # the mean of q(x_t | x_0)
        return self.averaged.network.features(noisy, time)[block]  # (B,D)

    def _places(self) -> dict[str, tuple[str, int]]:
        """(block, t) by name; the first is what did best on the validation images of digits."""
        times = [round(share * self.config.steps) for share in (0.4, 0.2, 0.1)]
        blocks = ("inner", "outer", "backbone")
        return {f"{block} at t={t}": (block, t) for t in times for block in blocks}

    def diagnose(self, images: Tensor) -> str:
        x = 2 * images - 1
        t = torch.linspace(0, self.config.steps - 1, len(x)).round().long().to(x.device)
        epsilon = torch.randn(x.shape, generator=derived_generator(0, "diagnosis noise")).to(x.device)
        level = self.levels[t]
        truth = velocity_of(x, epsilon, level)
        error = F.mse_loss(self.averaged.network(diffused(x, epsilon, level), t / self.config.steps), truth)
        share = float(error / truth.square().mean())
        return "" if share < 0.9 else f"the noise is not told: {share:.2g} of the error of predicting 0"


def betas(schedule: str, steps: int) -> Tensor:
    """The noise added at each t, float64 (T,): `linear` of Ho et al., at T=1000 from 1e-4 to 0.02 and for other T
    scaled to end at the same noise; `cosine` of Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17."""
    if schedule == "linear":
        return (torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * 1000 / steps).clamp(max=0.999)
    level = [cos((t / steps + 0.008) / 1.008 * pi / 2) ** 2 for t in range(steps + 1)]
    ratios = [1 - after / before for before, after in pairwise(level)]
    return torch.tensor(ratios, dtype=torch.float64).clamp(max=0.999)


def spread_times(n: int, steps: int, device: torch.device) -> Tensor:
    """int64 (n,) of uniform times in 0..T-1, one from each n-th of the range."""
    shares = (torch.arange(n, device=device) + torch.rand(n, device=device)) / n
    return (shares * steps).long().clamp(max=steps - 1)


def diffused(x: Tensor, epsilon: Tensor, level: Tensor) -> Tensor:
    """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) epsilon, equation 4, for images (...,C,H,W) and their levels a_t (...)."""
    level = level[..., None, None, None]
    return level.sqrt() * x + (1 - level).sqrt() * epsilon


def velocity_of(x: Tensor, epsilon: Tensor, level: Tensor) -> Tensor:
    """v = sqrt(a_t) epsilon - sqrt(1 - a_t) x_0, for images (...,C,H,W) and their levels a_t (...)."""
    level = level[..., None, None, None]
    return level.sqrt() * epsilon - (1 - level).sqrt() * x


def noise_in(noisy: Tensor, velocity: Tensor, level: Tensor) -> Tensor:
    """epsilon = sqrt(1 - a_t) x_t + sqrt(a_t) v: the noise that x_t and v tell, at one level for all."""
    return (1 - level).sqrt() * noisy + level.sqrt() * velocity


def ddim_step(x: Tensor, epsilon: Tensor, level: Tensor, following: Tensor) -> Tensor:
    """From a_t to the next level (1: data), with the predicted image clipped to [-1,1]; eta = 0."""
    image = ((x - (1 - level).sqrt() * epsilon) / level.sqrt()).clamp(-1, 1)
    epsilon = (x - level.sqrt() * image) / (1 - level).sqrt()
    return following.sqrt() * image + (1 - following).sqrt() * epsilon


def shown(x: Tensor) -> Tensor:
    """[-1,1] -> [0,1], clipped."""
    return ((x + 1) / 2).clamp(0, 1)


def uses(config: Config) -> tuple[Information, ...]:
    return () if config.condition == "none" else (config.condition,)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="diffusion",
        kind="model",
        build=Diffusion,
        config=Config,
        source="arXiv:2006.11239; sampling arXiv:2010.02502; guidance arXiv:2207.12598; readout arXiv:2303.09769",
        uses=uses,
        recipe={"batch_size": 64, "learning_rate": 2e-3, "weight_decay": 0.0, "clip_norm": 1.0},
    )
