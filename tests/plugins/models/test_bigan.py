"""BiGAN: a joint discriminator, an encoder and a generator that learn together."""

from __future__ import annotations

import pytest
import torch

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField
from harness.nn.adversarial import discriminator_loss, real_gradient_penalty
from harness.optimisation import Optimisation
from harness.records import TrainConfig
from harness_plugins.backbones import convnet
from harness_plugins.models.bigan import RECIPE, BiGAN, Config, like

DIGITS = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.3,), std=(0.35,)), classes=tuple("0123456789"))
SMALL = Config(width=4, hidden=8, latent_dim=6)


def small(data: DataSpec[ImageField] = DIGITS) -> BiGAN:
    torch.manual_seed(0)
    return BiGAN(convnet.build(data, convnet.Config(width=4)), data, SMALL).train()


def images(n: int = 16, data: DataSpec[ImageField] = DIGITS) -> torch.Tensor:
    return torch.rand(n, *data.inputs.shape, generator=torch.Generator().manual_seed(0))


def test_both_turns_see_pairs_and_the_players_swap_the_labels() -> None:
    method = small()
    torch.manual_seed(1)
    (first, judged), (second, played) = method.turns(Batch(inputs=images()))
    torch.manual_seed(1)
    z = torch.randn(16, 6)
    shown = images().requires_grad_()
    real = method.discriminator(shown, method.code(images()))
    fake = method.discriminator(method.decode(z), z)
    assert (first, second) == ("discriminator", "players")
    penalty = real_gradient_penalty(real, shown)
    assert penalty > 0
    torch.testing.assert_close(judged, discriminator_loss(real, fake) + SMALL.penalty / 2 * penalty)
    torch.testing.assert_close(played, discriminator_loss(fake, real))


def test_the_discriminator_looks_at_image_and_code() -> None:
    discriminator = small().discriminator
    codes = torch.randn(16, 6)
    logits = discriminator(images(), codes)
    assert logits.shape == (16,)
    assert not torch.allclose(logits, discriminator(images(), codes.flip(0)))
    assert not torch.allclose(logits, discriminator(images().flip(0), codes))


def test_a_step_moves_encoder_generator_and_discriminator() -> None:
    method = small()
    before = {name: weight.detach().clone() for name, weight in method.named_parameters()}
    Optimisation(method, TrainConfig(**RECIPE), "fp32").step(Batch(inputs=images()))
    still = [name for name, weight in method.named_parameters() if torch.equal(weight, before[name])]
    assert not still


def test_the_discriminators_eye_is_like_the_backbone_with_weights_of_its_own() -> None:
    backbone = convnet.build(DIGITS, convnet.Config(width=4))
    eye = like(backbone)
    assert str(eye) == str(backbone)
    weights = zip(backbone.named_parameters(), eye.parameters(), strict=True)
    assert not any(torch.equal(a, b) for (_, a), b in weights if a.ndim > 1)


@pytest.mark.parametrize("size", [8, 28, 30])
def test_it_codes_decodes_and_interpolates(size: int) -> None:
    data = DataSpec(inputs=ImageField(channels=3, size=size))
    method = small(data).eval()
    some = images(4, data)
    with torch.no_grad():
        assert method.code(some).shape == (4, 6)
        torch.testing.assert_close(method.decode(method.code(some)), method.reconstruct(some))
        path = method.interpolate(some[:2], some[2:], 3)
        assert path.shape == (2, 3, 3, size, size)
        torch.testing.assert_close(path[:, 0], method.reconstruct(some[:2]))
        middle = method.decode((method.code(some[:2]) + method.code(some[2:])) / 2)
        torch.testing.assert_close(path[:, 1], middle)
        torch.testing.assert_close(method.read(some, "code"), method.code(some))
        torch.testing.assert_close(method.read(some, "features"), method.encode(some))
    assert method.code_bits() == 6 * 32


def test_codes_keep_the_moments_of_the_noise() -> None:
    """Else they flee from the discriminator; in eval mode a code is that of its image alone."""
    method = small()
    optimisation = Optimisation(method, TrainConfig(**RECIPE), "fp32")
    for _ in range(60):
        optimisation.step(Batch(inputs=images(64)))
    with torch.no_grad():
        codes = method.code(images(64))
        assert codes.mean(0).abs().max() < 1e-4
        torch.testing.assert_close(codes.var(0, unbiased=False), torch.ones(6), atol=1e-2, rtol=0)
        torch.testing.assert_close(method.eval().code(images(64))[:3], method.code(images(3)), atol=1e-4, rtol=0)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Config(latent_dim=0)
