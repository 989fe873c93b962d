"""What a method may be able to do, shown by having the method of that name. Nothing is registered or inherited.

B images, C channels, H=W pixels, D features, K pretext classes, P interpolation steps. Images are float in [0,1].
All of these but `loss`, `turns` and `after_step` are called in eval mode and without gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor

from harness.data.batches import Batch


class Learns(Protocol):
    def loss(self, batch: Batch) -> Tensor:
        """The scalar that one optimiser step lowers."""
        ...


class TakesTurns(Protocol):
    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield (name of a child module or parameter group, loss); resumed after that optimiser's step."""
        ...


class Fits(Protocol):
    def fit(self, images: Tensor) -> None:
        """Learn in closed form from all images of the source at once, uint8 (N,C,H,W)."""
        ...


class Encodes(Protocol):
    def encode(self, images: Tensor) -> Tensor:
        """Whole images (B,C,H,W) -> the representation (B,D), deterministic."""
        ...


class Reconstructs(Protocol):
    def reconstruct(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W), through the code."""
        ...

    def code_bits(self) -> float:
        """Size of one image's code in bits: what the compression ratio divides by."""
        ...


class Samples(Protocol):
    def sample(self, n: int, generator: Any) -> Tensor:
        """n new images (n,C,H,W) in [0,1], from the given torch.Generator (on the CPU) alone."""
        ...


class Interpolates(Protocol):
    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """(B,C,H,W) twice -> (B,P,C,H,W): the path between the two codes, with both reconstructed ends."""
        ...


class Predicts(Protocol):
    def predict(self, images: Tensor) -> Tensor:
        """(B,C,H,W) -> class logits of the source's labels (B,K)."""
        ...


class Pretext(Protocol):
    def solve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Pose the pretext task on a batch: logits (M,K) and targets (M,), M questions with K answers each."""
        ...


CAPABILITIES = {
    "loss": "learn by gradient descent",
    "turns": "train several networks in turn",
    "fit": "learn in closed form",
    "encode": "encode images",
    "reconstruct": "reconstruct images",
    "sample": "sample new images",
    "interpolate": "interpolate between images",
    "predict": "predict labels",
    "solve": "pose a pretext task",
}


def capabilities_of(method: object) -> frozenset[str]:
    """The names in CAPABILITIES that `method` (an instance or its class) has."""
    return frozenset(name for name in CAPABILITIES if callable(getattr(method, name, None)))
