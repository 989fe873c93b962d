from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torchvision import transforms

import harness
from harness import loading
from harness.data import folder
from harness.data.batches import Batches
from harness.data.cache import cache_root, write_atomically
from harness.data.columns import Files, all_values
from harness.data.files_below import images_below, subfolders
from harness.data.folder import decode_image, list_images
from harness.errors import DatasetMissing, RequestError
from harness.plugin.specs import DatasetSpec
from harness.registry.config import resolve
from harness.sealed import seal_binary
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
    write_atomically(kept, lambda file: seal_binary(file, lambda inner: np.save(inner, marked)))
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


# Links. ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def eighty(tmp_path: Path) -> Path:
    """Two classes of 40 images, half of each in a folder `more` of its own."""
    for number in range(80):
        inside = Path("more") if number % 4 < 2 else Path()
        picture(tmp_path / "photos" / "ab"[number % 2] / inside / f"{number}.png", seed=number, size=(8, 8))
    return tmp_path / "photos"


def test_links_that_lead_back_up_are_not_followed(eighty: Path) -> None:
    before = list_images(eighty)
    (eighty / "a" / "again").symlink_to(eighty / "a")
    (eighty / "b" / "more" / "up").symlink_to(eighty)
    (eighty / "b" / "up").symlink_to("..")
    (eighty / "all").symlink_to(eighty)
    assert subfolders(eighty) == ["a", "b"]
    assert list_images(eighty) == before
    assert len(before.files) == 80


def test_a_folder_is_entered_once_by_its_own_name(eighty: Path) -> None:
    before = images_below(eighty / "a")
    (eighty / "a" / "early").symlink_to(eighty / "a" / "more")  # before `more` in the alphabet
    (eighty / "a" / "zz").symlink_to(eighty / "a" / "more")
    assert images_below(eighty / "a") == before


def test_links_to_folders_elsewhere_are_followed(eighty: Path, tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "deep" / "x.png")
    (eighty / "a" / "linked").symlink_to(tmp_path / "elsewhere")
    (eighty / "c").symlink_to(tmp_path / "elsewhere")
    assert eighty / "a" / "linked" / "deep" / "x.png" in images_below(eighty / "a")
    assert list_images(eighty).classes == ("a", "b", "c")
    assert images_below(eighty / "c") == [eighty / "c" / "deep" / "x.png"]


def test_a_dataset_behind_a_link_is_what_it_is_without(eighty: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(eighty)
    (eighty / "a" / "again").symlink_to(eighty / "a")
    found = list_images(tmp_path / "link")
    assert [file.relative_to(tmp_path / "link") for file in found.files] == [
        file.relative_to(eighty) for file in list_images(eighty).files
    ]
    assert len(found.files) == 80


# On demand. -----------------------------------------------------------------------------------------------------------


def test_images_on_demand_are_those_in_memory(photos: Path) -> None:
    kept, waiting = (SPEC.load(configured(photos, in_memory=in_memory), ROOT) for in_memory in (True, False))
    assert isinstance(waiting.inputs, Files)
    assert torch.equal(all_values(waiting.inputs), kept.inputs)
    assert torch.equal(waiting.labels, kept.labels)
    one, two = (loading.load(SPEC, configured(photos, in_memory=in_memory), ROOT, 0) for in_memory in (True, False))
    assert one.spec == two.spec  # mean and deviation, too
    assert torch.equal(one.test.values, two.test.values)


def test_images_on_demand_are_one_dataset_with_those_in_memory(photos: Path) -> None:
    fingerprints = {loading.fingerprint(SPEC, configured(photos, in_memory=kept), ROOT) for kept in (True, False)}
    assert len(fingerprints) == 1


def test_an_official_test_set_is_read_on_demand_as_well(tmp_path: Path) -> None:
    for name in ("train/a/1", "train/a/2", "train/b/3", "test/a/4", "test/b/5"):
        picture(tmp_path / f"{name}.png", seed=int(name[-1]))
    raw = SPEC.load(configured(tmp_path, in_memory=False), ROOT)
    assert (len(raw.inputs), len(raw.test.inputs)) == (3, 2)
    expected = decode_image(tmp_path / "test" / "b" / "5.png", 32, 3)
    np.testing.assert_array_equal(raw.test.inputs.take(torch.tensor([1]))[0].numpy(), expected)


def test_a_folder_too_large_for_memory_says_so_before_it_is_decoded(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 * 2**20))
    monkeypatch.setattr(folder, "decode_images", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(RequestError) as error:
        loading.load(SPEC, configured(photos, size=1024), ROOT, seed=0)
    assert str(error.value) == (
        "image-folder: 20 images of 1024x1024x3 need 0.1 GiB of memory and 0.1 GiB are free: "
        "image-folder[in_memory=false] decodes them on demand"
    )
    SPEC.describe(configured(photos, size=1024, in_memory=False), ROOT)
    SPEC.describe(configured(photos, size=64), ROOT)


def test_the_command_line_refuses_a_folder_too_large_for_memory(photos: Path) -> None:
    code = (
        "import sys, types, psutil; psutil.virtual_memory = lambda: types.SimpleNamespace(available=2**20)\n"
        "from harness.cli import main; sys.exit(main())"
    )
    source = f"image-folder[path={photos},size=512]"
    arguments = ["bench", "--plugins", "rotation", "--datasets", source, "--out", str(photos.parent / "run")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "need 0.0 GiB of memory" in done.stderr
    assert "in_memory=false" in done.stderr


def bench(photos: Path, in_memory: bool, out: Path, **words: object) -> harness.Results:
    source = f"image-folder[path={photos},size=8,in_memory={str(in_memory).lower()}]"
    request = {"references": "pca", "seeds": 1, "budget": "12 steps", "evaluations": "linear-probe,knn,pretext"}
    return harness.bench(**(request | words), datasets=source, out=out, jobs=2, progress=False)


def test_a_bench_on_demand_gives_the_numbers_of_one_in_memory(eighty: Path, tmp_path: Path) -> None:
    """Losses, references and scores, bit for bit; a target of another size is converted on demand."""
    targets = f"image-folder[path={eighty},size=8,in_memory=KEPT],image-folder[path={eighty},size=12,in_memory=KEPT]"
    found = []
    for kept in ("true", "false"):
        words = {"plugins": "rotation", "targets": targets.replace("KEPT", kept), "set": ["train.batch_size=20"]}
        results = bench(eighty, kept == "true", tmp_path / kept, **words)
        assert results.ok, results.failures
        losses = [point.scalars for cell in results.cells for point in cell.training.curve]
        rows = [evaluation for cell in results.cells for evaluation in cell.evaluations]
        found.append((losses, [(row.evaluation, row.status, row.note, row.scores) for row in rows]))
    assert found[0][0]
    assert found[0] == found[1]


@pytest.mark.parametrize("when", ["loading", "training"])
def test_a_file_that_cannot_be_decoded_on_demand_is_named_in_one_line(eighty: Path, when: str) -> None:
    config, bad = configured(eighty, size=8, in_memory=False), eighty / "b" / "more" / "1.png"
    dataset = loading.load(SPEC, config, ROOT, seed=0)
    bad.write_bytes(b"nonsense")
    workers = len(psutil.Process().children())

    def train() -> None:
        with closing(iter(Batches(dataset.train, dataset.spec, 16, torch.Generator(), 2))) as batches:
            for _ in range(8):
                next(batches)

    with pytest.raises(RequestError) as error:
        train() if when == "training" else loading.load(SPEC, config, ROOT, seed=0)
    assert str(error.value).endswith(f" images cannot be decoded: remove or replace {bad} (not an image)")
    del error
    assert len(psutil.Process().children()) == workers


@contextmanager
def watched() -> Iterator[set[psutil.Process]]:
    """The processes below the children of this one, as they come: cells, and their workers."""
    seen: set[psutil.Process] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for child in psutil.Process().children():
                seen.update(child.children(recursive=True))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_a_cell_that_runs_out_of_time_leaves_no_worker(eighty: Path, tmp_path: Path) -> None:
    with watched() as seen:
        words = {"plugins": "rotation", "references": "none", "budget": "1000000 steps", "timeout": 6}
        results = bench(eighty, False, tmp_path / "run", **words)
    assert "timed out" in results.cells[0].training.reason
    assert len(seen) >= 2  # the cell, and a worker that decodes for it
    deadline = time.monotonic() + 60
    while [process for process in seen if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < deadline, "a worker outlives its cell"
        time.sleep(0.05)
