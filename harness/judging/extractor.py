"""A feature extractor: a named map from images to features, in which generated and real images are compared.

Distances are comparable within one extractor only, so each number names it by a hash of its weights.

N images, C channels, H=W pixels, F features, K classes; c maps of h=w places in one of the convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

INFERENCE_BATCH = 512


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A named map from uint8 images (N,C,H,W) on the CPU to features (N,F), float64 on the CPU."""

    name: str
    fingerprint: str  # the first hexadecimal digits of a hash of the weights
    dim: int  # F
    embed: Callable[[Tensor], Tensor]  # uint8 (n,C,H,W) on the device -> (n,F)
    device: torch.device
    accuracy: float | None = None  # of what it learned to do, on images that it did not learn from, in [0,1]
    skill: str = "test accuracy {:.3f}"  # what that accuracy is; of a classifier, that on the test split
    classify: Callable[[Tensor], Tensor] | None = None  # uint8 (n,C,H,W) on the device -> class logits (n,K)
    convolve: Callable[[Tensor], list[Tensor]] | None = None  # ... -> maps (n,c,h,w) of each convolution

    def __call__(self, images: Tensor) -> Tensor:
        with torch.no_grad(), _full_float32():
            parts = [self.embed(part.to(self.device)).double().cpu() for part in images.split(INFERENCE_BATCH)]
        return torch.cat(parts)

    def predicted(self, images: Tensor) -> Tensor:
        """The class that the classifier sees in each of the images: int64 (N,) on the CPU."""
        assert self.classify is not None, f"{self.name} is no classifier of the target's classes"
        with torch.no_grad(), _full_float32():
            parts = [self.classify(part.to(self.device)).argmax(1).cpu() for part in images.split(INFERENCE_BATCH)]
        return torch.cat(parts)

    def maps(self, images: Tensor) -> list[Tensor]:
        """What each convolution makes of the images, first to last, after its ReLU: float64 (N,c,h,w) on the CPU."""
        assert self.convolve is not None, f"{self.name} does not show its convolutions"
        with torch.no_grad(), _full_float32():
            parts = [self.convolve(part.to(self.device)) for part in images.split(INFERENCE_BATCH)]
        return [torch.cat([maps.double().cpu() for maps in layer]) for layer in zip(*parts, strict=True)]

    def __str__(self) -> str:
        """`in-domain classifier f3a9c1, test accuracy 0.983, 64 features`."""
        skill = "" if self.accuracy is None else f", {self.skill.format(self.accuracy)}"
        return f"{self.name} {self.fingerprint}{skill}, {self.dim} features"


@contextmanager
def _full_float32() -> Iterator[None]:
    """No TF32 convolutions on a GPU: their ten bits of mantissa would show in a distance."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
