"""Each dataset is written as a tiny one in its documented format; torchvision's class, reading it, is the reference.

torchvision refuses files with other MD5 sums than the published ones, so its check is switched off, in this file only.
"""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from scipy.io import savemat

from harness import loading
from harness.data.fields import DataSpec, ImageField
from harness.data.torchvision_files import read_idx
from harness.errors import DatasetMissing, RequestError
from harness.plugin.specs import DatasetSpec
from harness_plugins.datasets import cifar10, cifar100, fashion_mnist, mnist, stl10, svhn

TRAIN, TEST = 60, 20


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels(n: int, classes: int) -> np.ndarray:
    return np.arange(n) % classes


def write_mnist(root: Path, folder: str) -> None:
    """http://yann.lecun.com/exdb/mnist: magic 2051 or 2049, sizes as big-endian int32, bytes."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for seed, (part, n) in enumerate({"train": TRAIN, "t10k": TEST}.items()):
        images = struct.pack(">iiii", 2051, n, 28, 28) + pixels(seed, n, 28, 28).tobytes()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(images)
        targets = struct.pack(">ii", 2049, n) + labels(n, 10).astype(np.uint8).tobytes()
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(targets)


def write_cifar(root: Path, folder: str, parts: dict[str, int], key: str, classes: int) -> None:
    """https://www.cs.toronto.edu/~kriz/cifar.html: a row is red, green, blue, each of 32x32, row by row."""
    (root / folder).mkdir(parents=True)
    for seed, (name, n) in enumerate(parts.items()):
        (root / folder / name).write_bytes(python2_pickle(pixels(seed, n, 3072), key, labels(n, classes)))
    (root / folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(cifar10.CLASSES)}))
    (root / folder / "meta").write_bytes(pickle.dumps({"fine_label_names": list(cifar100.CLASSES)}))


def python2_pickle(data: np.ndarray, key: str, targets: np.ndarray) -> bytes:
    """{"data": data, key: targets} as Python 2 and numpy 1 pickled it in 2009, opcode by opcode.

    So with byte strings where Python 3 has text, the old name of numpy's module, and `dtype('u1', 0, 1)`, which numpy
    2.4 warns about.
    """

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text("b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + text("u1") + number(0) + number(1) + b"\x87R("
    dtype += number(3) + text("|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    shape = number(data.shape[0]) + number(data.shape[1]) + b"\x86"
    array = empty + b"(" + number(1) + shape + dtype + b"\x89T" + struct.pack("<i", data.size) + data.tobytes() + b"tb"
    numbers = b"](" + b"".join(number(int(target)) for target in targets) + b"e"
    return b"\x80\x02}(" + text("data") + array + text(key) + numbers + b"u."


def write_svhn(root: Path) -> None:
    """http://ufldl.stanford.edu/housenumbers: X is (32,32,3,N), y is (N,1) with 10 for the digit 0."""
    root.mkdir(parents=True)
    for seed, (part, n) in enumerate({"train": TRAIN, "test": TEST}.items()):
        digits = labels(n, 10) + 1
        content = {"X": pixels(seed, 32, 32, 3, n), "y": digits.astype(np.uint8)[:, None]}
        savemat(root / f"{part}_32x32.mat", content, do_compression=True)


def write_stl10(root: Path) -> None:
    """https://cs.stanford.edu/~acoates/stl10: bytes, column by column, labels from 1."""
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    for seed, (part, n) in enumerate({"train": TRAIN, "test": TEST, "unlabeled": 7}.items()):
        pixels(seed, n, 3, 96, 96).tofile(folder / f"{part}_X.bin")
        if part != "unlabeled":
            (labels(n, 10) + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")
    (folder / "class_names.txt").write_text("\n".join(stl10.CLASSES))


WRITERS: dict[str, Callable[[Path], None]] = {
    "mnist": lambda root: write_mnist(root, "MNIST"),
    "fashion-mnist": lambda root: write_mnist(root, "FashionMNIST"),
    "cifar10": lambda root: write_cifar(
        root, "cifar-10-batches-py", dict.fromkeys(cifar10.TRAIN, TRAIN // 5) | {"test_batch": TEST}, "labels", 10
    ),
    "cifar100": lambda root: write_cifar(root, "cifar-100-python", {"train": 200, "test": 100}, "fine_labels", 100),
    "svhn": write_svhn,
    "stl10": write_stl10,
}
SPECS: dict[str, DatasetSpec] = {
    module.harness_dataset().name: module.harness_dataset()
    for module in (mnist, fashion_mnist, cifar10, cifar100, svhn, stl10)
}
REFERENCES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "mnist": ("MNIST", {"train": True}, {"train": False}),
    "fashion-mnist": ("FashionMNIST", {"train": True}, {"train": False}),
    "cifar10": ("CIFAR10", {"train": True}, {"train": False}),
    "cifar100": ("CIFAR100", {"train": True}, {"train": False}),
    "svhn": ("SVHN", {"split": "train"}, {"split": "test"}),
    "stl10": ("STL10", {"split": "train"}, {"split": "test"}),
}


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cifar", "svhn", "stl10"):
        owner = getattr(torchvision.datasets, module)
        monkeypatch.setattr(owner, "check_integrity", lambda path, md5=None: Path(path).is_file())


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.filterwarnings("ignore:dtype")  # torchvision's unpickling with numpy 2.4
def test_same_images_labels_and_classes_as_torchvision(name: str, tmp_path: Path, unchecked: None) -> None:
    WRITERS[name](tmp_path / "data")
    raw = SPECS[name].load(SPECS[name].config(), tmp_path / "data")
    class_name, *choices = REFERENCES[name]
    parts = [(raw.inputs, raw.labels), (raw.test.inputs, raw.test.labels)]
    for choice, (images, found) in zip(choices, parts, strict=True):
        reference = getattr(torchvision.datasets, class_name)(tmp_path / "data", **choice)
        assert len(images) == len(reference)
        for index in range(0, len(reference), 7):
            picture, label = reference[index]
            expected = np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)
            np.testing.assert_array_equal(images[index].numpy(), expected)
            assert int(found[index]) == int(label)
    if name not in ("mnist", "svhn"):  # torchvision calls MNIST's "0 - zero", and SVHN's nothing
        assert list(SPECS[name].describe(SPECS[name].config(), tmp_path).classes) == list(reference.classes)


@pytest.mark.parametrize("name", SPECS)
def test_it_is_cut_into_splits_with_its_official_test_set(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "data")
    dataset = loading.load(SPECS[name], SPECS[name].config(), tmp_path / "data", seed=0)
    raw = SPECS[name].load(SPECS[name].config(), tmp_path / "data")
    assert dataset.test.values.equal(raw.test.inputs)
    assert len(dataset.train) + len(dataset.validation) == len(raw.inputs)
    assert dataset.train.values.shape[1:] == SPECS[name].describe(SPECS[name].config(), tmp_path).inputs.shape


def test_stl10_has_its_unlabelled_images(tmp_path: Path) -> None:
    write_stl10(tmp_path)
    dataset = loading.load(SPECS["stl10"], SPECS["stl10"].config(), tmp_path, seed=0)
    np.testing.assert_array_equal(dataset.unlabelled.values.numpy(), pixels(2, 7, 3, 96, 96).transpose(0, 1, 3, 2))
    assert dataset.unlabelled.labels is None
    assert len(dataset.pretraining(())) == len(dataset.train) + 7


@pytest.mark.parametrize("name", SPECS)
def test_missing_dataset_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=f"harness datasets prepare {name} --data-dir {tmp_path}"):
        loading.load(SPECS[name], SPECS[name].config(), tmp_path, seed=0)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("kept", [0.0, 0.41, 0.91])
def test_file_that_was_cut_off_is_an_error_that_says_which(name: str, kept: float, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "data")
    file = SPECS[name].files(SPECS[name].config(), tmp_path / "data")[0]
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(RequestError, match=rf"damaged, .*{file.name}.*harness datasets prepare {name}") as error:
        loading.load(SPECS[name], SPECS[name].config(), tmp_path / "data", seed=0)
    assert "\n" not in str(error.value)


def test_names_of_cifar100_are_a_hundred_in_order() -> None:
    assert len(set(cifar100.CLASSES)) == 100
    assert list(cifar100.CLASSES) == sorted(cifar100.CLASSES)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('ran')",)


def test_pickle_that_calls_something_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path, "cifar-100-python", {"train": 200, "test": 100}, "fine_labels", 100)
    (tmp_path / "cifar-100-python" / "train").write_bytes(pickle.dumps({"data": _Evil()}))
    with pytest.raises(RequestError, match="exec, which no dataset needs"):
        loading.load(SPECS["cifar100"], SPECS["cifar100"].config(), tmp_path, seed=0)


def test_pickle_without_images_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path, "cifar-100-python", {"train": 200, "test": 100}, "labels", 100)
    with pytest.raises(RequestError, match="without 'data' and 'fine_labels'"):
        loading.load(SPECS["cifar100"], SPECS["cifar100"].config(), tmp_path, seed=0)


def test_compressed_idx_is_no_idx(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(gzip.compress(b"\0\0\x08\x01" + struct.pack(">i", 1) + b"x"))
    with pytest.raises(ValueError, match="images is no IDX file"):
        read_idx(tmp_path / "images")


def test_real_fashion_mnist_where_it_is(fashion_root: Path) -> None:
    dataset = loading.load(SPECS["fashion-mnist"], fashion_mnist.Config(), fashion_root, seed=0)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (54_000, 6_000, 10_000)
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    assert dataset.train.labels.bincount().tolist() == [5400] * 10
    assert dataset.spec.inputs.mean == pytest.approx([0.2860], abs=0.001)  # the figures that everybody normalises with
    assert dataset.spec.inputs.std == pytest.approx([0.3530], abs=0.001)
    assert dataset.spec == DataSpec(
        inputs=ImageField(channels=1, size=28, mean=dataset.spec.inputs.mean, std=dataset.spec.inputs.std, mirror=True),
        classes=fashion_mnist.CLASSES,
    )
