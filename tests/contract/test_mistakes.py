"""Mistakes that authors make, each a plugin file: what the check says, and that a bench says it in the same words.

They were made on purpose by a newcomer; what Harness itself got wrong among them is no mistake any more, and passes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.contract.kit import Check, check_plugin
from harness.loading import data_root
from harness.records import CellResult
from harness.registry import Registry

FOLDER = Path(__file__).with_name("mistakes")
FINE = ["after_step_progress", "average_without_no_grad", "aliased_backbone", "solve_uses_labels", "permuted_rows"]
# What ends a training, and the check that names it.
TRAINING = {
    "dict_loss": ("loss_is_a_finite_scalar", "the loss returned a dict, expected a tensor"),
    "unreduced_loss": ("loss_is_a_finite_scalar", "the loss returned (32,), expected (): reduce it, e.g. by .mean()"),
    "detached_loss": (
        "loss_is_a_finite_scalar",
        "the loss has no gradient: no trainable weight is in it (detached, or made under no_grad?)",
    ),
    "infinite_loss": ("loss_is_a_finite_scalar", "the loss returned values that are not finite"),
    "batch_images": (
        "loss_is_a_finite_scalar",
        "AttributeError: a batch has no 'images': its images, clips or texts are `inputs`, and beside them it has "
        "lengths, labels, captions, paired, progress (batch_images.py:17)",
    ),
    "view_of_inputs": (
        "loss_is_a_finite_scalar",
        "RuntimeError: view size is not compatible with input tensor's size and stride (at least one dimension spans "
        "across two contiguous subspaces). Use .reshape(...) instead. (view_of_inputs.py:17)",
    ),
}
# What an evaluation fails for: the beginning and the end of the reason, between which are numbers.
JUDGING = {
    "maps": ("encodes_images", "encode() returned (", ", D): flatten before returning", "knn"),
    "train_mode_encode": (
        "encodes_images",
        "encode() of an image changes by ",
        "with the other images of its batch",
        "knn",
    ),
    "solve_reads_labels": (
        "poses_its_pretext_task",
        "TypeError: object of type 'NoneType' has no len() (solve_reads_labels.py:21)",
        "the batch has no labels unless the spec names them in uses",
        "pretext",
    ),
}
TOLD = {
    "deep_copy_target": "target.trunk.0.weight, target.trunk.0.bias and 10 more never got a gradient: "
    "freeze what is not to be trained, with requires_grad_(False)",
    "plain_queue": "queue changed in training, but no parameter or buffer keeps it: "
    "it is not saved; use register_buffer(), with persistent=False for what training alone needs",
}
EXITS = {"exit_in_build": "can_be_built", "exit_in_loss": "loss_is_a_finite_scalar", "exit_in_encode": "trains_in_bf16"}


def checked(name: str) -> list[Check]:
    """What the check says beside ok, of all that applies."""
    registry = Registry()
    (plugin,) = registry.load_file(FOLDER / f"{name}.py")
    return [check for check in check_plugin(plugin, registry, data_root()) if check.status != "ok" and not check.absent]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CellResult]:
    """A bench of all mistakes on colour images. A cell dies of an exit, which tests/faults is about."""
    names = [*FINE, *TRAINING, *JUDGING, *TOLD]
    results = harness.bench(
        [str(FOLDER / f"{name}.py") for name in names],
        datasets="shapes[size=16,n=300,test=60]",
        references="none",
        seeds=1,
        budget="2 steps",
        evaluations="knn,pretext",
        out=tmp_path_factory.mktemp("mistakes") / "run",
        progress=False,
        **{"set": ["train.batch_size=32"]},
    )
    return {Path(result.cell.method.name).stem.replace("-", "_"): result for result in results.cells}


def test_every_mistake_is_in_a_table() -> None:
    assert sorted([*FINE, *TRAINING, *JUDGING, *TOLD, *EXITS]) == sorted(file.stem for file in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", FINE)
def test_what_is_no_mistake_passes(name: str, cells: dict[str, CellResult]) -> None:
    assert checked(name) == []
    assert (cells[name].training.status, cells[name].training.note) == ("ok", "")
    assert {evaluation.status for evaluation in cells[name].evaluations} <= {"ok", "skipped"}


@pytest.mark.parametrize("name", TRAINING)
def test_a_mistake_in_training(name: str, cells: dict[str, CellResult]) -> None:
    """Named once by the check, and in the same words by the row of the bench."""
    check, reason = TRAINING[name]
    (found,) = checked(name)
    assert (found.status, found.name.partition(" ")[0], found.detail) == ("failed", check, reason)
    assert (cells[name].training.status, cells[name].training.reason) == ("failed", reason)


@pytest.mark.parametrize("name", JUDGING)
def test_a_mistake_that_is_seen_in_judging(name: str, cells: dict[str, CellResult]) -> None:
    check, begins, ends, evaluation = JUDGING[name]
    (found,) = checked(name)
    assert (found.status, found.name.partition(" ")[0]) == ("failed", check)
    assert found.detail.startswith(begins)
    assert found.detail.endswith(ends)
    row = next(row for row in cells[name].evaluations if row.evaluation == evaluation)
    assert row.status == "failed"
    assert begins in row.reason  # after what it left behind, if anything
    assert row.reason.endswith(ends)


@pytest.mark.parametrize("name", TOLD)
def test_a_mistake_that_costs_nothing_is_told(name: str, cells: dict[str, CellResult]) -> None:
    (found,) = checked(name)
    assert (found.status, found.detail) == ("note", TOLD[name])
    assert (cells[name].training.status, cells[name].training.note) == ("ok", TOLD[name])


def test_weights_without_a_gradient_are_not_counted(cells: dict[str, CellResult]) -> None:
    assert cells["deep_copy_target"].training.parameters == cells["plain_queue"].training.parameters


@pytest.mark.parametrize("name", EXITS)
def test_a_plugin_that_ends_the_process_is_a_failed_check(name: str) -> None:
    (found,) = checked(name)
    assert (found.status, found.name.partition(" ")[0]) == ("failed", EXITS[name])
    assert found.detail.startswith(f"SystemExit: 0 ({name}.py:")
