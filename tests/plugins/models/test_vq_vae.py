"""The VQ-VAE: its loss and gradient, its symbols, and what it makes of a backbone without maps."""

from __future__ import annotations

from math import log2

import pytest
import torch
import torch.nn.functional as F

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness_plugins.backbones import convnet, mlp, resnet18
from harness_plugins.models.vq_vae import VQVAE, Config

SPEC = DataSpec(inputs=ImageField(channels=1, size=16, mean=(0.3,), std=(0.4,)))
IMAGES = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def build(spec: DataSpec[ImageField] = SPEC, **params) -> VQVAE:
    torch.manual_seed(0)
    config = Config(**{"codes": 16, "code_dim": 6, **params})
    return VQVAE(convnet.build(spec, convnet.Config(width=4)), spec, config)


def test_the_loss_is_standardised_error_and_commitment() -> None:
    method = build(commitment=0.25).eval()
    maps = method.maps(IMAGES)
    codes = torch.cdist(method.vectors_of(maps), method.codebook.codes).argmin(1)
    quantised = method.codebook.codes[codes].view(8, 4, 4, 6).permute(0, 3, 1, 2)
    decoded = method.decoder(quantised).sigmoid()
    expected = F.mse_loss(decoded, IMAGES) / 0.4**2 + 0.25 * F.mse_loss(maps, quantised)
    torch.testing.assert_close(method.loss(Batch(inputs=IMAGES)), expected)
    torch.testing.assert_close(method.reconstruct(IMAGES), decoded)


def test_the_gradient_passes_straight_through() -> None:
    """That of the reconstruction reaches the encoder as if the decoder had been given its maps unchanged."""
    method = build(commitment=0.0).eval()
    method.loss(Batch(inputs=IMAGES)).backward()
    found = method.project.weight.grad
    method.zero_grad()
    maps = method.maps(IMAGES)
    quantised = method.maps_of(method.codebook(method.symbols(IMAGES).flatten())).requires_grad_()
    ((method.decoder(quantised).sigmoid() - IMAGES) / 0.4).square().mean().backward()
    maps.backward(quantised.grad)
    torch.testing.assert_close(found, method.project.weight.grad)


def test_training_uses_the_codebook_and_lowers_the_error() -> None:
    method = build().train()
    optimiser = torch.optim.Adam(method.parameters(), 0.01)
    scalars = []
    for _ in range(60):
        batch = Batch(inputs=IMAGES)
        optimiser.zero_grad()
        method.loss(batch).backward()
        optimiser.step()
        scalars.append({name: float(value) for name, value in batch.scalars.items()})
    assert scalars[-1]["reconstruction"] < 0.9 * scalars[0]["reconstruction"]
    assert scalars[-1]["codes used"] > 0.5
    assert 1 < scalars[-1]["perplexity"] <= 16
    assert method.eval().diagnose(IMAGES) == ""


def test_evaluation_moves_no_code() -> None:
    method = build().eval()
    before = {name: value.clone() for name, value in method.named_buffers()}
    method.loss(Batch(inputs=IMAGES))
    assert all(torch.equal(value, before[name]) for name, value in method.named_buffers())


@pytest.mark.parametrize(("size", "side"), [(8, 2), (16, 4), (28, 7), (32, 8)])
def test_symbols_lie_on_the_positions_of_the_map(size: int, side: int) -> None:
    method = build(DataSpec(inputs=ImageField(channels=3, size=size))).eval()
    images = torch.rand(3, 3, size, size)
    symbols = method.symbols(images)
    assert symbols.shape == (3, side * side)
    assert symbols.dtype == torch.int64
    assert method.code_bits() == side * side * log2(16)
    torch.testing.assert_close(method.decode_symbols(symbols), method.decode(method.code(images)))
    widths = [method.read(images, name).shape[1] for name in method.readouts()]
    assert widths == [6, 6 * min(4, side) ** 2, 16, 16]


def test_readouts_are_of_the_maps_and_the_symbols() -> None:
    method = build().eval()
    expected = torch.stack([torch.bincount(row, minlength=16) / 16 for row in method.symbols(IMAGES)])
    torch.testing.assert_close(method.read(IMAGES, "histogram of symbols"), expected)
    torch.testing.assert_close(method.read(IMAGES, "maps at 4x4"), method.maps(IMAGES).flatten(1))
    assert torch.equal(method.read(IMAGES, "mean of maps"), method.encode(IMAGES))


def test_samples_have_the_symbols_of_each_position() -> None:
    method = build().eval()
    fixed = torch.arange(16)  # position i always has symbol i
    method.placed.copy_(torch.eye(16))
    samples = method.sample(3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(samples, method.decode_symbols(fixed).expand(3, -1, -1, -1))


def test_how_often_symbols_occur_is_learned_position_by_position() -> None:
    method = build(decay=0.0).train()
    method.loss(Batch(inputs=IMAGES))
    assert method.placed.shape == (16, 16)
    torch.testing.assert_close(method.placed.sum(1), torch.ones(16))
    torch.testing.assert_close(method.placed * 8, (method.placed * 8).round())  # counts of eight images


def test_a_dead_codebook_is_diagnosed() -> None:
    method = build().eval()
    method.codebook.codes[1:] = 1e3
    assert method.diagnose(IMAGES).startswith("dead codebook: 8 images use 1 of 16 codes")


def test_any_backbone_with_maps_will_do() -> None:
    method = VQVAE(resnet18.build(SPEC, resnet18.Config()), SPEC, Config(codes=4)).eval()
    assert method.symbols(IMAGES[:2]).shape == (2, 4)
    with pytest.raises(NotApplicable, match="convolutional backbone"):
        VQVAE(mlp.build(SPEC, mlp.Config()), SPEC, Config())


@pytest.mark.parametrize(
    ("params", "message"),
    [({"codes": 1}, "at least 2"), ({"commitment": -1.0}, "not be negative"), ({"decay": 1.0}, "decay")],
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
