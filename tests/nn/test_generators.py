"""Generators: any size, images in [0,1], and what is asked for matters."""

from __future__ import annotations

import pytest
import torch

from harness.data.fields import DataSpec, ImageField
from harness.errors import NotApplicable
from harness.nn.conditions import ConditionEncoder, mismatched, nearly_matched
from harness.nn.generators import ConditionalGenerator, Generator, noise_like


@pytest.mark.parametrize("size", [8, 9, 16, 28, 30, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_makes_images_of_any_size(size: int, channels: int) -> None:
    generator = Generator(5, DataSpec(inputs=ImageField(channels=channels, size=size)), width=4)
    images = generator(torch.randn(3, 5))
    assert images.shape == (3, channels, size, size)
    assert images.min() >= 0
    assert images.max() <= 1
    images.sum().backward()
    assert all(weight.grad is not None for weight in generator.parameters())


def test_in_eval_mode_an_image_depends_on_its_noise_alone() -> None:
    generator = Generator(5, DataSpec(inputs=ImageField(channels=1, size=8)), width=4).eval()
    noise = torch.randn(6, 5)
    torch.testing.assert_close(generator(noise)[:2], generator(noise[:2]))
    assert not torch.equal(generator(noise)[0], generator(noise)[1])


def test_every_pixel_can_be_reached() -> None:
    """No border is left at a constant by the cropping."""
    generator = Generator(8, DataSpec(inputs=ImageField(channels=1, size=30)), width=4)
    images = generator(torch.randn(32, 8))
    assert float(images.detach().var(0).min()) > 0


def test_a_condition_changes_the_image_and_learns() -> None:
    data = DataSpec(inputs=ImageField(channels=1, size=8), classes=("a", "b", "c"))
    generator = ConditionalGenerator(5, ConditionEncoder("labels", data, 4), data, width=4)
    noise = torch.randn(1, 5).expand(3, -1)
    images = generator(noise, torch.tensor([0, 1, 2]))
    assert float((images[0] - images[1]).detach().abs().max()) > 0
    images[0].square().sum().backward()
    gradient = generator.condition.embedding.weight.grad
    assert gradient is not None
    assert bool(gradient[0].any())


def test_without_labels_there_is_nothing_to_ask_for() -> None:
    with pytest.raises(NotApplicable, match="no labels"):
        ConditionEncoder("labels", DataSpec(inputs=ImageField(channels=1, size=8)), 4)


def test_noise_is_standard_normal_and_one_row_for_each_image() -> None:
    torch.manual_seed(0)
    noise = noise_like(torch.rand(500, 1, 2, 2), 40)
    assert noise.shape == (500, 40)
    assert float(noise.mean()) == pytest.approx(0, abs=0.03)
    assert float(noise.std()) == pytest.approx(1, abs=0.03)


def test_mismatched_conditions_come_from_the_batch_and_say_where_they_are_right_after_all() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 1, 2])
    for _ in range(10):
        wrong, differs = mismatched(labels)
        assert sorted(wrong.tolist()) == sorted(labels.tolist())
        assert differs.tolist() == [float(a != b) for a, b in zip(wrong.tolist(), labels.tolist(), strict=True)]
    captions = torch.tensor([[2, 3, 0], [2, 4, 0], [2, 3, 0]])
    wrong, differs = mismatched(captions)
    assert differs.tolist() == [float(a != b) for a, b in zip(wrong.tolist(), captions.tolist(), strict=True)]


def test_the_nearest_other_caption_shares_most_words_and_is_never_the_same() -> None:
    captions = torch.tensor([[2, 3, 4], [2, 3, 5], [2, 6, 7], [4, 3, 2], [2, 3, 4]])
    for seed in range(5):
        torch.manual_seed(seed)
        wrong, differs = nearly_matched(captions)
        assert differs.tolist() == [1.0] * 5
        assert wrong[0].tolist() == wrong[4].tolist() == [4, 3, 2]  # the same words in another order are alike most
        assert wrong[3].tolist() == [2, 3, 4]
        assert wrong[1].tolist() in ([2, 3, 4], [4, 3, 2])  # equally alike: by lot
    _, differs = nearly_matched(torch.tensor([[2, 3, 0]]).expand(4, -1))
    assert differs.tolist() == [0.0] * 4
