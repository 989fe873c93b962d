"""BiGAN: an encoder learns to invert the generator. Donahue et al. 2017, arXiv:1605.09782; Dumoulin 2017, 1606.00704.

B images, C channels, H=W pixels, D features, Z dimensions of the code, F hidden units.
D judges pairs of image and code: (x, E(x)) is to be told from (G(z), z). E and G learn together to confuse it
(equation 3), which they do at best when each inverts the other. The backbone is the trunk of the encoder: the
representation is its features, the layer before the encoder's output, or the code E(x) itself.
Differs from the paper: convolutions instead of perceptrons, z ~ N(0, I) and codes normalised to its moments, the
non-saturating loss for E and G (both labels swapped), R1 on real images (Mescheder et al. 2018, arXiv:1801.04406), and
D's image branch is a network like the backbone with weights of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.nn.adversarial import discriminator_loss, real_gradient_penalty
from harness.nn.codes import decoded_line
from harness.nn.discriminators import SLOPE, DiscriminatorFeatures, RunningOutputs, map_size
from harness.nn.generators import Generator, noise_like
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl

RECIPE = {
    "batch_size": 64,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "beta1": 0.5,
    "warmup": 0.0,
    "schedule": "constant",
    "clip_norm": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    latent_dim: int = 50  # Z, as in the paper
    width: int = 32  # channels of the generator's last maps
    penalty: float = 0.1  # weight of R1, the squared gradient of D on real images; 0: none
    hidden: int = 256  # F, units of the discriminator's two layers that see image and code

    def __post_init__(self) -> None:
        if self.penalty < 0:
            raise ValueError("penalty must not be negative (0: none)")
        if min(self.latent_dim, self.width, self.hidden) < 1:
            raise ValueError("latent_dim, width and hidden must be at least 1")


class Encoder(nn.Module):
    """(B,C,H,W) -> code (B,Z), from the backbone's maps, or from its features where it has none.

    Each dimension of the code is normalised to mean 0 and variance 1, as z has them. Without bounds codes flee from the
    discriminator: their standard deviation passed 100 within 600 steps, and nothing was inverted.
    """

    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], latent_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.positions = map_size(backbone, data)
        self.output = nn.Linear(backbone.dim * max(1, self.positions) ** 2, latent_dim)
        self.bound = nn.BatchNorm1d(latent_dim, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        seen = self.backbone.maps(images) if self.positions else self.backbone(images)
        return self.bound(self.output(seen.flatten(1)))  # (B,Z)


class JointDiscriminator(nn.Module):
    """Images (B,C,H,W) with codes (B,Z) -> logits (B,): is the code the encoder's, and the image real?"""

    def __init__(self, eye: Backbone, data: DataSpec[ImageField], latent_dim: int, hidden: int) -> None:
        super().__init__()
        self.features = DiscriminatorFeatures(eye, data, hidden)  # (B,C,H,W) -> (B,F)
        self.code = nn.Linear(latent_dim, hidden)  # (B,Z) -> (B,F)
        self.joint = nn.Linear(2 * hidden, hidden)
        self.logit = nn.Linear(hidden, 1)

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        both = torch.cat([self.features(images), F.leaky_relu(self.code(codes), SLOPE)], dim=1)  # (B,2F)
        return self.logit(F.leaky_relu(self.joint(both), SLOPE)).squeeze(1)  # (B,)


class BiGAN(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        encoder = Encoder(backbone, data, config.latent_dim)
        generator = Generator(config.latent_dim, data, config.width)  # (B,Z) -> (B,C,H,W)
        self.players = nn.ModuleDict({"encoder": encoder, "generator": generator})
        self.discriminator = JointDiscriminator(like(backbone), data, config.latent_dim, config.hidden)
        self.outputs = RunningOutputs()

    @property
    def backbone(self) -> Backbone:
        encoder = self.players["encoder"]
        assert isinstance(encoder, Encoder)
        return encoder.backbone  # registered there alone

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        z = noise_like(batch.inputs, self.config.latent_dim)  # (B,Z)
        codes, fakes = self.players["encoder"](batch.inputs), self.players["generator"](z)

        images = batch.inputs.detach().requires_grad_(self.config.penalty > 0)
        real = self.discriminator(images, codes.detach())  # (B,) logits
        fake = self.discriminator(fakes.detach(), z)
        self.outputs.update(batch, real, fake)
        loss = discriminator_loss(real, fake)
        if self.config.penalty:
            loss = loss + self.config.penalty / 2 * real_gradient_penalty(real, images)
        yield "discriminator", loss

        real, fake = self.discriminator(batch.inputs, codes), self.discriminator(fakes, z)
        yield "players", discriminator_loss(fake, real)  # each pair is to pass as the other

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(images)  # (B,D)

    def readouts(self) -> tuple[str, ...]:
        return ("features", "code")

    def read(self, images: Tensor, readout: str) -> Tensor:
        return self.code(images) if readout == "code" else self.backbone(images)

    def code(self, images: Tensor) -> Tensor:
        return self.players["encoder"](images)  # (B,Z)

    def decode(self, code: Tensor) -> Tensor:
        return self.players["generator"](code)  # (B,C,H,W)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.code(images))

    def code_bits(self) -> float:
        return 32.0 * self.config.latent_dim  # E(x) as float32

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return decoded_line(self.decode, self.code(start), self.code(end), steps)  # (B,P,C,H,W)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        z = torch.randn(n, self.config.latent_dim, generator=generator)
        return self.decode(z.to(self.backbone.mean.device))

    def diagnose(self, images: Tensor) -> str:
        return self.outputs.diagnosis()


def like(backbone: Backbone) -> Backbone:
    """A backbone of the same architecture with initial weights of its own."""
    other = copy.deepcopy(backbone)
    for layer in other.modules():
        if callable(reset := getattr(layer, "reset_parameters", None)):
            reset()
    return other


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="bigan",
        kind="model",
        build=BiGAN,
        config=Config,
        source="arXiv:1605.09782, arXiv:1606.00704",
        recipe=RECIPE,
    )
