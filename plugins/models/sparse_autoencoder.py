"""Sparse autoencoder: a wide code of which each unit is on for few images. Ng 2011, CS294A lecture notes, section 3.

B images, C channels, H=W pixels, D features, L units of the code, P interpolation steps.
The code is a sigmoid, (0,1); the loss is the error summed over pixels plus weight * sum_j KL(rho || mean_j), with
rho the wanted mean activity and mean_j that of unit j over the batch, as Bernoulli means, in nats.
Logged: `activity`, the mean of the code, and `active fraction`, the share of units above one half.
Differs from the notes: a convolutional encoder and decoder, squared error without the factor one half, activities
averaged over the batch instead of all images, and biases that start where the wanted activity is met.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from torch import Tensor, nn

from harness.nn.codes import decoded_line
from harness.nn.decoders import Kind, code_decoder
from harness.nn.likelihoods import Error, reconstruction_error
from harness.plugin import Backbone, Batch, DataSpec, ImageField, MethodSpec, hookimpl

ON = 0.5  # activity above which a unit counts as active
ALIVE = 0.01  # by which some unit's activity has to differ between images


@dataclass(frozen=True, kw_only=True)
class Config:
    latent_dim: int = 128  # L
    activity: float = 0.1  # rho in (0,1), of a unit, as a mean over images
    weight: float = 0.1  # of the sparsity penalty, against the error per image
    error: Error = "mse"  # bce: cross-entropy of grey values in nats
    decoder: Kind = "conv"  # mlp: one hidden layer
    hidden: int = 400  # units of the mlp decoder's hidden layer

    def __post_init__(self) -> None:
        if self.latent_dim < 1 or self.hidden < 1:
            raise ValueError("latent_dim and hidden must be at least 1")
        if not 0 < self.activity < 1:
            raise ValueError("activity is a mean in (0,1)")
        if self.weight < 0:
            raise ValueError("weight must not be negative")


class SparseAutoencoder(nn.Module):
    def __init__(self, backbone: Backbone, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone  # (B,C,H,W) -> (B,D)
        self.units = nn.Linear(backbone.dim, config.latent_dim)  # (B,D) -> (B,L)
        nn.init.constant_(self.units.bias, log(config.activity / (1 - config.activity)))
        self.decoder = code_decoder(config.decoder, config.latent_dim, data, config.hidden)  # (B,L) -> (B,C,H,W)

    def loss(self, batch: Batch) -> Tensor:
        code = self.code(batch.inputs)  # (B,L)
        error = reconstruction_error(self.config.error, self.decoder(code), batch.inputs)
        penalty = sparsity_penalty(code.float().mean(0), self.config.activity)
        batch.log("reconstruction", error)
        batch.log("penalty", penalty)
        batch.log("activity", code.mean())
        batch.log("active fraction", (code > ON).float().mean())
        return error + self.config.weight * penalty

    def encode(self, images: Tensor) -> Tensor:
        return self.code(images)  # (B,L)

    def readouts(self) -> tuple[str, ...]:
        return ("code", "backbone")

    def read(self, images: Tensor, readout: str) -> Tensor:
        return {"code": self.code, "backbone": self.backbone.forward}[readout](images)  # (B,L) or (B,D)

    def code(self, images: Tensor) -> Tensor:
        return self.units(self.backbone(images)).sigmoid()  # (B,L)

    def decode(self, code: Tensor) -> Tensor:
        return self.decoder(code).sigmoid()  # (B,C,H,W)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.code(images))

    def code_bits(self) -> float:
        return 32.0 * self.config.latent_dim  # float32; sparsity is not made use of

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return decoded_line(self.decode, self.code(start), self.code(end), steps)  # (B,P,C,H,W)

    def diagnose(self, images: Tensor) -> str:
        code = self.code(images)
        if float((code.amax(0) - code.amin(0)).max()) > ALIVE:
            return ""
        found = f"the activity of no unit differs by more than {ALIVE} between {len(images)} images"
        return f"dead code: {found}; lower the weight of the penalty, or raise activity"


def sparsity_penalty(means: Tensor, activity: float) -> Tensor:
    """sum_j KL(Bernoulli(activity) || Bernoulli(mean_j)) of the mean activities (L,): nats."""
    means = means.clamp(1e-6, 1 - 1e-6)
    on = activity * (log(activity) - means.log())
    off = (1 - activity) * (log(1 - activity) - (1 - means).log())
    return (on + off).sum()


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="sparse-autoencoder",
        kind="model",
        build=SparseAutoencoder,
        config=Config,
        source="Ng 2011, CS294A lecture notes: Sparse autoencoder",
    )
