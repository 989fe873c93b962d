"""The training of a cell as its process does it: precision and monitor go on too; what does not fit is rebuilt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import OFTEN

from harness import state_file
from harness.pretraining import pretrained
from harness.records import CellTask, StatePlace, TrainingResult, Workplace
from harness.registry import Registry
from harness.run import Options, workplace
from harness.store import RunFolder
from harness.suite import make_request


class Killed(BaseException):
    """No `except Exception` sees it."""


def task_of(folder: Path, method: str, budget: str, **words: Any) -> CellTask:
    from harness.plan import make_plan

    asked = {"plugins": method, "datasets": "digits", "seeds": 1, "budget": budget, "references": "none"}
    request = make_request({**asked, "evaluations": "knn", **words})
    return make_plan(request, Registry(), RunFolder(folder)).cells[0].task


def here(folder: Path, name: str) -> Workplace:
    place = StatePlace(file=folder / name / "training.state", pace=OFTEN)
    return replace(workplace(Options(out=folder), RunFolder(folder)), staging=folder / "staging" / name, state=place)


def pretrain(task: CellTask, here: Workplace, stop: float = 2.0) -> tuple[dict[str, torch.Tensor], TrainingResult]:
    """Interrupted when the curve tells of so much of the budget."""

    def report(stage: str, done: float, scalars: dict[str, float]) -> None:
        if stage == "training" and scalars and done >= stop:
            raise Killed

    method, _, training = pretrained(task, here, Registry(), report)
    return ({} if method is None else dict(method.state_dict())), training


def untimed(training: TrainingResult) -> TrainingResult:
    def points(known: Any) -> Any:
        return tuple(replace(point, seconds=0.0) for point in known)

    return replace(training, seconds=0.0, curve=points(training.curve), monitor=points(training.monitor))


@pytest.mark.parametrize("stop", [0.3, 0.8])
def test_monitor_and_watch_go_on(stop: float, tmp_path: Path) -> None:
    task = replace(task_of(tmp_path, "rotation", "100 steps", set=["train.batch_size=16"]), monitor=5)
    with pytest.raises(Killed):
        pretrain(task, here(tmp_path, "cut"), stop)
    weights, training = pretrain(task, here(tmp_path, "cut"))
    expected, whole = pretrain(task, here(tmp_path, "whole"))
    assert training.status == "ok", training.reason
    assert len(training.monitor) == 6
    assert untimed(training) == untimed(whole)
    assert all(torch.equal(weights[name], value) for name, value in expected.items())


def test_the_precision_that_was_chosen_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tmp_path, "rotation", "6 steps", precision="auto")
    with pytest.raises(Killed):
        pretrain(task, here(tmp_path, "cut"), 0.5)
    before = state_file.read_head(here(tmp_path, "cut").state.file, task.key)["told"]

    def again(*_: object) -> None:
        raise AssertionError("it was chosen again")

    monkeypatch.setattr("harness.pretraining.kept_choice", again)
    _, training = pretrain(task, here(tmp_path, "cut"))
    assert training.status == "ok", training.reason
    assert {"precision": training.precision, "why": training.note.partition("; ")[0]} == before


def test_a_state_that_does_not_fit_is_named_and_the_method_is_built_again(tmp_path: Path) -> None:
    task, other = (task_of(tmp_path, name, "6 steps") for name in ("rotation", "vae"))
    with pytest.raises(Killed):
        pretrain(replace(other, key=task.key), here(tmp_path, "cut"), 0.5)
    weights, training = pretrain(task, here(tmp_path, "cut"))
    expected, whole = pretrain(task, here(tmp_path, "whole"))
    assert "the state of its interrupted training does not fit (" in training.note
    assert untimed(replace(training, note="")) == untimed(replace(whole, note=""))
    assert all(torch.equal(weights[name], value) for name, value in expected.items())


def test_a_training_that_diverges_leaves_no_state(tmp_path: Path) -> None:
    task = task_of(tmp_path, "autoencoder", "30 steps", set=["train.learning_rate=1e30"])
    _, training = pretrain(task, here(tmp_path, "cut"))
    assert training.status == "failed"
    assert "diverged" in training.reason
    assert not here(tmp_path, "cut").state.file.exists()
