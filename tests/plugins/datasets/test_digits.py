from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from harness import loading
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import read_as
from harness.errors import RequestError
from harness.registry.config import resolve
from harness_plugins.datasets import digits

SPEC = digits.harness_dataset()


def test_images_and_labels_are_those_of_scikit_learn(tmp_path: Path) -> None:
    raw, reference = SPEC.load(digits.Config(), tmp_path), load_digits()
    expected = np.round(reference.images * 255 / 16).astype(np.uint8)
    np.testing.assert_array_equal(raw.inputs[:, 0].numpy(), expected)
    np.testing.assert_array_equal(raw.labels.numpy(), reference.target)
    assert raw.inputs.max() == 255
    assert raw.test is None


def test_it_is_there_without_a_data_folder(tmp_path: Path) -> None:
    loading.check_present(SPEC, digits.Config(), tmp_path / "none")
    dataset = loading.load(SPEC, digits.Config(), tmp_path / "none", seed=0)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (1294, 144, 359)
    assert len(loading.fingerprint(SPEC, digits.Config(), tmp_path / "none")) == 16


def test_another_size_is_what_matching_gives(tmp_path: Path) -> None:
    dataset = loading.load(SPEC, digits.Config(size=16), tmp_path, seed=0)
    small = loading.load(SPEC, digits.Config(), tmp_path, seed=0)
    assert dataset.spec.inputs.shape == (1, 16, 16)
    assert torch.equal(
        dataset.test.values, read_as(small, DataSpec(inputs=ImageField(channels=1, size=16))).test.values
    )
    assert torch.equal(dataset.test.labels, small.test.labels)


def test_binary_digits_are_black_and_white_and_as_bright_as_the_grey_ones(tmp_path: Path) -> None:
    grey = SPEC.load(digits.Config(), tmp_path)
    binary = SPEC.load(digits.Config(binarise=True), tmp_path)
    assert binary.inputs.unique().tolist() == [0, 255]
    assert float(binary.inputs.double().mean()) == pytest.approx(float(grey.inputs.double().mean()), rel=0.01)
    assert torch.equal(binary.labels, grey.labels)
    assert torch.equal(binary.inputs, SPEC.load(digits.Config(binarise=True), tmp_path).inputs)
    assert loading.fingerprint(SPEC, digits.Config(binarise=True), tmp_path) != loading.fingerprint(
        SPEC, digits.Config(), tmp_path
    )


def test_size_out_of_range_is_an_error() -> None:
    with pytest.raises(RequestError, match="digits: size=2: expected 4 to 256 pixels"):
        resolve(SPEC.config, {"size": "2"}, "digits")


def test_loading_does_not_import_scikit_learn(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness_plugins.datasets import digits; "
        "assert 'torch' not in sys.modules; "
        "digits.load(digits.Config(), Path('.')); assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
