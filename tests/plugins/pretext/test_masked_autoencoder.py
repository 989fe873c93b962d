"""The masked autoencoder: its loss is the paper's, on masked patches alone, and what is masked is never seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.contract.kit import Setting, check_plugin
from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.loading import data_root
from harness.records import PluginRef
from harness.registry import METHOD_KINDS, Registry
from harness_plugins.backbones import convnet, vit
from harness_plugins.pretext.masked_autoencoder import Config, MaskedAutoencoder

SPEC = DataSpec(inputs=ImageField(channels=3, size=16, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3)))


def built(spec: DataSpec = SPEC, pool: str = "mean", **params) -> MaskedAutoencoder:
    torch.manual_seed(0)
    backbone = vit.build(spec, vit.Config(width=12, depth=2, pool=pool))
    return MaskedAutoencoder(backbone, spec, Config(decoder_width=8, **params))


def draw(method: MaskedAutoencoder, images: Tensor) -> tuple[Tensor, Tensor]:
    """The patches that the next loss keeps and masks, which stays the next."""
    state = torch.get_rng_state()
    split = method.split(images)
    torch.set_rng_state(state)
    return split


def formula(method: MaskedAutoencoder, images: Tensor) -> Tensor:
    """The mean over images, their masked patches and these patches' values, in loops."""
    kept, masked = draw(method, images)
    drawn = method.decoder(method.backbone.tokens(images, kept), kept, masked)
    standardised = method.backbone.standardise(images)
    errors = []
    for image in range(len(images)):
        for number, place in enumerate(masked[image].tolist()):
            row, column = divmod(place, 4)
            patch = standardised[image, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(-1)
            if method.normalise:
                mean = patch.sum() / len(patch)
                variance = ((patch - mean) ** 2).sum() / (len(patch) - 1)
                patch = (patch - mean) / (variance + 1e-6) ** 0.5
            errors += [(drawn[image, number, value] - patch[value]) ** 2 for value in range(len(patch))]
    return torch.stack(errors).mean()


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("pool", ["mean", "class"])
def test_the_loss_is_the_papers_in_value_and_gradient(normalise: bool, pool: str) -> None:
    method, images = built(pool=pool, normalise=normalise), torch.rand(3, 3, 16, 16)
    expected = formula(method, images)
    weights = list(method.parameters())
    slopes = torch.autograd.grad(expected, weights, allow_unused=True)
    found = method.loss(Batch(inputs=images))
    torch.testing.assert_close(found, expected)
    for mine, theirs in zip(torch.autograd.grad(found, weights), slopes, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("size", "fraction", "seen"), [
    (16, 0.75, 4),
    (28, 0.75, 12),
    (32, 0.75, 16),
    (16, 0.5, 8),
    (8, 0.99, 1),
    (8, 0.01, 3),
])  # fmt: skip
def test_the_masked_share_is_exact(size: int, fraction: float, seen: int) -> None:
    spec = DataSpec(inputs=ImageField(channels=1, size=size))
    method, images = built(spec, masked=fraction), torch.rand(50, 1, size, size)
    kept, masked = method.split(images)
    assert kept.shape == (50, seen)
    both = torch.cat([kept, masked], 1).sort(1).values
    assert torch.equal(both, torch.arange((size // 4) ** 2).expand_as(both))  # each patch once
    assert len({tuple(row) for row in kept.sort(1).values.tolist()}) > 1  # every image has a draw of its own


def test_all_patches_are_masked_equally_often() -> None:
    torch.manual_seed(0)
    _, masked = built().split(torch.rand(4000, 3, 16, 16))
    shares = masked.flatten().bincount() / 4000
    assert shares.tolist() == pytest.approx([0.75] * 16, abs=0.03)


def test_what_is_masked_is_not_seen_and_what_is_seen_is_not_drawn() -> None:
    method, images = built(), torch.rand(2, 3, 16, 16)
    torch.manual_seed(1)
    kept, masked = draw(method, images)
    hidden = torch.zeros(2, 16).scatter(1, masked, 1.0).view(2, 1, 4, 4)
    hidden = torch.nn.functional.interpolate(hidden, scale_factor=4) > 0  # (B,1,H,W)
    others = torch.where(hidden, torch.rand_like(images), images)
    drawn = [method.decoder(method.backbone.tokens(x, kept), kept, masked) for x in (images, others)]
    assert torch.equal(*drawn)
    with torch.no_grad():  # a decoder that always draws nothing: the loss is that of the masked patches alone
        method.decoder.draw.weight.zero_()
    losses = []
    for seen in (images, torch.where(hidden, images, torch.rand_like(images)), others):
        torch.manual_seed(1)
        losses.append(method.loss(Batch(inputs=seen)).item())
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_drawing_nothing_costs_the_variance_of_a_normalised_patch() -> None:
    """48 values over their sample deviation have a mean square of 47/48; a constant patch has nothing to draw."""
    method = built()
    with torch.no_grad():
        method.decoder.draw.weight.zero_()
        method.decoder.draw.bias.zero_()
    images = torch.rand(64, 3, 16, 16)
    assert method.loss(Batch(inputs=images)).item() == pytest.approx(47 / 48, abs=1e-3)
    assert method.targets(torch.zeros(1, 3, 16, 16))[0].std(1).isfinite().all()
    grey = DataSpec(inputs=ImageField(channels=1, size=16))
    assert not built(grey).targets(torch.full((1, 1, 16, 16), 0.3)).round(decimals=3).any()


@pytest.mark.parametrize("pool", ["mean", "class"])
def test_all_patches_are_encoded(pool: str) -> None:
    method, images = built(pool=pool).eval(), torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        tokens = method.backbone.tokens(images)[:, method.backbone.extra_tokens :]
        assert tokens.shape == (4, 16, 12)
        torch.testing.assert_close(method.encode(images), tokens.mean(1))
        both = method.read(images, "mean and deviation of tokens")
        torch.testing.assert_close(both[:, 12:], tokens.std(1, correction=0))
        assert torch.equal(both[:, :12], method.encode(images))
    if pool == "mean":
        torch.testing.assert_close(method.encode(images), method.backbone(images))


def test_training_draws_better_than_nothing() -> None:
    """Smooth images: what is masked can be told from what is seen."""
    method = built()
    torch.manual_seed(0)
    waves = torch.nn.functional.interpolate(torch.rand(64, 3, 3, 3), size=16, mode="bicubic", align_corners=True)
    optimiser = torch.optim.AdamW(method.parameters(), 1e-2)
    for _ in range(150):
        loss = method.loss(Batch(inputs=waves))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.6  # drawing nothing: 0.98


def test_other_backbones_and_single_patches_say_what_to_choose() -> None:
    with pytest.raises(NotApplicable, match="choose --backbone vit"):
        MaskedAutoencoder(convnet.build(SPEC, convnet.Config()), SPEC, Config())
    backbone = vit.build(SPEC, vit.Config(patch=16, width=12))
    with pytest.raises(NotApplicable, match="16x16x3 images are one patch of 16 pixels: take a smaller"):
        MaskedAutoencoder(backbone, SPEC, Config())


@pytest.mark.parametrize(("params", "message"), [
    ({"masked": 1.0}, r"masked is a fraction in \(0,1\)"),
    ({"decoder_depth": 0}, "decoder_width, decoder_depth and decoder_heads must be at least 1"),
    ({"decoder_width": 10}, "decoder_width must be a multiple of 4 and of decoder_heads=2"),
])  # fmt: skip
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)


@pytest.mark.parametrize("backbone", [{}, {"pool": "class", "positions": "learned"}])
def test_it_keeps_the_contract_on_a_backbone_of_patches(backbone: dict) -> None:
    """On the contract's usual backbone it is skipped."""
    registry = Registry()
    setting = Setting(backbone=PluginRef(name="vit", params={"width": 12, "depth": 1, **backbone}))
    loaded = registry.load("masked-autoencoder", METHOD_KINDS)
    checks = check_plugin(loaded, registry, data_root(), setting=setting)
    assert [f"{check.name}: {check.detail}" for check in checks if check.status in ("failed", "note")] == []
    assert not [check for check in checks if check.status == "skipped" and not check.absent]
