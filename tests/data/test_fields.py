"""Fields: what one kind of data looks like, how it is measured, and what another dataset has to become."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from harness.data.columns import InMemory, Texts
from harness.data.fields import ANY, DataSpec, Field, ImageField, TextField, VideoField
from harness.errors import NotApplicable

IMAGES = ImageField(channels=3, size=4)
CLIPS = VideoField(frames=2, channels=3, size=4)
TEXTS = TextField(length=5)


def pixels(*shape: int) -> InMemory:
    return InMemory(torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("field", "kind", "shape", "title"),
    [
        (IMAGES, "image", (3, 4, 4), "4x4x3"),
        (CLIPS, "video", (2, 3, 4, 4), "2 frames of 4x4x3"),
        (TEXTS, "text", (5,), "texts of 5 tokens"),
        (TextField(), "text", (0,), "texts"),
    ],
)
def test_what_a_field_says_of_itself(field: Field, kind: str, shape: tuple[int, ...], title: str) -> None:
    assert (field.kind, field.shape, field.title) == (kind, shape, title)
    assert DataSpec(inputs=field).kind == kind
    assert kind in ANY


def test_descriptions_need_no_torch() -> None:
    code = (
        "import sys; from harness.plugin import DataSpec, ImageField, TextField, VideoField\n"
        "DataSpec(inputs=VideoField(frames=2, channels=1, size=8), captions=TextField()).inputs.title\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("field", [IMAGES, CLIPS])
def test_channels_are_measured_over_all_other_axes(field: ImageField | VideoField) -> None:
    column = pixels(30, *field.shape)
    values = column.values.numpy().astype(np.float64) / 255
    axes = tuple(axis for axis in range(values.ndim) if axis != values.ndim - 3)
    measured = field.measured(column)
    np.testing.assert_allclose(measured.mean, values.mean(axes), rtol=1e-12)
    np.testing.assert_allclose(measured.std, values.std(axes), rtol=1e-12)


def test_a_frame_has_the_statistics_of_its_clips() -> None:
    measured = CLIPS.measured(pixels(9, *CLIPS.shape))
    assert measured.frame == ImageField(channels=3, size=4, mean=measured.mean, std=measured.std)


@pytest.mark.parametrize(
    ("field", "column", "message"),
    [
        (IMAGES, pixels(6, 3, 4, 5), r"torch.uint8 \(6, 3, 4, 5\), expected torch.uint8 \(N, 3, 4, 4\)"),
        (IMAGES, InMemory(torch.zeros(6, 3, 4, 4)), r"torch.float32 \(6, 3, 4, 4\), expected torch.uint8"),
        (CLIPS, pixels(6, 3, 3, 4, 4), r"torch.uint8 \(6, 3, 3, 4, 4\), expected torch.uint8 \(N, 2, 3, 4, 4\)"),
        (TEXTS, pixels(6, 5), "no list of strings"),
        (TEXTS, Texts(("a", 3)), "strings but for 1, such as 3"),  # type: ignore[arg-type]
    ],
)
def test_a_column_that_is_not_as_described(field: Field, column: InMemory | Texts, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        field.check(column)


def test_what_is_as_described_passes() -> None:
    for field, column in ((IMAGES, pixels(2, 3, 4, 4)), (CLIPS, pixels(2, 2, 3, 4, 4)), (TEXTS, Texts(("a", "")))):
        field.check(column)


def test_another_kind_cannot_be_read() -> None:
    with pytest.raises(NotApplicable, match="it was trained on images, these are texts"):
        IMAGES.read(Texts(("a",)), TEXTS)
    with pytest.raises(NotApplicable, match="it was trained on texts, these are clips"):
        TEXTS.read(pixels(1, *CLIPS.shape), CLIPS)


def test_clips_are_read_frame_by_frame_with_a_note() -> None:
    other = VideoField(frames=5, channels=1, size=8)
    column = pixels(70, *other.shape)
    found, note = CLIPS.read(column, other)
    assert note == "changed from 5 frames of 8x8x1 to 2 frames of 4x4x3"
    for time, frame in ((0, 0), (1, 4)):  # the first and the last one
        expected, _ = IMAGES.read(InMemory(column.values[:, frame]), ImageField(channels=1, size=8))
        assert torch.equal(found.take(torch.arange(70))[:, time], expected.take(torch.arange(70)))


def test_alike_columns_are_left_alone() -> None:
    for field in (IMAGES, CLIPS):
        column = pixels(3, *field.shape)
        found, note = field.read(column, field)
        assert (found is column, note) == (True, "")
