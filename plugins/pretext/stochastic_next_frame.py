"""Stochastic next frames: one of the possible futures of a clip. Denton and Fergus 2018, arXiv:1802.07687, section 3.

As next-frame, with a latent z that says which of the futures it is. In training the whole window, past x and future y,
tells z; at test a prior that is learned of the past alone does (SVG-LP), so that each draw is one future:

    L = |y - y'(x,z)|^2 / N + beta * KL(q(z|x,y) || p(z|x)),    z ~ q in training, z ~ p at test    (equation 5)

N values of the future, so that the Gaussian likelihood of equation 5 has the variance N * beta / 2 in each value. Both
are diagonal Gaussians. `forecast`, one answer, has the prior's mean for z: a future where the prior knows, else
something between futures; `sample_future` draws. The terms of next-frame for what the code draws alone and for the
present stay. Differs from the paper: one z for a window of F frames, not one a frame; no recurrent networks, but those
of next-frame (harness.nn.painting); the same backbone reads the past and the whole window.

B clips, T frames, P of the past, F painted, C channels, H=W pixels, D features, L latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.nn.clips import WHOLE, WINDOWS, read_clips
from harness.nn.decoders import ConvDecoder
from harness.nn.painting import FramePainter
from harness.plugin import Backbone, Batch, DataSpec, MethodSpec, NotApplicable, VideoField, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    past: int = 4  # P, the present among them
    ahead: int = 8  # F at most; clips with fewer frames left over have less
    latent: int = 8  # L
    beta: float = 1e-4  # of the divergence in nats, against the squared error of a value
    copies: int = 2  # moved copies of the present frame: one for each thing that moves on its own
    drawing: float = 2.0  # weight of the error of what code and latent draw alone
    present: float = 4.0  # weight of the error of the present frame, drawn from the code alone

    def __post_init__(self) -> None:
        if min(self.past, self.ahead, self.copies, self.latent) < 1:
            raise ValueError("past, ahead, copies and latent must be at least 1")
        if min(self.beta, self.drawing, self.present) < 0:
            raise ValueError("beta, drawing and present are weights: at least 0")


class StochasticNextFrame(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[VideoField], config: Config) -> None:
        super().__init__()
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        self.config = config
        self.ahead = min(config.ahead, data.inputs.frames - config.past)  # F
        self.backbone = backbone  # (B,P,C,H,W) -> (B,D)
        dim, frame, latent = backbone.dim, data.inputs.frame, config.latent
        self.prior = Gaussian(dim, latent)
        self.posterior = Gaussian(2 * dim, latent)
        self.painter = FramePainter(dim + latent, frame, painted=self.ahead, known=1, copies=config.copies)
        self.present = ConvDecoder(dim, DataSpec(inputs=frame)) if config.present else None  # (B,D) -> (B,C,H,W)

    def loss(self, batch: Batch) -> Tensor:
        clips, past = batch.inputs, self.config.past
        begin = int(torch.randint(clips.shape[1] - past, ()))
        window = clips[:, begin : begin + past + self.ahead]
        seen, future = window[:, :past], window[:, past:]  # (B,P,C,H,W), (B,f,C,H,W), f up to F
        code = self.backbone(seen)  # (B,D)
        prior = self.prior(code)
        posterior = self.posterior(torch.cat([code, self.backbone(window)], 1))
        latent = posterior[0] + (0.5 * posterior[1]).exp() * torch.randn_like(posterior[0])  # (B,L)
        painted, drawn = (part[:, : future.shape[1]].float() for part in self._painted(code, latent, seen))
        error, divergence = (painted - future).square().mean(), divergence_of(posterior, prior).mean()
        batch.log("error", error)
        batch.log("divergence", divergence)
        loss = error + self.config.beta * divergence + self.config.drawing * (drawn - future).square().mean()
        if self.present is not None:
            loss = loss + self.config.present * (self.present(code).float() - seen[:, -1]).square().mean()
        return loss

    def _painted(self, code: Tensor, latent: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The next F frames and what of them code and latent draw alone: (B,F,C,H,W) twice."""
        return self.painter(torch.cat([code, latent.to(code.dtype)], 1), past[:, -1:])

    def forecast(self, past: Tensor, steps: int) -> Tensor:
        return self._continued(past, steps, lambda mean, log_variance: mean)

    def sample_future(self, past: Tensor, steps: int, generator: Any) -> Tensor:
        def draw(mean: Tensor, log_variance: Tensor) -> Tensor:
            noise = torch.randn(mean.shape, generator=generator).to(mean.device)
            return mean + (0.5 * log_variance).exp() * noise

        return self._continued(past, steps, draw)

    def _continued(self, past: Tensor, steps: int, draw: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Windows one after the other, each with a latent of its own and the painted frames as its past."""
        clips = past
        while clips.shape[1] < past.shape[1] + steps:
            seen = clips[:, -self.config.past :]
            code = self.backbone(seen)
            clips = torch.cat([clips, self._painted(code, draw(*self.prior(code)), seen)[0].clamp(0, 1)], 1)
        return clips[:, past.shape[1] : past.shape[1] + steps]

    def encode(self, clips: Tensor) -> Tensor:
        return self.read(clips, WINDOWS)

    def readouts(self) -> tuple[str, ...]:
        return (WINDOWS, WHOLE)

    def read(self, clips: Tensor, readout: str) -> Tensor:
        return read_clips(self.backbone, clips, self.config.past, readout)  # (B,D)


class Gaussian(nn.Module):
    """Codes (B,D) -> mean and logarithm of the variance of a diagonal Gaussian, (B,L) each, in fp32."""

    def __init__(self, dim: int, latent: int, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, width), nn.ReLU(), nn.Linear(width, 2 * latent))

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.layers(code).float().chunk(2, 1)
        return mean, log_variance.clamp(-10, 10)


def divergence_of(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Tensor:
    """KL(N(m, v) || N(m', v')) of means and log-variances (B,L), summed over dimensions: (B,) nats.

        sum 1/2 (log v' - log v + (v + (m - m')^2) / v' - 1)

    >>> zero = torch.zeros(1, 2)
    >>> divergence_of((zero + 1, zero), (zero, zero))
    tensor([1.])
    """
    (mean, spread), (other_mean, other_spread) = one, other
    ratio = (spread - other_spread).exp()
    apart = (mean - other_mean).square() * (-other_spread).exp()
    return 0.5 * (other_spread - spread + ratio + apart - 1).sum(1)


def applies(data: DataSpec[VideoField], config: Config) -> str:
    if data.inputs.frames <= config.past:
        return f"clips of {data.inputs.frames} frames have no future after past={config.past} of them: take fewer"
    return ""


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="stochastic-next-frame",
        kind="pretext",
        build=StochasticNextFrame,
        config=Config,
        takes=("video",),
        applies=applies,
        source="arXiv:1802.07687",
    )
