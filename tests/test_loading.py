from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import loading
from harness.data.fields import DataSpec, Factor, ImageField, TextField
from harness.data.rows import RawData
from harness.errors import DatasetMissing, RequestError
from harness.plugin.specs import DatasetSpec

LABELS = torch.arange(60) % 3


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 4
    path: str = field(default="", metadata={"changes_images": False})


def raw(config: Config, root: Path) -> RawData:
    values = torch.frombuffer(bytearray((root / "toy.bin").read_bytes()), dtype=torch.uint8)
    return RawData(inputs=values[:60].view(-1, 1, 1, 1).repeat(1, 1, config.size, config.size), labels=LABELS)


SPEC = DatasetSpec(
    name="toy",
    describe=lambda config, root: DataSpec(inputs=ImageField(channels=1, size=config.size), classes=("a", "b", "c")),
    files=lambda config, root: [root / "toy.bin"],
    load=raw,
    prepare=lambda config, root: None,
    config=Config,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "toy.bin").write_bytes(bytes(range(60)))
    return folder


def changed_load(**changes: Any) -> DatasetSpec:
    """The toy dataset, with its load's result changed."""
    return replace(SPEC, load=lambda config, root: replace(raw(config, root), **changes))


def test_data_root_is_the_option_else_the_variable_else_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "variable"))
    assert loading.data_root(tmp_path / "option") == tmp_path / "option"
    assert loading.data_root(str(tmp_path / "option")) == tmp_path / "option"
    assert loading.data_root() == tmp_path / "variable"
    monkeypatch.delenv("HARNESS_DATA")
    assert loading.data_root() == loading.cache_root() / "data"


def test_data_root_is_absolute_and_knows_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert loading.data_root("data") == tmp_path / "data"
    assert loading.data_root("~/data") == Path("/home/someone/data")


def test_present_files_pass_and_missing_ones_name_the_command(root: Path, tmp_path: Path) -> None:
    loading.check_present(SPEC, Config(), root)
    with pytest.raises(DatasetMissing) as error:
        loading.check_present(SPEC, Config(), tmp_path)
    assert str(error.value) == (
        f"dataset 'toy' is not in {tmp_path} (toy.bin is missing): "
        f"fetch it with `harness datasets prepare toy --data-dir {tmp_path}`"
    )


@pytest.mark.parametrize("use", [loading.fingerprint, lambda *arguments: loading.load(*arguments, seed=0)])
def test_missing_dataset_is_the_same_error_wherever_it_is_used(use: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match="harness datasets prepare toy"):
        use(SPEC, Config(), tmp_path)


def test_missing_files_that_nothing_fetches_are_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"toy\.bin is missing and nothing can fetch it"):
        loading.check_present(replace(SPEC, prepare=None), Config(), tmp_path)
    (tmp_path / "toy.bin").symlink_to("toy.bin")
    with pytest.raises(DatasetMissing, match=r"toy\.bin is a link to nothing: remove it"):
        loading.check_present(SPEC, Config(), tmp_path)


def test_fingerprint_knows_content_and_the_parameters_that_change_images(root: Path) -> None:
    before = loading.fingerprint(SPEC, Config(), root)
    assert loading.fingerprint(SPEC, Config(path="elsewhere"), root) == before
    assert loading.fingerprint(SPEC, Config(size=8), root) != before
    assert loading.fingerprint(replace(SPEC, name="other"), Config(), root) != before
    (root / "toy.bin").write_bytes(bytes(range(1, 61)))
    assert loading.fingerprint(SPEC, Config(), root) != before


def test_load_gives_the_splits_of_the_seed(root: Path) -> None:
    dataset = loading.load(SPEC, Config(), root, seed=0)
    assert (dataset.name, len(dataset.train), len(dataset.validation), len(dataset.test)) == ("toy", 43, 5, 12)
    assert dataset.spec.inputs.shape == (1, 4, 4)
    again, other = loading.load(SPEC, Config(), root, seed=0), loading.load(SPEC, Config(), root, seed=1)
    assert torch.equal(dataset.train.values, again.train.values)
    assert not torch.equal(dataset.train.values, other.train.values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": torch.zeros(0, 1, 4, 4, dtype=torch.uint8)}, "it has no images"),
        (
            {"inputs": torch.zeros(60, 1, 4, 4)},
            r"training images are torch.float32 \(60, 1, 4, 4\), expected torch.uint8",
        ),
        ({"inputs": torch.zeros(60, 3, 4, 4, dtype=torch.uint8)}, r"expected torch.uint8 \(N, 1, 4, 4\)"),
        ({"labels": LABELS[:50]}, "50 labels for 60 training images"),
        ({"labels": LABELS + 1}, "labels run from 1 to 3, expected 0 to 2"),
        ({"labels": None}, "labels for some images only"),
        ({"test": RawData(inputs=torch.zeros(5, 1, 4, 4, dtype=torch.uint8))}, "labels for some images only"),
    ],
)
def test_images_that_are_not_as_described_are_an_error_that_names_the_fix(
    root: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(
        RequestError, match=f"dataset 'toy' in .* is damaged, .*{message}.*harness datasets prepare toy"
    ):
        loading.load(changed_load(**changes), Config(), root, seed=0)


def test_undersized_dataset_is_an_error(root: Path) -> None:
    few = changed_load(inputs=torch.zeros(6, 1, 4, 4, dtype=torch.uint8), labels=LABELS[:6])
    with pytest.raises(RequestError, match="dataset 'toy' has 6 images, too few"):
        loading.load(few, Config(), root, seed=0)


def test_class_without_a_training_image_is_an_error(root: Path) -> None:
    with pytest.raises(RequestError, match="no training example of class 'c'"):
        loading.load(changed_load(labels=LABELS.clamp(max=1)), Config(), root, seed=0)


RICH_SPEC = DataSpec(
    inputs=ImageField(channels=1, size=4),
    classes=("a", "b", "c"),
    paired_domain="negative",
    factors=(Factor(name="shape", values=("x", "y")), Factor(name="side", values=("left", "right"))),
    targets=("n",),
    captions=TextField(),
)


def rich(n: int = 60) -> RawData:
    images = torch.zeros(n, 1, 4, 4, dtype=torch.uint8)
    return RawData(
        inputs=images,
        labels=torch.arange(n) % 3,
        captions=["an image"] * n,
        paired=images,
        factors=torch.zeros(n, 2, dtype=torch.int64),
        targets=torch.zeros(n, 1),
    )


def with_more(given: RawData, described: DataSpec[ImageField] = RICH_SPEC) -> DatasetSpec:
    return replace(SPEC, describe=lambda config, root: described, load=lambda config, root: given)


def test_all_that_can_be_known_of_images_is_loaded(root: Path) -> None:
    spec = with_more(replace(rich(), test=rich(9), unseen=rich(5)))
    spec = replace(spec, read_factors=lambda config, images: torch.full((len(images), 2), config.size))
    dataset = loading.load(spec, Config(), root, seed=0)
    assert (len(dataset.train), len(dataset.test), len(dataset.unseen)) == (54, 9, 5)
    assert dataset.spec.captions.vocabulary == ("", "?", "an", "image")
    assert dataset.read_factors(dataset.test.values).tolist() == [[4, 4]] * 9  # with the config of the dataset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"captions": None}, "it has captions for some images only"),
        ({"paired": None}, "it has paired images for some images only"),
        ({"factors": None}, "it has factors for some images only"),
        ({"targets": None}, "it has targets for some images only"),
        ({"captions": ["an image"] * 59}, "59 captions for 60 training images"),
        ({"targets": torch.zeros(61, 1)}, "61 targets for 60 training images"),
        (
            {"paired": torch.zeros(60, 3, 4, 4, dtype=torch.uint8)},
            r"training paired images are .*\(60, 3, 4, 4\)",
        ),
        ({"factors": torch.full((60, 2), 2)}, "training factors do not fit shape, side"),
        ({"factors": torch.full((60, 2), -1)}, "training factors do not fit shape, side"),
        ({"factors": torch.zeros(60, 1, dtype=torch.int64)}, "training factors do not fit shape, side"),
        ({"test": replace(rich(9), captions=None)}, "it has captions for some images only"),
        ({"unseen": replace(rich(9), factors=torch.full((9, 2), 3))}, "unseen factors do not fit shape, side"),
        ({"unseen": replace(rich(9), targets=None)}, "it has targets for some images only"),
        ({"unseen": replace(rich(9), inputs=torch.zeros(9, 1, 4, 4))}, "unseen images are torch.float32"),
    ],
)
def test_what_is_known_of_images_must_be_as_described(root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=f"dataset 'toy' in .* is damaged, .*{message}"):
        loading.load(with_more(replace(rich(), **changes)), Config(), root, seed=0)


def test_what_is_not_described_may_not_be_there(root: Path) -> None:
    with pytest.raises(RequestError, match="it has captions for some images only"):
        loading.load(with_more(rich(), replace(RICH_SPEC, captions=None)), Config(), root, seed=0)
