"""Why something failed: one line, with the place in the plugin's code, and none where it is Harness's own error."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from harness.data.batches import Batch
from harness.errors import NotApplicable, TrainingFailed
from harness.reasons import reason_of

PLUGIN = """
import sys

import torch
from torch import nn


def in_torch():
    return nn.Linear(2, 3)(torch.zeros(4, 5))


def labels(batch):
    return batch.labels.long()


def nothing(batch):
    return batch.inputs + None.value


def leaves():
    sys.exit("enough")
"""


@pytest.fixture
def plugin(tmp_path: Path) -> ModuleType:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    spec = spec_from_file_location("mine", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reason(function: object, *arguments: object) -> str:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 (any will do)
        function(*arguments)  # type: ignore[operator]
    return reason_of(caught.value)


def test_the_place_is_the_innermost_line_of_the_plugin(plugin: ModuleType) -> None:
    said = reason(plugin.in_torch)
    assert said.startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    assert said.endswith("(mine.py:9)")


def test_a_plugin_that_leaves_is_named(plugin: ModuleType) -> None:
    assert reason(plugin.leaves) == "SystemExit: enough (mine.py:21)"


def test_what_is_not_in_a_batch_is_explained_where_a_line_reads_it(plugin: ModuleType) -> None:
    batch = Batch(inputs=torch.zeros(1))
    assert reason(plugin.labels, batch) == (
        "AttributeError: 'NoneType' object has no attribute 'long' (mine.py:13)"
        ": the batch has no labels unless the spec names them in uses"
    )
    assert reason(plugin.nothing, batch).endswith("has no attribute 'value' (mine.py:17)")


def test_a_batch_without_such_a_field_says_where_its_images_are() -> None:
    said = reason(lambda: Batch(inputs=torch.zeros(1)).images)  # type: ignore[attr-defined]
    assert said.startswith("AttributeError: a batch has no 'images': its images, clips or texts are `inputs`, and")


def test_own_errors_need_no_place() -> None:
    assert reason_of(TrainingFailed("diverged:\n  loss")) == "diverged: loss"
    assert reason_of(NotApplicable("too small")) == "NotApplicable: too small"
    assert reason_of(KeyError()) == "KeyError: no message"
