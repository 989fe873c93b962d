"""Principal component analysis of the pixels: the best linear code of its size. Pearson 1901.

N images, C channels, H=W pixels, P=C*H*W, D components.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.data.columns import Column, blocks, column_of
from harness.plugin import DataSpec, ImageField, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    dim: int = 32  # D; no more than there are pixels

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError("dim must be at least 1")


class PCA(nn.Module):
    mean: Tensor
    components: Tensor

    def __init__(self, backbone: None, data: DataSpec[ImageField], config: Config) -> None:
        super().__init__()
        self.shape = data.inputs.shape
        pixels = data.inputs.channels * data.inputs.size**2
        self.register_buffer("mean", torch.zeros(pixels))  # (P,)
        self.register_buffer("components", torch.eye(pixels)[:, : config.dim].contiguous())  # (P,D)

    def fit(self, images: Tensor | Column) -> None:
        """Eigenvectors of the covariance of uint8 images (N,C,H,W), accumulated block by block in float64."""
        pixels = self.components.shape[0]
        total = torch.zeros(pixels, dtype=torch.float64)
        outer = torch.zeros(pixels, pixels, dtype=torch.float64)
        for block in blocks(column_of(images), 4096):
            values = block.cpu().flatten(1).double() / 255  # (n,P)
            total += values.sum(0)
            outer += values.T @ values
        mean = total / len(images)
        vectors = torch.linalg.eigh(outer / len(images) - torch.outer(mean, mean)).eigenvectors  # ascending
        self.mean.copy_(mean)
        self.components.copy_(vectors.flip(1)[:, : self.components.shape[1]])

    def encode(self, images: Tensor) -> Tensor:
        return (images.flatten(1) - self.mean) @ self.components  # (N,D)

    def reconstruct(self, images: Tensor) -> Tensor:
        pixels = self.encode(images) @ self.components.T + self.mean
        return pixels.clamp(0, 1).view(-1, *self.shape)  # (N,C,H,W)

    def code_bits(self) -> float:
        return 32.0 * self.components.shape[1]  # float32 coefficients


@hookimpl
def harness_method() -> MethodSpec:
    return MethodSpec(
        name="pca", kind="reference", build=PCA, config=Config, uses_backbone=False, source="Pearson 1901"
    )
