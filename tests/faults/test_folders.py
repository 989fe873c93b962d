"""Folders as people and strangers have them: what is no image of the dataset is none, and what is left out is said."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import harness
from harness import loading
from harness.data.columns import Files, InMemory, Texts
from harness.data.copies import copied
from harness.data.folder import Decoder, decode_image, list_images
from harness.data.rows import RawData
from harness.errors import HarnessError, RequestError
from harness_plugins.datasets import captioned_folder, image_folder, paired_folder


def picture(file: Path, seed: int, size: tuple[int, int] = (8, 8)) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG" if file.suffix not in (".jpg", ".jfif", ".avif") else None)
    return file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of 20 images."""
    for n in range(40):
        picture(tmp_path / "photos" / ("cat", "dog")[n % 2] / f"{n:02}.png", n)
    return tmp_path / "photos"


def load(folder: Path, plugin=image_folder, **words: object):
    config = plugin.Config(path=folder, size=8, **words)
    return loading.load(plugin.harness_dataset(), config, folder, seed=0)


def test_links_that_lead_to_the_folder_add_no_image(photos: Path) -> None:
    for name in ("again", "twice"):
        (photos / "cat" / name).symlink_to(photos)
        (photos / "dog" / name).symlink_to(photos / "cat")
    assert len(list_images(photos).files) == 40


def test_hidden_folders_and_runs_are_no_data(photos: Path) -> None:
    picture(photos / "cat" / ".thumbnails" / "a.png", 1)
    picture(photos / ".trash" / "a.png", 1)
    for place in (photos / "out", photos / "runs" / "mine", photos / "cat" / "run"):
        (place / "cells").mkdir(parents=True)
        (place / "request.toml").write_text("")
        picture(place / "artifacts" / "k" / "samples.png", 2)
    listing = list_images(photos)
    assert listing.classes == ("cat", "dog")
    assert len(listing.files) == 40


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\x1b]0;x\x07", b"two\nlines"], ids=["latin-1", "escape", "lines"])
def test_a_class_whose_name_cannot_be_shown_is_one_line(photos: Path, name: bytes) -> None:
    os.mkdir(os.path.join(os.fsencode(photos), name))
    with pytest.raises(RequestError, match="rename it") as caught:
        list_images(photos)
    assert str(caught.value).isprintable()


def test_a_file_whose_name_is_no_utf8_is_an_image_as_any_other(photos: Path) -> None:
    os.rename(photos / "cat" / "00.png", os.path.join(os.fsencode(photos / "cat"), b"\xe9\xff.png"))
    config = image_folder.Config(path=photos, size=8)
    assert len(loading.fingerprint(image_folder.harness_dataset(), config, photos)) == 16
    assert len(load(photos).test) == 8


def test_formats_of_cameras_and_the_web(photos: Path) -> None:
    picture(photos / "cat" / "a.jfif", 100)
    picture(photos / "cat" / "a.avif", 101)
    for name in ("a.heic", "b.heic", "c.svg", "Thumbs.db", "notes.txt"):
        (photos / "dog" / name).write_bytes(b"content")
    dataset = load(photos)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 42
    assert dataset.note == (
        "3 images of formats that are not read were left out (2 .heic, 1 .svg): convert them to PNG or JPEG"
    )


def test_a_third_split_and_copies_across_splits_are_said(tmp_path: Path) -> None:
    for n in range(30):
        for part, start in (("train", 0), ("test", 25), ("val", 100)):
            picture(tmp_path / part / "ab"[n % 2] / f"{n}.png", start + n // 2 * 2)
    for in_memory in (True, False):
        note = load(tmp_path, in_memory=in_memory).note
        assert "val/ beside train/ and test/ was left out (30 images)" in note
        assert "of 30 test images are exact copies of training ones" not in note
    for file in sorted((tmp_path / "test" / "a").iterdir())[:4]:
        file.write_bytes((tmp_path / "train" / "a" / "0.png").read_bytes())
    for in_memory in (True, False):
        assert load(tmp_path, in_memory=in_memory).note.endswith(
            "4 of 30 test images are exact copies of training ones"
        )


def test_copies_are_counted_as_they_are(tmp_path: Path) -> None:
    one, two = torch.arange(12, dtype=torch.uint8).view(6, 2), torch.arange(6, 18, dtype=torch.uint8).view(6, 2)
    assert copied(InMemory(one), [InMemory(two[:1]), InMemory(two[1:])]) == 3
    assert copied(Texts(("a", "b", "b")), [Texts(("b",))]) == 2
    files = [picture(tmp_path / f"{n}.png", n % 2) for n in range(4)]
    decoder = Decoder(size=8, channels=3, owner="mine")
    assert copied(Files(tuple(files[:3]), decoder), [Files(tuple(files[3:]), decoder)]) == 1
    assert copied(Texts(("a",)), [InMemory(one)]) == 0


def test_a_note_of_the_loader_reaches_who_reads_it(photos: Path) -> None:
    spec = image_folder.harness_dataset()
    noted = replace(spec, load=lambda config, root: replace(RawData(**vars(spec.load(config, root))), note="odd"))
    assert loading.load(noted, image_folder.Config(path=photos, size=8), photos, 0).note == "odd"


def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    import resource

    for side in (8_000, 10_000, 20_000):
        Image.new("1", (side, side)).save(tmp_path / "bomb.png", optimize=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(Exception, match=r"megapixels|decompression bomb"):
            decode_image(tmp_path / "bomb.png", 8, 3)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


@pytest.mark.parametrize("sides", [(1, 4_000_000), (4_000_000, 1)])
def test_a_thread_of_pixels_is_refused_before_it_is_resized(tmp_path: Path, sides: tuple[int, int]) -> None:
    """Four megapixels, a file of kilobytes; with 8 pixels on its short side it would have 256 million."""
    Image.new("L", sides).save(tmp_path / "thread.png")
    with pytest.raises(ValueError, match="too long to be resized to 8 a side"):
        decode_image(tmp_path / "thread.png", 8, 3)
    Image.new("L", (1, 4_000)).save(tmp_path / "thread.png")
    assert decode_image(tmp_path / "thread.png", 8, 3).shape == (3, 8, 8)


@pytest.mark.parametrize("name", ["../secret.png", "a/../../secret.png", "{home}/secret.png", "a\0.png"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_captions_are_of_images_beside_them(tmp_path: Path, name: str, kind: str) -> None:
    import json

    picture(tmp_path / "secret.png", 0)
    (tmp_path / "photos" / "a").mkdir(parents=True)
    name = name.format(home=tmp_path)
    line = f'file,caption\n"{name}",secret\n' if kind == "csv" else json.dumps({"file": name, "caption": "secret"})
    (tmp_path / "photos" / f"captions.{kind}").write_text(line)
    with pytest.raises(HarnessError) as caught:
        load(tmp_path / "photos", captioned_folder)
    assert str(caught.value).isprintable()
    assert "is not in the folder of the captions" in str(caught.value)


def test_pairs_of_other_proportions_are_refused(tmp_path: Path) -> None:
    for n in range(20):
        picture(tmp_path / "A" / f"{n}.png", n, (16, 8))
        picture(tmp_path / "B" / f"{n}.png", n, (8, 4))  # half as large, and alike
    assert len(load(tmp_path, paired_folder).test) == 4
    picture(tmp_path / "B" / "3.png", 3, (8, 16))
    picture(tmp_path / "B" / "4.png", 4, (16, 12))
    with pytest.raises(RequestError, match="2 of 20 pairs have images of different proportions") as caught:
        load(tmp_path, paired_folder)
    assert "B/3.png, B/4.png" in str(caught.value)


@pytest.mark.parametrize("name", ["in-domain", "label-free"])
def test_between_equal_pictures_there_is_no_distance(tmp_path: Path, name: str) -> None:
    for n in range(60):
        file = tmp_path / "black" / "ab"[n % 2] / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(file)
    results = harness.bench(
        "gan",
        references="none",
        datasets=f"image-folder[path={tmp_path / 'black'},size=8]",
        seeds=1,
        budget="2 steps",
        evaluations=f"fid[extractor={name},n=10]",
        out=tmp_path / "run",
        progress=False,
    )
    (told,) = results.cells[0].evaluations
    assert told.status == "skipped"
    assert told.reason == "all test images of image-folder are the same: there is nothing to be near to"
