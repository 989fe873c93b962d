"""The four references: PCA against scikit-learn, the others by what they promise."""

from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import PCA as SklearnPCA

from harness.data.batches import Batch
from harness.data.fields import DataSpec, ImageField, TextField
from harness.errors import NotApplicable
from harness.plugin.specs import NoConfig
from harness_plugins.backbones import convnet
from harness_plugins.references import pca, pixels, random_init, supervised

SPEC = DataSpec(inputs=ImageField(channels=1, size=8), classes=("a", "b", "c"))


def test_pca_spans_what_scikit_learn_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(12, 64, generator=generator)
    values = (torch.randn(500, 12, generator=generator) @ mixing * 10 + 128).clamp(0, 255)
    images = values.to(torch.uint8).view(500, 1, 8, 8)
    method = pca.PCA(None, SPEC, pca.Config(dim=5))
    method.fit(images)
    floats = images.float() / 255
    theirs = SklearnPCA(5, svd_solver="full").fit(floats.flatten(1).numpy())
    ours = method.encode(floats)
    expected = torch.from_numpy(theirs.transform(floats.flatten(1).numpy())).float()
    torch.testing.assert_close(ours.abs(), expected.abs(), atol=1e-3, rtol=1e-3)  # up to the sign of each axis
    torch.testing.assert_close(ours.var(0), torch.from_numpy(theirs.explained_variance_).float(), rtol=1e-3, atol=1e-6)
    assert method.reconstruct(floats).shape == (500, 1, 8, 8)
    assert method.code_bits() == 160


def test_pca_with_all_components_loses_nothing() -> None:
    images = torch.randint(0, 256, (200, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    method = pca.PCA(None, SPEC, pca.Config(dim=500))
    method.fit(images)
    torch.testing.assert_close(method.reconstruct(images.float() / 255), images.float() / 255, atol=1e-4, rtol=0)


def test_pixels_are_pixels() -> None:
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(pixels.Pixels(None, SPEC, NoConfig()).encode(images), images.view(3, 64))


def test_random_init_has_nothing_to_train_on() -> None:
    method = random_init.RandomInit(convnet.build(SPEC, convnet.Config()), SPEC, random_init.Config())
    assert not hasattr(method, "loss")
    assert method.eval().encode(torch.rand(2, 1, 8, 8)).shape == (2, 128)


def test_random_init_may_read_each_image_by_its_own_mean_and_deviation() -> None:
    backbone, images = convnet.build(SPEC, convnet.Config()).eval(), torch.rand(2, 1, 8, 8)
    method = random_init.RandomInit(backbone, SPEC, random_init.Config(standardised=True)).eval()
    own = (images - images.mean((2, 3), keepdim=True)) / images.std((2, 3), keepdim=True, correction=0)
    torch.testing.assert_close(method.encode(images), backbone.trunk(own), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(method.encode(0.5 * images + 0.2), method.encode(images), rtol=1e-4, atol=1e-5)


def test_random_init_standardises_no_texts() -> None:
    data = DataSpec(inputs=TextField(length=4))
    with pytest.raises(NotApplicable, match="of images"):
        random_init.RandomInit(convnet.build(SPEC, convnet.Config()), data, random_init.Config(standardised=True))


def test_supervised_is_cross_entropy_on_the_labels() -> None:
    torch.manual_seed(0)
    method = supervised.Supervised(convnet.build(SPEC, convnet.Config()), SPEC, supervised.Config(shift=0.0)).eval()
    images, labels = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    logits = method.predict(images)
    expected = -(logits.softmax(1)[torch.arange(6), labels]).log().mean()
    torch.testing.assert_close(method.loss(Batch(inputs=images, labels=labels)), expected)


def test_supervised_needs_labels() -> None:
    spec = DataSpec(inputs=ImageField(channels=1, size=8))
    with pytest.raises(NotApplicable, match="no labels"):
        supervised.Supervised(convnet.build(spec, convnet.Config()), spec, supervised.Config())
