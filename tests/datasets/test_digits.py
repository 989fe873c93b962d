from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from harness.data import catalog
from harness.specs import NoConfig
from harness_plugins.datasets import digits

SPEC = digits.harness_dataset()


def test_images_and_labels_are_those_of_scikit_learn(tmp_path: Path) -> None:
    raw, reference = SPEC.load(NoConfig(), tmp_path), load_digits()
    expected = np.round(reference.images * 255 / 16).astype(np.uint8)
    np.testing.assert_array_equal(raw.images[:, 0].numpy(), expected)
    np.testing.assert_array_equal(raw.labels.numpy(), reference.target)
    assert raw.images.max() == 255
    assert raw.test is None


def test_it_is_there_without_a_data_folder(tmp_path: Path) -> None:
    catalog.check_present(SPEC, NoConfig(), tmp_path / "none")
    dataset = catalog.load(SPEC, NoConfig(), tmp_path / "none", seed=0)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (1294, 144, 359)
    assert len(catalog.fingerprint(SPEC, NoConfig(), tmp_path / "none")) == 16


def test_loading_does_not_import_scikit_learn(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness_plugins.datasets import digits; "
        "from harness.specs import NoConfig; assert 'torch' not in sys.modules; "
        "digits.load(NoConfig(), Path('.')); assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
