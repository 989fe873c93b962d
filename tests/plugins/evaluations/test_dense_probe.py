"""The dense probe: what it reads from maps that tell and from maps that do not, and the targets that it refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from example_subject import digits_dataset, example_subject
from sklearn.metrics import jaccard_score
from torch import Tensor, nn

from harness import loading
from harness.data.rows import Dataset
from harness.errors import NotApplicable
from harness.judging.positions import positions_of
from harness.nn.backbone import Backbone, PatchTokens
from harness_plugins.backbones import convnet, mlp, vit
from harness_plugins.datasets import shapes
from harness_plugins.evaluations.dense_probe import INKS, Config, interpolated, painted, run

QUICK = Config(train_limit=200, validation_limit=60)


@cache
def drawn() -> Dataset:
    return loading.load(shapes.harness_dataset(), shapes.Config(n=600, test=80, size=16), Path(), 0)


class Method(nn.Module):
    """Encodes by its backbone, after a change of the images if there is one."""

    def __init__(self, backbone: Backbone, change=lambda images: images) -> None:
        super().__init__()
        self.backbone, self.change = backbone, change

    def encode(self, images: Tensor) -> Tensor:
        return self.backbone(self.change(images))


def telling(data: Dataset, *, blind: bool = False) -> Method:
    """Maps of one position a pixel, which say by the colour and the test row what a pixel shows; or nothing at all."""
    answers = {}
    for split in ("train", "validation", "test"):
        rows = data.split(split)
        masks = data.read_masks(rows)
        for image, mask in zip(rows.values, masks, strict=True):
            answers[image.numpy().tobytes()] = mask

    def maps(trunk: nn.Module, images: Tensor) -> Tensor:
        kept = (images * 255).round().to(torch.uint8).contiguous()
        known = torch.stack([answers[image.numpy().tobytes()] for image in kept])
        return F.one_hot(known.long(), 5).permute(0, 3, 1, 2).float() * (not blind)

    inputs = replace(data.spec.inputs, mean=(0.0,) * 3, std=(1.0,) * 3)
    return Method(Backbone(nn.Flatten(), 5, replace(data.spec, inputs=inputs), any_size=True, maps=maps))


def test_maps_that_tell_everything_are_read_without_a_mistake(tmp_path: Path) -> None:
    scores = run(example_subject(telling(drawn()), drawn(), tmp_path), QUICK)
    assert scores["mean_iou"].value == scores["place_iou"] == scores["pixel_accuracy"].value == 1
    assert scores["pixel_accuracy"].outcomes.tolist() == [1.0] * 80
    assert scores["mean_iou"].note.startswith("background 1.000, circle 1.000, square 1.000")


def test_maps_that_tell_nothing_are_at_chance(tmp_path: Path) -> None:
    scores = run(example_subject(telling(drawn(), blind=True), drawn(), tmp_path), QUICK)
    truth = drawn().read_masks(drawn().test).flatten()
    share = float((truth == 0).double().mean())
    assert scores["pixel_accuracy"].value == scores["pixel_accuracy"].chance == pytest.approx(share)
    assert scores["mean_iou"].value == scores["mean_iou"].chance == pytest.approx(share / 5)
    assert scores["mean_iou"].chance == pytest.approx(jaccard_score(truth, truth * 0, average="macro"))
    assert scores["place_iou"] == 0


@pytest.mark.parametrize("backbone", [convnet.build, vit.build])
def test_an_untrained_backbone_sees_more_than_nothing(backbone, tmp_path: Path) -> None:
    config = convnet.Config() if backbone is convnet.build else vit.Config(pool="class", width=48, depth=1)
    torch.manual_seed(0)
    subject = example_subject(Method(backbone(drawn().spec, config)), drawn(), tmp_path)
    first = run(subject, QUICK)
    subject.begin(tmp_path / "second")
    second = run(subject, QUICK)
    assert first["mean_iou"].value > 1.2 * first["mean_iou"].chance
    assert first["mean_iou"] == second["mean_iou"]
    assert float(first["pixel_accuracy"].outcomes.mean()) == first["pixel_accuracy"].value
    assert subject.pictures[0].row_names == ("image", "truth", "predicted")
    assert Path(subject.pictures[0].file).is_file()


def test_the_feature_of_a_pixel_is_that_of_the_enlarged_maps() -> None:
    maps = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    places = torch.arange(16 * 18).expand(3, -1)
    enlarged = F.interpolate(maps, (16, 18), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    torch.testing.assert_close(interpolated(maps, places, (16, 18)), enlarged, atol=1e-5, rtol=1e-5)


def test_the_trunk_sees_what_encoding_makes_of_an_image(tmp_path: Path) -> None:
    class Negative(Method):
        def trunk_inputs(self, images: Tensor) -> Tensor:
            return self.backbone.standardise(1 - images)

    method = Negative(convnet.build(drawn().spec, convnet.Config()), lambda images: 1 - images)
    subject = example_subject(method, drawn(), tmp_path)
    images = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(positions_of(subject)(images).mean((2, 3)), method.encode(images))


def test_patch_tokens_stand_where_their_patches_are() -> None:
    backbone = vit.build(drawn().spec, vit.Config(pool="class", width=48, depth=1)).eval()
    images = torch.rand(2, 3, 16, 16)
    tokens = backbone.tokens(images)[:, 1:]
    positions = backbone.positions(backbone.standardise(images))
    assert positions.shape == (2, 48, 4, 4)
    torch.testing.assert_close(positions[:, :, 1, 2], tokens[:, 6])
    assert isinstance(backbone._patches, PatchTokens)


def test_masks_follow_a_target_that_was_resized(tmp_path: Path) -> None:
    small = replace(drawn().spec, inputs=replace(drawn().spec.inputs, size=8))
    subject = example_subject(telling(drawn()), drawn(), tmp_path, spec=small)
    masks = subject.masks("test", torch.arange(5))
    assert masks.shape == (5, 8, 8)
    assert set(masks.unique().tolist()) <= set(range(5))


def test_what_tells_no_masks_or_sees_no_positions_does_not_apply(tmp_path: Path) -> None:
    digits = digits_dataset()
    with pytest.raises(NotApplicable, match="digits does not tell what each pixel shows"):
        run(example_subject(Method(convnet.build(digits.spec, convnet.Config())), digits, tmp_path), QUICK)
    with pytest.raises(NotApplicable, match="sees no positions: choose convnet, resnet18 or vit"):
        run(example_subject(Method(mlp.build(drawn().spec, mlp.Config())), drawn(), tmp_path), QUICK)
    with pytest.raises(NotApplicable, match="example has no backbone"):
        run(example_subject(nn.Identity(), drawn(), tmp_path), QUICK)


def test_regions_are_painted_in_colours_of_their_own() -> None:
    inks = painted(torch.arange(5).view(1, 1, 5))
    assert torch.allclose(inks[0, :, 0, 0], torch.tensor(INKS[0]))
    assert len({tuple(inks[0, :, 0, place].tolist()) for place in range(5)}) == 5


def test_a_config_is_checked() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Config(pixels=0)
