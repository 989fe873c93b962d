from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from harness import loading
from harness.data.columns import all_values
from harness.data.folder import decode_image
from harness.errors import DatasetMissing, RequestError
from harness.plugin.specs import DatasetSpec
from harness.registry.config import resolve
from harness_plugins.datasets import paired_folder

SPEC: DatasetSpec = paired_folder.harness_dataset()
ROOT = Path("no data folder is needed")


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(path)


def pairs(folder: Path, names: list[str], seed: int = 0) -> Path:
    for number, name in enumerate(names):
        picture(folder / "A" / name, seed + 2 * number)
        picture(folder / "B" / name, seed + 2 * number + 1)
    return folder


@pytest.fixture
def shoes(tmp_path: Path) -> Path:
    return pairs(tmp_path / "shoes", [f"{number:02}.png" for number in range(20)])


def configured(path: Path, **params: object) -> paired_folder.Config:
    return resolve(paired_folder.Config, {"path": str(path), "size": 8, **params}, "paired-folder")


def test_images_are_those_of_b_and_paired_the_same_names_of_a(shoes: Path) -> None:
    config = configured(shoes)
    raw = SPEC.load(config, ROOT)
    assert SPEC.describe(config, ROOT).paired_domain == "A"
    assert raw.test is None
    for row in range(20):
        name = f"{row:02}.png"
        np.testing.assert_array_equal(raw.inputs[row].numpy(), decode_image(shoes / "B" / name, 8, 3))
        np.testing.assert_array_equal(raw.paired[row].numpy(), decode_image(shoes / "A" / name, 8, 3))


def test_the_other_direction_swaps_images_and_paired(shoes: Path) -> None:
    there, back = SPEC.load(configured(shoes), ROOT), SPEC.load(configured(shoes, direction="b-to-a"), ROOT)
    assert SPEC.describe(configured(shoes, direction="b-to-a"), ROOT).paired_domain == "B"
    assert torch.equal(there.inputs, back.paired)
    assert torch.equal(there.paired, back.inputs)


def test_train_and_test_inside_of_both_are_an_official_split(tmp_path: Path) -> None:
    pairs(tmp_path, [f"train/{number}.png" for number in range(12)])
    pairs(tmp_path, [f"test/{number}.png" for number in range(5)], seed=100)
    raw = SPEC.load(configured(tmp_path), ROOT)
    assert (len(raw.inputs), len(raw.test.inputs)) == (12, 5)
    np.testing.assert_array_equal(raw.test.inputs[3].numpy(), decode_image(tmp_path / "B" / "test" / "3.png", 8, 3))
    expected = decode_image(tmp_path / "A" / "test" / "3.png", 8, 3)
    np.testing.assert_array_equal(raw.test.paired[3].numpy(), expected)


def test_it_loads_into_splits_whose_rows_are_still_pairs(shoes: Path) -> None:
    dataset = loading.load(SPEC, configured(shoes), ROOT, seed=0)
    raw = SPEC.load(configured(shoes), ROOT)
    for part in (dataset.train, dataset.validation, dataset.test):
        rows = [int((raw.inputs == image).flatten(1).all(1).nonzero()) for image in part.values]
        assert torch.equal(part.paired.values, raw.paired[rows])


def test_files_without_a_partner_are_counted_and_named(shoes: Path) -> None:
    picture(shoes / "A" / "left.png", 90)
    picture(shoes / "B" / "right.png", 91)
    for number in range(2):
        picture(shoes / "B" / f"z{number}.png", 92)
    with pytest.raises(RequestError) as error:
        SPEC.files(configured(shoes), ROOT)
    assert str(error.value) == (
        f"{shoes}: 4 images have no partner of the same name, add it or remove "
        f"{Path('A/left.png')}, {Path('B/right.png')}, {Path('B/z0.png')} and 1 more"
    )


def test_missing_domain_is_an_error_that_says_what_to_name(tmp_path: Path) -> None:
    picture(tmp_path / "A" / "1.png", 0)
    with pytest.raises(DatasetMissing, match=r"there is no folder .*B: name a folder with A/ and B/ in it"):
        SPEC.files(configured(tmp_path), ROOT)


@pytest.mark.parametrize("names", [["A/train/1.png", "B/1.png"], ["A/train/1.png", "B/val/1.png"]])
def test_split_in_one_domain_only_is_an_error(names: list[str], tmp_path: Path) -> None:
    for name in names:
        picture(tmp_path / name, 0)
    with pytest.raises(RequestError, match="put train and test into both, or none of them"):
        SPEC.files(configured(tmp_path), ROOT)


def test_empty_domains_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "B").mkdir()
    with pytest.raises(RequestError, match="has no images in A and B: add some"):
        SPEC.files(configured(tmp_path), ROOT)


def test_fingerprint_knows_both_domains_and_the_direction(shoes: Path) -> None:
    before = loading.fingerprint(SPEC, configured(shoes), ROOT)
    assert loading.fingerprint(SPEC, configured(shoes, direction="b-to-a"), ROOT) != before
    picture(shoes / "A" / "00.png", 999)
    assert loading.fingerprint(SPEC, configured(shoes), ROOT) != before


def test_bad_direction_is_an_error() -> None:
    with pytest.raises(RequestError, match="did you mean 'a-to-b'"):
        resolve(paired_folder.Config, {"path": "x", "direction": "a-to-c"}, "paired-folder")


def test_pairs_on_demand_are_those_in_memory(shoes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, waiting = (SPEC.load(configured(shoes, in_memory=in_memory), ROOT) for in_memory in (True, False))
    assert torch.equal(all_values(waiting.inputs), kept.inputs)
    assert torch.equal(all_values(waiting.paired), kept.paired)
    dataset = loading.load(SPEC, configured(shoes, in_memory=False), ROOT, seed=0)
    assert set(dataset.pretraining(("unpaired",)).waiting()) == {"inputs", "paired"}
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    with pytest.raises(RequestError, match=r"paired-folder: 40 images .*paired-folder\[in_memory=false\]"):
        SPEC.describe(configured(shoes), ROOT)
