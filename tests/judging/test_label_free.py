"""The label-free feature space: it orders what is worse, is the same whoever asks, and refuses what taught nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.columns import Files, InMemory
from harness.errors import NotApplicable
from harness.judging import label_free
from harness.judging.extractor import Extractor
from harness.metrics.feature_distances import frechet_distance
from harness_plugins.datasets import digits

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on few images only."""
    monkeypatch.setattr(label_free, "FEWEST", 600)
    monkeypatch.setattr(label_free, "MOST", 600)


def blobs(n: int, size: int = 8, channels: int = 1, seed: int = 0) -> Tensor:
    """Images with one bright pixel row and one bright column, at places of their own, and noise."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(60, (n, channels, size, size), generator=generator)
    for image, (row, column) in zip(images, torch.randint(size, (n, 2), generator=generator).tolist(), strict=True):
        image[:, row] += 150
        image[0, :, column] += 40
    return images.to(torch.uint8)


def test_it_orders_what_is_worse_without_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_free, "FEWEST", 6000)
    monkeypatch.setattr(label_free, "MOST", 6000)
    raw = digits.load(digits.Config(), Path())
    assert isinstance(raw.inputs, Tensor)
    assert raw.labels is not None
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(raw.inputs), generator=generator)
    test, rest = order[:400], order[400:]
    made = label_free.kept_encoder(InMemory(raw.inputs[rest]), "digits", tmp_path, CPU)
    assert made.accuracy is not None
    assert made.accuracy > 0.5  # of 128 views
    real, real_labels = raw.inputs[rest], raw.labels[rest]
    truth = made(raw.inputs[test])
    floor = distance(made, real[:400], truth)
    pixels = real[:400].float() / 255

    def noisy(deviation: float) -> Tensor:
        noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1))
        return as_kept(pixels + deviation * noise)

    def blurred(times: int) -> Tensor:
        images = pixels
        for _ in range(times):
            images = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
        return as_kept(images)

    def of_classes(below: int) -> Tensor:
        return real[real_labels < below][:400]

    for worse in ([noisy(0.1), noisy(0.2), noisy(0.4)], [blurred(1), blurred(2), blurred(4)]):
        found = [floor, *(distance(made, images, truth) for images in worse)]
        assert found == sorted(found)
        assert found[1] > 1.5 * floor
    dropped = [distance(made, of_classes(below), truth) for below in (9, 7, 4)]
    assert floor < dropped[0] < dropped[1] < dropped[2]
    assert dropped[1] > 2 * floor


def distance(extractor: Extractor, images: Tensor, truth: Tensor) -> float:
    return frechet_distance(extractor(images), truth)


def as_kept(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def test_it_is_named_kept_and_found_again_whatever_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = blobs(300)
    first = label_free.kept_encoder(InMemory(images), "blobs", tmp_path, CPU)
    assert str(first) == (
        f"label-free encoder {first.fingerprint}, finds an image by another view among 30 with accuracy "
        f"{first.accuracy:.3f}, 64 features"
    )
    features = first(images)
    assert features.shape == (300, 64)
    assert float(features.var(0).sum()) == pytest.approx(64, rel=0.1)  # but for the images that were held out
    assert first.maps(images[:2])[0].shape[0] == 2
    other = label_free.kept_encoder(InMemory(blobs(300, seed=1)), "blobs", tmp_path, CPU)
    assert other.fingerprint != first.fingerprint

    def not_again(*args: object) -> None:
        raise AssertionError("trained a second time")

    monkeypatch.setattr(label_free, "train_encoder", not_again)
    turned = label_free.kept_encoder(InMemory(images.flip(0)), "blobs", tmp_path, CPU)
    assert (turned.fingerprint, turned.accuracy) == (first.fingerprint, first.accuracy)
    files = Files(tuple(Path(str(row)) for row in range(300)), lambda paths: images[[int(path.name) for path in paths]])
    assert label_free.kept_encoder(files, "blobs", tmp_path, CPU).fingerprint == first.fingerprint


def test_training_depends_on_neither_threads_nor_random_state() -> None:
    weights, before = [], torch.get_num_threads()
    for threads, seed in ((1, 0), (2, 1)):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        weights.append(label_free.train_encoder(InMemory(blobs(200))).state_dict())
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(("size", "channels"), [(12, 2), (33, 3), (96, 3)])
def test_images_of_any_size_and_channels(size: int, channels: int, tmp_path: Path) -> None:
    images = blobs(100, size, channels)
    made = label_free.kept_encoder(InMemory(images), "blobs", tmp_path, CPU)
    assert made(images).shape == (100, 64)


def test_both_views_of_an_image_have_one_turn() -> None:
    views = torch.rand(8, 1, 4, 4).repeat(2, 1, 1, 1)
    turned, turns = label_free.one_turn_each(views)
    assert torch.equal(turned[:8], turned[8:])
    assert torch.equal(turns[:8], turns[8:])
    for image, view, turn in zip(turned, views, turns.tolist(), strict=True):
        assert torch.equal(image, view.rot90(turn, (1, 2)))


def test_it_refuses_where_nothing_was_learned_or_there_is_too_little(tmp_path: Path) -> None:
    alike = torch.full((200, 1, 8, 8), 90, dtype=torch.uint8)
    with pytest.raises(NotApplicable, match=r"nothing from grey: it finds .* of 20 images .* guessing finds 0\.05"):
        label_free.kept_encoder(InMemory(alike), "grey", tmp_path, CPU)
    with pytest.raises(NotApplicable, match="few has 19 images outside its test split, too few to train an encoder"):
        label_free.kept_encoder(InMemory(blobs(19)), "few", tmp_path, CPU)
    label_free.require_skill(0.5, among=10, n=100, name="enough")
    with pytest.raises(NotApplicable, match=r"by another view, guessing finds 0\.100: take the Inception network"):
        label_free.require_skill(0.15, among=10, n=100, name="noise")
