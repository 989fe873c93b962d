"""Style transfer: copies of either image, a recolouring, and the two distances against plain formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from example_scenes import scenes
from example_subject import example_subject
from PIL import Image
from torch import Tensor, nn

from harness.data.rows import Dataset
from harness.errors import NotApplicable, TrainingFailed
from harness.judging import in_domain, label_free
from harness_plugins.evaluations import style

CONFIG = style.Config(n=64, shown=3)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return scenes()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all, so that the classifier is trained once, and briefly: scenes are easy."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (in_domain, label_free):
            patch.setattr(module, "FEWEST", 4000)
            patch.setattr(module, "MOST", 4000)
        yield tmp_path_factory.mktemp("style")


class Stylist(nn.Module):
    def __init__(self, stylise: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.stylise = stylise

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def recoloured(content: Tensor, style: Tensor) -> Tensor:
    """The light of the content in the colour of the style: right for these scenes."""
    light = content.amax((1, 2, 3), keepdim=True)
    return (content.amax(1, keepdim=True) / light) * style.amax((2, 3), keepdim=True)


def test_copies_reach_one_thing_and_not_the_other(data: Dataset, kept: Path) -> None:
    content = style.run(example_subject(Stylist(lambda one, two: one), data, kept), CONFIG)
    assert content["style_distance"].value == pytest.approx(1.0)
    assert content["content_distance"].value == pytest.approx(0.0, abs=1e-6)
    assert content["transfer"].value == pytest.approx(0.0, abs=1e-6)
    assert content["label_kept"].value > 0.98
    copied = style.run(example_subject(Stylist(lambda one, two: two), data, kept), CONFIG)
    assert copied["style_distance"].value == pytest.approx(0.0, abs=1e-6)
    assert copied["content_distance"].value == pytest.approx(1.0)
    assert copied["transfer"].value == pytest.approx(0.0, abs=1e-6)
    assert f"style copied {copied['label_kept'].value:.3f}" in content["label_kept"].note


def test_without_labels_all_is_judged_but_the_label(data: Dataset, kept: Path) -> None:
    parts = {name: replace(data.split(name), labels=None) for name in ("train", "validation", "test")}  # type: ignore[arg-type]
    bare = replace(data, spec=replace(data.spec, classes=()), **parts)
    found = style.run(example_subject(Stylist(lambda one, two: one), bare, kept), CONFIG)
    assert set(found) == {"transfer", "style_distance", "content_distance"}
    assert found["style_distance"].value == pytest.approx(1.0)
    assert "maps of the label-free encoder" in found["transfer"].note


def test_a_recolouring_beats_both_copies_and_a_blend(data: Dataset, kept: Path) -> None:
    found = style.run(example_subject(Stylist(recoloured), data, kept), CONFIG)
    blend = style.run(example_subject(Stylist(lambda one, two: (one + two) / 2), data, kept), CONFIG)
    assert found["style_distance"].value < 0.5
    assert found["transfer"].value > blend["transfer"].value + 0.2
    assert found["transfer"].value == pytest.approx(
        2 / (1 / (1 - found["style_distance"].value) + 1 / (1 - found["content_distance"].value))
    )
    assert found["transfer"].n == 64


def test_the_picture_is_a_table_of_contents_and_styles(data: Dataset, kept: Path) -> None:
    subject = example_subject(Stylist(lambda one, two: two), data, kept)
    style.run(subject, CONFIG)
    (picture,) = subject.pictures
    assert (picture.name, picture.columns) == ("stylised", 4)
    with Image.open(picture.file) as image:
        grid = torch.from_numpy(np.array(image))
    assert grid.shape == (4 * 9 - 1, 4 * 9 - 1, 3)
    assert (grid[:8, :8] == 255).all()  # the corner
    for row in (9, 18, 27):
        assert torch.equal(grid[row : row + 8, 9:], grid[:8, 9:])  # whoever copies the style shows it in each row
    assert len({grid[row : row + 8, :8].numpy().tobytes() for row in (9, 18, 27)}) > 1


def test_distances_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    made, content, wanted = (torch.rand(3, 2, 4, 4, generator=generator).double() for _ in range(3))

    def far(one: Tensor, two: Tensor) -> float:
        total = 0.0
        for a, b in zip(one, two, strict=True):
            means = [(a[c].mean() - b[c].mean()) ** 2 for c in range(2)]
            spreads = [(a[c].var(correction=0) ** 0.5 - b[c].var(correction=0) ** 0.5) ** 2 for c in range(2)]
            total += float(sum(means) + sum(spreads)) ** 0.5
        return total

    expected = far(made, wanted) / far(content, wanted)
    assert style.relative_style_distance([made], [content], [wanted]) == pytest.approx(expected)
    similar = style.self_similarity(content)
    assert similar.shape == (3, 16, 16)
    centred = content[1].flatten(1) - content[1].flatten(1).mean(1, keepdim=True)  # (c,h*w)
    cosine = centred[:, 2] @ centred[:, 7] / (centred[:, 2].norm() * centred[:, 7].norm())
    assert float(similar[1, 2, 7]) == pytest.approx(float(cosine))
    matrices = [style.self_similarity(maps) for maps in (made, content, wanted)]
    near, far_away = ((matrices[k] - matrices[1]).square().sum((1, 2)).sqrt().sum() for k in (0, 2))
    assert style.relative_content_distance(made, content, wanted) == pytest.approx(float(near / far_away))
    exchanged = 3 * content.flip(1) + 1  # other maps, stronger and with an offset: the same places are alike
    assert style.relative_content_distance(exchanged, content, wanted) == pytest.approx(0.0, abs=1e-9)


def test_flat_maps_have_no_structure_and_equal_images_nothing_to_transfer() -> None:
    flat = torch.ones(2, 3, 4, 4, dtype=torch.float64)
    assert style.self_similarity(flat).abs().max() == 0
    with pytest.raises(NotApplicable, match="all test images have the same style"):
        style.relative_style_distance([flat], [flat], [flat])
    assert style.harmonic_mean(0.0, 0.0) == 0.0


def test_what_is_no_image_is_a_failure(data: Dataset, kept: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"stylise\(\) gave \(64, 192\), expected \(64, 3, 8, 8\)"):
        style.run(example_subject(Stylist(lambda one, two: one.flatten(1)), data, kept), CONFIG)
    with pytest.raises(TrainingFailed, match="not finite"):
        style.run(example_subject(Stylist(lambda one, two: one / 0), data, kept), CONFIG)
    with pytest.raises(ValueError, match="at least 2"):
        style.Config(n=1)
