"""Colourisation: which colour had each place of a grey image? Zhang et al. 2016, arXiv:1603.08511, section 2.

B images, H=W pixels, D features, h=w positions of the backbone's maps, Q bins of colour, n=B*h*w places.
The encoder sees the lightness L* alone, three times over, and classifies the colour (a*,b*) of the pixel in the middle
of each position among the bins of a grid of 10 that a screen can show. With Z the true colour, spread over its 5
nearest bins by a Gaussian of deviation 5:
L = - mean_n v(Z_n) sum_q Z_nq log Z^_nq         equation 2
v(Z) = w at the most likely bin of Z; w ~ ((1 - lambda) p~ + lambda / Q)^-1, sum_q p~_q w_q = 1    equations 3 and 4
where p~ is how frequent each colour is, smoothed by that Gaussian: greys, of which there are most, count least.
Differs from the paper: p is a running average over the batches of training, which includes the present one, and not
counted beforehand; Q is 261 instead of 313, which the paper has for bins at the edge of what can be shown; one hidden
layer on the shared backbone's maps; AdamW.
The encoder is judged on the lightness of whole images, for that is what it has learned to see; to be fair to tasks
where colours tell, `readouts` offers the images in colour too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.nn.lab import rgb_to_lab
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, NotApplicable, full_precision, hookimpl

SHADES = 64  # of each of R, G and B: enough to find all bins that a screen can show
KEPT = 0.99  # of the older batches in the running average of p; the first 100 batches count alike


@dataclass(frozen=True, kw_only=True)
class Config:
    step: float = 10.0  # of the grid of bins, in units of a* and b*
    nearest: int = 5  # bins that a colour is spread over
    deviation: float = 5.0  # sigma of the Gaussian, in units of a* and b*
    uniform: float = 0.5  # lambda in [0,1]: 0 weighs a colour by its rarity alone, 1 all colours alike
    hidden: int = 128  # channels of the head's hidden layer

    def __post_init__(self) -> None:
        if not 5 <= self.step <= 50:
            raise ValueError("step must be in [5,50]")
        if not 1 <= self.nearest <= 9 or self.deviation <= 0:
            raise ValueError("nearest must be in [1,9], deviation positive")
        if not 0 < self.uniform <= 1:
            raise ValueError("uniform is a share in (0,1]: at 0 a colour that never came would weigh infinitely much")
        if self.hidden < 1:
            raise ValueError("hidden must be at least 1")


class Colorization(nn.Module):
    bins: Tensor
    spread: Tensor
    frequency: Tensor
    batches: Tensor

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        reason = applies(data, config)
        if reason:
            raise NotApplicable(reason)
        self.config = config
        self.positions = backbone.map_size(data.inputs.size)  # h
        bins = colour_bins(config.step)
        self.register_buffer("bins", bins)  # (Q,2)
        self.register_buffer("spread", smoothing(bins, config.deviation))  # (Q,Q)
        self.register_buffer("frequency", torch.full((len(bins),), 1 / len(bins)))  # (Q,): p
        self.register_buffer("batches", torch.zeros(()))  # seen so far
        self.backbone = backbone  # (B,3,H,W) -> (B,D,h,w)
        self.head = nn.Sequential(
            nn.Conv2d(backbone.dim, config.hidden, 1), nn.ReLU(), nn.Conv2d(config.hidden, len(bins), 1)
        )  # (B,D,h,w) -> (B,Q,h,w)

    def loss(self, batch: Batch) -> Tensor:
        lab = rgb_to_lab(batch.inputs)
        logits = self.classify(lab)  # (n,Q)
        with full_precision(logits.device):
            chosen, shares = soft_bins(self.colours(lab), self.bins, self.config.nearest, self.config.deviation)
            truth = chosen[:, 0]  # (n,): the nearest bin is the most likely one
            if self.training:
                self.count(truth)
            weight = self.weights()[truth]  # (n,)
            surprise = -(logits.log_softmax(1).gather(1, chosen) * shares).sum(1)  # (n,) nats
        batch.log("accuracy", (logits.argmax(1) == truth).float().mean())
        return (weight * surprise).mean()  # weighted nats per place

    def weights(self) -> Tensor:
        """w of each bin by what was counted so far: (Q,)."""
        with full_precision(self.frequency.device):
            return rarity(self.frequency @ self.spread, self.config.uniform)

    def classify(self, lab: Tensor) -> Tensor:
        """The logits of each place's colour from the lightness of (B,3,H,W): (n,Q)."""
        return self.head(self.backbone.maps(lightness(lab))).movedim(1, -1).flatten(0, 2).float()

    def colours(self, lab: Tensor) -> Tensor:
        """a* and b* of the pixel in the middle of each position: (B,3,H,W) -> (n,2)."""
        size = lab.shape[-1]
        middles = (torch.arange(self.positions, device=lab.device) * 2 + 1) * size // (2 * self.positions)  # (h,)
        return lab[:, 1:, middles[:, None], middles].movedim(1, -1).flatten(0, 2)

    @torch.no_grad()
    def count(self, truth: Tensor) -> None:
        """Take the bins of a batch (n,) into the running average of how frequent each is."""
        self.batches += 1
        share = torch.zeros_like(self.frequency).index_add_(0, truth, torch.ones_like(truth, dtype=torch.float))
        self.frequency.lerp_(share / len(truth), (1 / self.batches).clamp_min(1 - KEPT))

    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The bin of each place, at the true frequencies: the weights in training are taken back."""
        lab = rgb_to_lab(batch.inputs)
        truth = soft_bins(self.colours(lab), self.bins, 1, self.config.deviation)[0][:, 0]  # (n,)
        return self.classify(lab) - self.weights().log(), truth

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone.trunk(self.trunk_inputs(images))  # (B,D)

    def trunk_inputs(self, images: Tensor) -> Tensor:
        return self.backbone.standardise(lightness(rgb_to_lab(images)))  # (B,3,H,W)

    def readouts(self) -> tuple[str, ...]:
        return ("lightness", "colours")

    def read(self, images: Tensor, readout: str) -> Tensor:
        return {"lightness": self.encode, "colours": self.backbone.forward}[readout](images)  # (B,D)


def applies(data: DataSpec[ImageField], config: Config) -> str:
    return "" if data.inputs.channels == 3 else "it needs colours: these images are grey"


def lightness(lab: Tensor) -> Tensor:
    """L* of (B,3,H,W) in [0,1], three times over, as the backbone takes colours: (B,3,H,W)."""
    return (lab[:, :1] / 100).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def colour_bins(step: float) -> Tensor:
    """The points (a*,b*) of a grid to which some colour of a screen is nearest: (Q,2), in rising order."""
    shades = torch.linspace(0, 1, SHADES)
    cube = torch.cartesian_prod(shades, shades, shades).T.reshape(1, 3, SHADES, -1)  # (1,3,64,64*64)
    a, b = (rgb_to_lab(cube)[0, 1:] / step).round().long() + 500
    found = (1000 * a + b).unique()  # one number for each bin: far faster than unique rows
    return (torch.stack([found // 1000, found % 1000], 1) - 500) * float(step)


def soft_bins(colours: Tensor, bins: Tensor, nearest: int, deviation: float) -> tuple[Tensor, Tensor]:
    """The nearest bins (n,N) of colours (n,2), the nearest one first, and the share of each by a Gaussian (n,N)."""
    squared = (colours[:, None] - bins).square().sum(2)  # (n,Q)
    distance, chosen = squared.topk(nearest, dim=1, largest=False)
    return chosen, (-distance / (2 * deviation**2)).softmax(1)


def smoothing(bins: Tensor, deviation: float) -> Tensor:
    """(Q,Q), whose rows add up to one: the share of each bin that a Gaussian lends to every other."""
    return (-torch.cdist(bins, bins).square() / (2 * deviation**2)).softmax(1)


def rarity(frequency: Tensor, uniform: float) -> Tensor:
    """The weight of each bin (Q,) by how frequent it is: 1 on average over the colours as they come."""
    weight = 1 / ((1 - uniform) * frequency + uniform / len(frequency))
    return weight / (frequency * weight).sum()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="colorization",
        kind="pretext",
        build=Colorization,
        config=Config,
        source="arXiv:1603.08511, section 2",
        applies=applies,
    )
