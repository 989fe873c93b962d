"""GAN-CLS: the discriminator knows whether image and caption match; GAN-INT is an option."""

from __future__ import annotations

import pytest
import torch

from harness.data.batches import Batch
from harness.data.columns import Texts
from harness.data.fields import DataSpec, ImageField, TextField
from harness.data.texts import tokens_of
from harness.errors import NotApplicable
from harness.optimisation import Optimisation
from harness.records import TrainConfig
from harness_plugins.backbones import convnet
from harness_plugins.models.text_to_image import RECIPE, Config, TextToImage

CAPTIONS = ["a bright left", "a dim left", "a bright right", "a dim right"]
WORDS = TextField().measured(Texts(tuple(CAPTIONS)))
TOKENS = tokens_of(CAPTIONS, WORDS.tokenizer, WORDS.length)
SPEC = DataSpec(inputs=ImageField(channels=1, size=8, mean=(0.4,), std=(0.4,)), captions=WORDS)
SMALL = {"width": 8, "hidden": 16, "noise_dim": 6, "embedding_dim": 8}


def small(data: DataSpec[ImageField] = SPEC, **params: float) -> TextToImage:
    torch.manual_seed(0)
    return TextToImage(convnet.build(data, convnet.Config(width=8)), data, Config(**{**SMALL, **params})).train()


def scenes(n: int = 32) -> Batch:
    """A half that is bright (1) or dim (0.4), on the left or the right."""
    kind = torch.arange(n) % 4
    inputs = torch.zeros(n, 1, 8, 8)
    level = torch.where(kind % 2 == 0, 1.0, 0.4).view(-1, 1, 1, 1)
    inputs[..., :4] = level * (kind < 2).view(-1, 1, 1, 1)
    inputs[..., 4:] = level * (kind >= 2).view(-1, 1, 1, 1)
    return Batch(inputs=inputs, captions=TOKENS[kind])


def test_interpolated_captions_add_to_the_generators_loss_alone() -> None:
    losses = {}
    for weight in (0.0, 1.0, 2.0):
        torch.manual_seed(1)
        turns = dict(small(interpolation=weight).turns(scenes()))
        losses[weight] = (turns["discriminator"].item(), turns["generator"].item())
    assert losses[0.0][0] == losses[1.0][0] == losses[2.0][0]
    term = losses[1.0][1] - losses[0.0][1]
    assert term > 0
    assert losses[2.0][1] - losses[0.0][1] == pytest.approx(2 * term, rel=1e-4)


def test_two_captions_with_the_same_words_are_the_same_request() -> None:
    method = small().eval()
    same = tokens_of(["left bright a", "a bright left"], WORDS.tokenizer, WORDS.length)
    with torch.no_grad():
        logits = method.discriminator(scenes(1).inputs.expand(2, -1, -1, -1), same)
    torch.testing.assert_close(logits[0], logits[1])


def test_samples_show_what_the_caption_says() -> None:
    """Side and brightness, each told by a word of its own."""
    method = small()
    optimisation = Optimisation(method, TrainConfig(**RECIPE), "fp32")
    for _ in range(180):
        optimisation.step(scenes())
    with torch.no_grad():
        images = method.eval().sample_as(TOKENS.repeat(16, 1), torch.Generator().manual_seed(0))
    left, right = images[..., :4].mean((1, 2, 3)), images[..., 4:].mean((1, 2, 3))
    kind = torch.arange(64) % 4
    assert float(((right > left) == (kind >= 2)).float().mean()) > 0.95
    assert float(((torch.maximum(left, right) > 0.7) == (kind % 2 == 0)).float().mean()) > 0.9


def test_a_source_without_captions_is_refused() -> None:
    with pytest.raises(NotApplicable, match="no captions"):
        small(DataSpec(inputs=ImageField(channels=1, size=8), classes=("a", "b")))


@pytest.mark.parametrize(
    ("params", "message"), [({"interpolation": -1.0}, "interpolation"), ({"hidden": 0}, "at least 1")]
)
def test_bad_parameters_are_named(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**params)
