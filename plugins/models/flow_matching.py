"""Flow matching along straight lines. Lipman et al. 2023, arXiv:2210.02747, section 4.1; Liu et al. 2023, 2209.03003.

B images, C channels, H=W pixels, D features, P steps of a strip.
x_t = (1 - t) x_0 + t x_1 leads from noise x_0 ~ N(0, I) at t = 0 to an image x_1 in [-1,1] at t = 1. A U-Net learns
the velocity x_1 - x_0 at x_t; the loss is its mean squared error (equation 23 with sigma_min = 0). Sampling solves
dx = v(x, t) dt with Euler's method, by the moving average of the weights. With a condition, labels or captions are
left out at random in training, and guidance without a classifier strengthens them in sampling (Ho and Salimans 2022,
arXiv:2207.12598, on velocities).

The backbone sees x_t; its features are added to the embedding of the time, which steers every block of the U-Net
(harness.nn.unet). The representation is read near t = 1 as in DDAE (Xiang et al. 2023, arXiv:2303.09769): activations
averaged over positions. Here the image is scaled as at that time, but no noise is drawn.
Differs from the papers: times are spread evenly over each batch, and Euler's method replaces an adaptive solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    sampling_steps: int = 25  # of Euler's method
    guidance: float = 1.0  # w, of classifier-free guidance; 0: none
    drop: float = 0.1  # probability of training without the condition
    decay: float = 0.999  # of the moving average of the weights

    def __post_init__(self) -> None:
        if self.width < 8 or self.width % 8:
            raise ValueError("width must be a multiple of 8, since GroupNorm has 8 groups")
        if self.sampling_steps < 1:
            raise ValueError("sampling_steps must be at least 1")
        if self.guidance < 0:
            raise ValueError("guidance must not be negative (0: none)")
        if not 0 <= self.drop <= 1 or not 0 <= self.decay < 1:
            raise ValueError("drop is a probability in [0,1], decay a rate in [0,1)")


class FlowMatching(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.shape = data.inputs.shape
        self.condition = "" if config.condition == "none" else config.condition
        self.network = ConditionalUNet(backbone, data, width=config.width, condition=self.condition)
        self.averaged = ExponentialMovingAverage(self.network, config.decay)

    @property
    def backbone(self) -> Backbone:
        return self.network.backbone

    def loss(self, batch: Batch) -> Tensor:
        image = 2 * batch.inputs - 1  # x_1 (B,C,H,W) in [-1,1]
        noise = torch.randn_like(image)  # x_0
        t = spread_times(len(image), image.device)
        condition = condition_of(batch, self.condition) if self.condition else None
        asked = (torch.rand(len(image), device=image.device) >= self.config.drop).to(image.dtype)  # (B,) 0 or 1
        velocity = self.network(between(noise, image, t), t, condition, asked)
        return F.mse_loss(velocity, image - noise)

    def after_step(self) -> None:
        self.averaged.update(self.network)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        *_, x = self._flow(n, None, generator)
        return shown(x)

    def sample_as(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        *_, x = self._flow(len(condition), condition, generator)
        return shown(x)

    def _flow(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Iterator[Tensor]:
        """From noise to images in about [-1,1]: all x on the way, (n,C,H,W) each."""
        device = self.averaged.updates.device
        x = torch.randn(n, *self.shape, generator=generator).to(device)
        condition = None if condition is None else condition.to(device)

        def velocity(x: Tensor, t: float) -> Tensor:
            return self.averaged.network.guided(x, x.new_full((n,), t), condition, self.config.guidance)

        yield x
        yield from euler(velocity, x, self.config.sampling_steps)

    def forward_process(self, images: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        t = torch.linspace(1, 0, steps, device=images.device)  # (P,)
        return shown(between(noise[:, None], 2 * images[:, None] - 1, t[None]))  # (B,P,C,H,W)

    def reverse_process(self, n: int, steps: int, generator: torch.Generator) -> Tensor:
        way = torch.stack(list(self._flow(n, None, generator)), 1)  # (n,sampling_steps+1,C,H,W)
        return shown(way[:, torch.linspace(0, way.shape[1] - 1, steps).round().long()])

    def encode(self, images: Tensor) -> Tensor:
        return self.read(images, self.readouts()[0])

    def readouts(self) -> tuple[str, ...]:
        return tuple(PLACES)

    def read(self, images: Tensor, readout: str) -> Tensor:
        block, t = PLACES[readout]
        time = images.new_full((len(images),), t)
        return self.averaged.network.features(t * (2 * images - 1), time)[block]  # of the mean of x_t: (B,D)

    def diagnose(self, images: Tensor) -> str:
        image = 2 * images - 1
        noise = torch.randn(image.shape, generator=derived_generator(0, "diagnosis noise")).to(image.device)
        t = torch.linspace(0, 1, len(image), device=image.device)
        error = F.mse_loss(self.averaged.network(between(noise, image, t), t), image - noise)
        share = float(error / (image - noise).square().mean())
        return "" if share < 0.9 else f"the velocity is not told: {share:.2g} of the error of predicting 0"


# (block, t) by name; the first has the signal-to-noise ratio that did best for diffusion on digits' validation images.
PLACES = {f"{block} at t={t}": (block, t) for t in (0.6, 0.75, 0.9) for block in ("inner", "outer", "backbone")}


def spread_times(n: int, device: torch.device) -> Tensor:
    """(n,) uniform times in [0,1), one from each n-th of the range."""
    return (torch.arange(n, device=device) + torch.rand(n, device=device)) / n


def between(noise: Tensor, image: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x_0 + t x_1, for images (...,C,H,W) and their times (...)."""
    return torch.lerp(noise, image, t[..., None, None, None])


def euler(velocity: Callable[[Tensor, float], Tensor], x: Tensor, steps: int) -> Iterator[Tensor]:
    """Solve dx = v(x, t) dt from t = 0 to 1 in equal steps: x after each of them."""
    for step in range(steps):
        x = x + velocity(x, step / steps) / steps
        yield x


def shown(x: Tensor) -> Tensor:
    """[-1,1] -> [0,1], clipped."""
    return ((x + 1) / 2).clamp(0, 1)


def uses(config: Config) -> tuple[Information, ...]:
    return () if config.condition == "none" else (config.condition,)


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="flow-matching",
        kind="model",
        build=FlowMatching,
        config=Config,
        source="arXiv:2210.02747; guidance arXiv:2207.12598; readout arXiv:2303.09769",
        uses=uses,
        recipe={"batch_size": 64, "learning_rate": 2e-3, "weight_decay": 0.0, "clip_norm": 1.0},
    )
