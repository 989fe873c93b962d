"""The shapes: balanced factors, what captions and targets say, and that pixels tell every factor exactly."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from harness import loading
from harness.data.rows import RawData, read_as
from harness.data.splits import rows_of
from harness.data.texts import words_of
from harness.data.tokens import UNKNOWN
from harness.errors import RequestError
from harness.registry.config import resolve
from harness_plugins.datasets import shapes
from harness_plugins.datasets.shapes import Config

SPEC = shapes.harness_dataset()
ROOT = Path("no data folder is needed")
WAYS = ("outline-to-filled", "day-to-night")
VARIANTS = [Config(n=400, test=300, size=s, translation=way) for s, way in product((16, 24, 32), WAYS)]
TURNED = [replace(config, orientation=True) for config in VARIANTS]


@cache
def made(config: Config) -> RawData:
    return SPEC.load(config, ROOT)


def parts(config: Config) -> list[RawData]:
    raw = made(config)
    return [raw, raw.test, raw.unseen]


def read(config: Config, images: torch.Tensor) -> torch.Tensor:
    return SPEC.read_factors(config, images)


def share(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Of images whose factors are all right."""
    return float((found == expected).all(1).double().mean())


def written(values: torch.Tensor) -> torch.Tensor:
    return values.clamp(0, 1).mul(255).round().to(torch.uint8)


@pytest.mark.parametrize("config", [*VARIANTS, *TURNED], ids=str)
def test_every_factor_is_read_back_exactly(config: Config) -> None:
    for part in parts(config):
        assert torch.equal(read(config, part.inputs), part.factors)


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_reading_survives_noise_and_blur(config: Config) -> None:
    raw = made(config).test
    images = raw.inputs.float() / 255
    noise = 0.05 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    assert share(read(config, written(images + noise)), raw.factors) > 0.98
    assert share(read(config, written(blurred)), raw.factors) > 0.98
    ground = images[:, :, :1, :1]
    assert share(read(config, written(ground + 0.8 * (images - ground))), raw.factors) > 0.98


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_what_shows_no_shape_is_unreadable_throughout(config: Config) -> None:
    generator = torch.Generator().manual_seed(0)
    uniform = torch.randint(256, (500, 3, config.size, config.size), dtype=torch.uint8, generator=generator)
    gaussian = written(0.5 + 0.2 * torch.randn(500, 3, config.size, config.size, generator=generator))
    blank = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, config.size, config.size)
    coarse = torch.rand(500, 3, 5, 5, generator=generator)
    clouds = written(F.interpolate(coarse, size=(config.size, config.size), mode="bilinear"))
    for images in (uniform, gaussian, blank, clouds):
        assert torch.equal(read(config, images), torch.full((len(images), 5), -1))


def test_two_shapes_far_apart_are_almost_never_read_as_one() -> None:
    config = Config(n=1000, test=500)
    raw = made(config)
    left, right = ((raw.factors[:, 3] == column).nonzero().flatten()[:100] for column in (0, 2))
    both = torch.cat([raw.inputs[left][..., :16], raw.inputs[right][..., 16:]], dim=3)
    assert (read(config, both) == -1).all(1).double().mean() >= 0.93


def test_reading_an_image_does_not_depend_on_the_others() -> None:
    config = VARIANTS[0]
    images = made(config).inputs[:300]
    assert torch.equal(read(config, images)[290:], read(config, images[290:]))
    assert read(config, images[:0]).shape == (0, 5)


def test_held_out_pairs_are_unseen_and_every_shape_and_colour_is_seen() -> None:
    raw, test, unseen = parts(Config(n=1000, test=500))
    pairs = [{tuple(pair) for pair in part.factors[:, :2].tolist()} for part in (raw, test, unseen)]
    assert (len(pairs[0]), len(pairs[1]), len(pairs[2])) == (20, 20, 4)
    assert not pairs[0] & pairs[2]
    assert {shape for shape, _ in pairs[2]} == {0, 1, 2, 3} == {shape for shape, _ in pairs[0]}
    assert len({colour for _, colour in pairs[2]}) == 4
    assert {colour for _, colour in pairs[0]} == {0, 1, 2, 3, 4, 5}
    assert len(unseen.inputs) == 500


def test_factors_are_balanced_and_independent_of_each_other() -> None:
    raw = made(Config(n=10_000, test=20, size=16, orientation=True))
    assert raw.labels.bincount().tolist() == [2500] * 4
    pairs = torch.unique(raw.factors[:, :2], dim=0, return_counts=True)[1]
    assert pairs.tolist() == [500] * 20
    for column, values in ((2, 2), (3, 3), (4, 3), (5, 2)):
        shares = raw.factors[:, column].bincount(minlength=values).double() / len(raw.factors)
        assert torch.allclose(shares, torch.full_like(shares, 1 / values), atol=0.025)
    correlation = torch.corrcoef(raw.factors.double().T)
    assert (correlation - torch.eye(6)).abs()[2:].max() < 0.04


def test_no_two_images_are_equal() -> None:
    raw, test, unseen = parts(Config(n=10_000, test=2000, size=16))
    images = torch.cat([raw.inputs, test.inputs, unseen.inputs]).numpy()
    assert len({image.tobytes() for image in images}) == 12_500


def test_labels_are_the_shapes_and_captions_say_every_factor() -> None:
    config = TURNED[0]
    raw = made(config)
    factors = SPEC.describe(config, ROOT).factors
    assert torch.equal(raw.labels, raw.factors[:, 0])
    for caption, row in zip(raw.captions, raw.factors.tolist(), strict=True):
        words = words_of(caption)
        values = {factor.name: factor.values[value] for factor, value in zip(factors, row, strict=True)}
        assert [words[index] for index in (1, 2, 3)] == [values["size"], values["colour"], values["shape"]]
        middle = values["vertical"] == "middle" and values["horizontal"] == "centre"
        assert (
            words[4:] == ["in", "the", "middle"] if middle else ["at", "the", values["vertical"], values["horizontal"]]
        )
    assert len({tuple(row[:5]) for row in raw.factors.tolist()}) == len(set(raw.captions))  # captions tell them apart
    assert not {"upright", "tilted"} & {word for caption in raw.captions for word in words_of(caption)}


def test_caption_reads_like_a_sentence() -> None:
    assert shapes.caption([0, 0, 0, 0, 0], Config()) == "a small red circle at the top left"
    assert shapes.caption([3, 5, 1, 1, 1], Config()) == "a large cyan cross in the middle"


@pytest.mark.parametrize("size", [16, 32])
def test_targets_are_where_the_pixels_are(size: int) -> None:
    raw = made(Config(n=1000, test=500, size=size))
    ground = raw.inputs[:, :, :1, :1].float()
    strength = (raw.inputs.float() - ground).abs().sum(1)  # (N,H,W)
    strength = strength / strength.amax((1, 2), keepdim=True)
    area = strength.sum((1, 2))
    middles = torch.arange(size) + 0.5
    across, down = strength.sum(1) @ middles / area, strength.sum(2) @ middles / area
    even = raw.labels != 2  # a triangle's mass lies below the middle of its box
    assert torch.allclose(across, raw.targets[:, 0], atol=0.15)
    assert torch.allclose(down[even], raw.targets[even, 1], atol=0.15)
    assert (down - raw.targets[:, 1])[~even].min() > 0.5
    assert torch.allclose((area / torch.pi).sqrt(), raw.targets[:, 2], rtol=0.08)


def test_paired_show_the_same_scene() -> None:
    filled, night = made(VARIANTS[4]), made(VARIANTS[5])
    assert (VARIANTS[4].size, VARIANTS[5].translation) == (32, "day-to-night")
    assert torch.equal(filled.factors, night.factors)
    assert torch.equal(night.paired, filled.inputs)  # the day of a night scene is the filled shape by day
    assert (night.inputs.float().mean((1, 2, 3)) < 60).all()
    ink = (filled.inputs != filled.inputs[:, :, :1, :1]).any(1)  # (N,H,W)
    line = (filled.paired != filled.paired[:, :, :1, :1]).any(1)
    assert not (line & ~ink).any()
    assert (line.sum((1, 2)) < 0.95 * ink.sum((1, 2))).double().mean() > 0.7  # small crosses are all line
    assert torch.equal(filled.inputs[:, :, 0, 0], filled.paired[:, :, 0, 0])


def test_same_config_gives_the_same_bytes_on_every_machine() -> None:
    """If this changes with harness.data.drawing, raise DRAWING in the plugin: fingerprints know that file alone."""
    raw = SPEC.load(Config(n=200, test=20, size=16, orientation=True), ROOT)
    digest = hashlib.sha256(raw.inputs.numpy().tobytes() + raw.paired.numpy().tobytes()).hexdigest()
    assert digest[:16] == "cdc67b9d2f841784"


def test_seed_changes_the_scenes_and_n_does_not_change_the_test_set() -> None:
    one, other = made(Config(n=1000, test=500, size=16)), SPEC.load(Config(n=1000, test=500, size=16, seed=1), ROOT)
    assert not torch.equal(one.inputs, other.inputs)
    more = SPEC.load(Config(n=1200, test=500, size=16), ROOT)
    assert torch.equal(one.test.inputs, more.test.inputs)


def test_it_loads_into_splits_without_a_data_folder(tmp_path: Path) -> None:
    config = Config(n=500, test=100, size=16)
    dataset = loading.load(SPEC, config, tmp_path / "none", seed=0)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test), len(dataset.unseen)) == (450, 50, 100, 500)
    assert dataset.spec.captions.length == 8
    read = read_as(dataset, dataset.spec)
    assert UNKNOWN not in read.unseen.captions.values.unique().tolist()
    assert dataset.read_factors is not None
    assert torch.equal(dataset.read_factors(dataset.validation.values), dataset.validation.factors)
    before = loading.fingerprint(SPEC, config, tmp_path)
    assert loading.fingerprint(SPEC, replace(config, seed=1), tmp_path) != before


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": "8"}, "shapes: size=8: expected 16 to 256 pixels"),
        ({"n": "10"}, "shapes: n=10, test=2000: expected at least 100 and 20 images"),
        ({"translation": "day-to-nigth"}, "did you mean 'day-to-night'"),
    ],
)
def test_bad_parameters_are_errors(params: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        resolve(Config, params, "shapes")


@pytest.mark.parametrize("config", [VARIANTS[0], VARIANTS[-1], TURNED[-2]])
def test_masks_are_where_the_images_are_not_background(config: Config) -> None:
    rows = rows_of(made(config))
    masks = SPEC.read_masks(config, rows)
    assert masks.dtype == torch.uint8
    assert masks.amax((1, 2)).tolist() == (1 + rows.factors[:, 0]).tolist()  # one shape an image, of its kind
    away = (rows.values.float() - rows.values[:, :, :1, :1]).abs().amax(1)  # (N,H,W): a corner is background
    seen = away > 0.5 * away.amax((1, 2), keepdim=True)
    assert float(((masks > 0) == seen).double().mean()) > 0.998  # all but pixels that are covered to a half
    areas = (masks > 0).sum((1, 2)).double(), torch.pi * rows.targets[:, 2].double() ** 2
    assert float(areas[0].mean() / areas[1].mean()) == pytest.approx(1, abs=0.02)
