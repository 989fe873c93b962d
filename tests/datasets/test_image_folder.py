from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from harness import loading
from harness.data.cache import cache_root
from harness.data.folder import decode_image, list_images
from harness.errors import DatasetMissing, RequestError
from harness.plugin.specs import DatasetSpec
from harness.registry.config import resolve
from harness_plugins.datasets import image_folder

SPEC: DatasetSpec = image_folder.harness_dataset()
ROOT = Path("no data folder is needed")


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (40, 30)) -> Path:
    """A colour picture of random pixels, (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve cats, eight dogs (one below a sub-folder), and files that are no images."""
    for number in range(12):
        picture(tmp_path / "photos" / "cat" / f"{number:02}.png", seed=number)
    for number in range(7):
        picture(tmp_path / "photos" / "dog" / f"{number:02}.PNG", seed=100 + number)
    picture(tmp_path / "photos" / "dog" / "more" / "x.jpg", seed=200)
    (tmp_path / "photos" / "dog" / "notes.txt").write_text("no image")
    (tmp_path / "photos" / ".hidden").mkdir()
    return tmp_path / "photos"


def configured(path: Path, **params: object) -> image_folder.Config:
    return resolve(image_folder.Config, {"path": str(path), **params}, "image-folder")


def test_folders_are_classes_and_files_are_read_in_order(photos: Path) -> None:
    config = configured(photos, size="20")
    raw = SPEC.load(config, ROOT)
    assert SPEC.describe(config, ROOT).classes == ("cat", "dog")
    assert raw.labels.tolist() == [0] * 12 + [1] * 8
    assert raw.inputs.shape == (20, 3, 20, 20)
    assert raw.test is None
    expected = decode_image(photos / "cat" / "03.png", 20, 3)
    np.testing.assert_array_equal(raw.inputs[3].numpy(), expected)


def test_it_loads_into_three_splits(photos: Path) -> None:
    dataset = loading.load(SPEC, configured(photos), ROOT, seed=0)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (14, 2, 4)
    assert dataset.spec.inputs.shape == (3, 32, 32)


def test_train_and_test_folders_are_an_official_split(tmp_path: Path) -> None:
    for part, n in (("train", 6), ("test", 3)):
        for number in range(2 * n):
            picture(tmp_path / part / "ab"[number % 2] / f"{number}.png", seed=number + 50 * n)
    raw = SPEC.load(configured(tmp_path), ROOT)
    assert (len(raw.inputs), raw.labels.tolist()) == (12, [0] * 6 + [1] * 6)
    assert (len(raw.test.inputs), raw.test.labels.tolist()) == (6, [0] * 3 + [1] * 3)
    expected = decode_image(tmp_path / "test" / "a" / "0.png", 32, 3)
    np.testing.assert_array_equal(raw.test.inputs[0].numpy(), expected)


@pytest.mark.parametrize("size", [(40, 30), (31, 57), (16, 16), (9, 200), (33, 32)])
@pytest.mark.parametrize(("channels", "mode"), [(3, "RGB"), (1, "L")])
def test_decoding_is_torchvisions_resize_and_centre_crop(
    tmp_path: Path, size: tuple[int, int], channels: int, mode: str
) -> None:
    path = picture(tmp_path / "a.png", size=size)
    steps = transforms.Compose([transforms.Resize(16), transforms.CenterCrop(16), transforms.PILToTensor()])
    expected = steps(Image.open(path).convert(mode))
    np.testing.assert_array_equal(decode_image(path, 16, channels), expected.numpy())


def test_phone_photos_are_turned_upright(tmp_path: Path) -> None:
    path = picture(tmp_path / "flat.png", size=(32, 32))
    image = Image.open(path)
    exif = Image.Exif()
    exif[0x0112] = 3  # orientation: turned by half
    image.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(
        decode_image(tmp_path / "turned.png", 32, 3), decode_image(path, 32, 3)[:, ::-1, ::-1]
    )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_each_kind_of_pixel_becomes_eight_bits_a_channel(tmp_path: Path, mode: str) -> None:
    grey = Image.new("L", (8, 8), 255)
    grey.convert(mode).save(tmp_path / "a.png", **({"transparency": b"\x00\xff"} if mode == "P" else {}))
    assert decode_image(tmp_path / "a.png", 8, 3).tolist() == np.full((3, 8, 8), 255).tolist()


def test_files_that_cannot_be_decoded_are_reported_together(photos: Path) -> None:
    (photos / "cat" / "00.png").write_bytes(b"nonsense")
    whole = (photos / "cat" / "01.png").read_bytes()
    (photos / "cat" / "01.png").write_bytes(whole[: len(whole) // 2])
    (photos / "cat" / "02.png").write_bytes(b"")
    Image.fromarray(np.zeros((9, 9), dtype=np.uint16)).save(photos / "cat" / "03.png")
    with pytest.raises(RequestError) as error:
        loading.load(SPEC, configured(photos), ROOT, seed=0)
    message = str(error.value)
    assert message.startswith("image-folder: 4 of 20 images cannot be decoded: remove or replace ")
    assert f"{photos / 'cat' / '00.png'} (not an image)" in message
    assert str(photos / "cat" / "01.png") in message
    assert message.endswith("and 1 more")
    assert "\n" not in message


def test_sixteen_bit_pixels_are_refused_instead_of_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 60_000, dtype=np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="not 8 bits a channel"):
        decode_image(tmp_path / "a.png", 8, 1)


def test_images_are_decoded_once_for_the_same_content(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(photos.parent / "cache"))
    config = configured(photos)
    first = SPEC.load(config, ROOT)
    (kept,) = (cache_root() / "decoded").iterdir()
    marked = np.load(kept)
    marked[0] = 7
    np.save(kept, marked)
    assert SPEC.load(config, ROOT).inputs[0].unique().tolist() == [7]  # it was read, not decoded
    picture(photos / "cat" / "00.png", seed=999)
    again = SPEC.load(config, ROOT)
    assert torch.equal(again.inputs[1:], first.inputs[1:])
    np.testing.assert_array_equal(again.inputs[0].numpy(), decode_image(photos / "cat" / "00.png", 32, 3))


def test_fingerprint_depends_on_images_and_shape_but_not_on_the_place(photos: Path, tmp_path: Path) -> None:
    before = loading.fingerprint(SPEC, configured(photos), ROOT)
    assert loading.fingerprint(SPEC, configured(photos, size=64), ROOT) != before
    assert loading.fingerprint(SPEC, configured(photos, channels=1), ROOT) != before
    moved = photos.rename(tmp_path / "moved")
    assert loading.fingerprint(SPEC, configured(moved), ROOT) == before
    picture(moved / "cat" / "00.png", seed=999)
    assert loading.fingerprint(SPEC, configured(moved), ROOT) != before


def test_path_is_seen_from_the_working_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    assert SPEC.files(configured(Path("photos")), ROOT)[0] == photos / "cat" / "00.png"


def test_missing_folder_is_an_error_that_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"no folder .*none: name a folder with one sub-folder per class"):
        loading.load(SPEC, configured(tmp_path / "none"), ROOT, seed=0)


def test_folder_without_class_folders_is_an_error(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DatasetMissing, match="has no class folders"):
        list_images(tmp_path)


def test_class_folder_without_images_is_an_error(photos: Path) -> None:
    (photos / "empty").mkdir()
    with pytest.raises(RequestError, match=r"class folder .*empty has no images"):
        list_images(photos)


def test_train_and_val_are_not_taken_for_classes(tmp_path: Path) -> None:
    for part in ("train", "val"):
        picture(tmp_path / part / "cat" / "a.png")
    with pytest.raises(RequestError, match=r"has the folders train, val: call them train and test"):
        list_images(tmp_path)


def test_classes_of_train_and_test_must_be_the_same(tmp_path: Path) -> None:
    for name in ("train/cat", "train/dog", "test/cat", "test/cow"):
        picture(tmp_path / name / "a.png")
    with pytest.raises(RequestError, match="class 'cow' is in one of train/ and test/ only"):
        list_images(tmp_path)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "plugin 'image-folder' needs path"),
        ({"path": "x", "size": "2"}, "size=2: expected 4 to 1024 pixels"),
        ({"path": "x", "channels": "2"}, "channels"),
    ],
)
def test_bad_parameters_are_errors(params: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        resolve(image_folder.Config, params, "image-folder")
