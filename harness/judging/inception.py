"""The Inception network of published Fréchet distances, if its weights are on the disk. Nothing is downloaded.

The network of the TensorFlow release of 2015-12-05 differs from torchvision's `Inception3` in three points: averages
next to the border leave out the padding, the last block pools by maximum, and images are resized as TensorFlow 1 did.
Source: Heusel et al. 2017, arXiv:1706.08500; weights as converted for torch-fidelity (Apache 2.0).

N images, C channels, H=W pixels.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import inception

from harness.errors import NotApplicable
from harness.judging.extractor import Extractor

FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d"  # first digits, by the convention of torch.hub
SIZE = 299  # pixels, of the network's input
FEATURES = 2048
CLASSES = 1008


def inception_extractor(device: torch.device) -> Extractor:
    """Its 2,048 pooled features. Raises NotApplicable, with where to put the file, if the weights are not there."""
    file = weights_file()
    network = inception_network()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    network.eval().requires_grad_(False).to(device)
    return Extractor(
        name="Inception",
        fingerprint=SHA256[:6],
        dim=FEATURES,
        embed=lambda images: pooled_features(network, images),
        device=device,
    )


def weights_path() -> Path:
    """Where the weights belong; they may not be there."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE


def weights_file() -> Path:
    """The checked path of the weights in torch's hub folder ($TORCH_HOME/hub/checkpoints)."""
    file = weights_path()
    if not file.is_file():
        raise NotApplicable(
            f"no Inception weights: put {FILE} (from torch-fidelity's release v0.2.0) into {file.parent}, "
            "or choose fid[extractor=in-domain]"
        )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if not digest.startswith(SHA256):
        raise NotApplicable(f"{file} is damaged (SHA-256 {digest[:8]}, expected {SHA256}): fetch it again")
    return file


def inception_network() -> inception.Inception3:
    """torchvision's network with the two pooling differences, untrained; its weights have torchvision's names."""
    network = inception.Inception3(num_classes=CLASSES, aux_logits=False, transform_input=False, init_weights=False)
    network.Mixed_7c = MaximumPooled(2048)
    for block in network.children():
        if isinstance(block, (inception.InceptionA, inception.InceptionC, inception.InceptionE)):
            pooled = block.branch_pool.conv
            if not isinstance(block, MaximumPooled):
                block.branch_pool = AfterAverage(pooled.in_channels, pooled.out_channels, kernel_size=1)
    network.fc = nn.Linear(FEATURES, CLASSES)
    return network


class AfterAverage(inception.BasicConv2d):
    """The 1x1 convolution after a 3x3 average that counted the padding: undoes that first, 9 over the pixels inside."""

    def forward(self, pooled: Tensor) -> Tensor:
        inside = F.avg_pool2d(torch.ones_like(pooled[:1, :1]), kernel_size=3, stride=1, padding=1)  # share of 9
        return super().forward(pooled / inside)


class MaximumPooled(inception.InceptionE):
    """torchvision's last block with a maximum in the place of the average."""

    def forward(self, inputs: Tensor) -> Tensor:
        pooled = self.branch_pool(F.max_pool2d(inputs, kernel_size=3, stride=1, padding=1))
        return torch.cat([super().forward(inputs)[:, : -pooled.shape[1]], pooled], dim=1)


def pooled_features(network: inception.Inception3, images: Tensor) -> Tensor:
    """uint8 (N,C,H,W), grey or colour -> the average over positions of the last block (N,2048)."""
    values = images.float().expand(-1, 3, -1, -1)
    values = (resized(values, SIZE) - 128) / 128  # (N,3,299,299) in [-1,1)
    for name, layer in network.named_children():
        if name == "avgpool":
            break
        values = layer(values)
    return values.mean((-2, -1))


def resized(images: Tensor, size: int) -> Tensor:
    """Bilinear resizing as in TensorFlow 1: output pixel i reads at i * H / size, without half-pixel centres."""
    rows, columns = (_resizing_matrix(length, size).to(images) for length in images.shape[-2:])
    return rows @ images @ columns.T  # (N,C,H,W) -> (N,C,size,size)


def _resizing_matrix(length: int, size: int) -> Tensor:
    """(size, length): each row holds the two weights of one output pixel."""
    place = torch.arange(size, dtype=torch.float64) * (length / size)
    below = place.floor().long()
    above = (below + 1).clamp_max(length - 1)
    share = place - below
    matrix = torch.zeros(size, length, dtype=torch.float64)
    index = torch.arange(size)
    matrix.index_put_((index, below), 1 - share, accumulate=True)
    matrix.index_put_((index, above), share, accumulate=True)
    return matrix
