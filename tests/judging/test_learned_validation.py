"""`train.validation=true`: a method learns from the validation rows too, and then nothing is chosen on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import Tensor, nn

import harness
from harness.errors import NotApplicable
from harness.judging.readouts import Readout
from harness.judging.subject import Subject
from harness.plan import make_plan
from harness.records import Budget
from harness.registry import Registry
from harness.store import RunFolder
from harness.suite import make_request

DATA = digits_dataset()
ASKED = {
    "plugins": "vae", "references": "pca,pixels", "seeds": 1, "budget": "3 epochs",
    "evaluations": "knn,clustering,density[samples=2]",
}  # fmt: skip


class Frozen(nn.Module):
    """It learned nothing."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def readouts(self) -> tuple[str, ...]:
        return ("one", "two")

    def read(self, images: Tensor, readout: str) -> Tensor:
        return self.encode(images) * (1 if readout == "one" else 2)


class Learner(Frozen):
    def loss(self, batch: object) -> Tensor:
        return torch.zeros(())


def subject_of(method: nn.Module, folder: Path, budget: str = "1 epoch") -> Subject:
    subject = example_subject(method, DATA, folder)
    cell = replace(subject.cell, train=replace(subject.cell.train, validation=True), budget=Budget.parse(budget))
    subject.cell = cell
    return subject


@pytest.mark.parametrize("read", ["inputs", "images", "labels", "features", "seen"])
def test_validation_rows_that_were_learned_from_are_refused(tmp_path: Path, read: str) -> None:
    subject = subject_of(Learner(), tmp_path)
    with pytest.raises(NotApplicable, match="chooses on validation rows, which example learned from too"):
        getattr(subject, read)("validation")
    assert len(getattr(subject, read)("test")) == len(DATA.test)
    assert subject.readout == Readout()
    assert subject.note == "it learned from the validation rows too"


@pytest.mark.parametrize(("method", "budget"), [(Frozen(), "1 epoch"), (Learner(), "0 steps")])
def test_who_learned_nothing_may_be_judged_by_them(tmp_path: Path, method: nn.Module, budget: str) -> None:
    subject = subject_of(method, tmp_path, budget)
    assert len(subject.features("validation")) == len(DATA.validation)
    assert "readouts on validation" in subject.note


def test_the_validation_rows_of_another_target_are_untouched(tmp_path: Path) -> None:
    subject = subject_of(Learner(), tmp_path)
    subject.target = replace(subject.target, name="another")
    assert len(subject.labels("validation")) == len(DATA.validation)


def test_all_rows_but_those_of_the_test_split_are_learned_from() -> None:
    for uses in ((), ("labels",)):
        rows = DATA.pretraining(uses, validation=True)
        both = torch.cat([DATA.train.values, DATA.validation.values])
        assert torch.equal(rows.values, both)
        assert (rows.labels is not None) == bool(uses)
    more = replace(DATA, unlabelled=DATA.test)
    assert len(more.pretraining((), validation=True)) == sum(map(len, (DATA.train, DATA.validation, DATA.test)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    out = tmp_path_factory.mktemp("learned")
    return harness.bench(**ASKED, set=["train.validation=true"], out=out, jobs=1, monitor=2, progress=False)


def test_in_a_bench_what_chooses_on_them_is_skipped_and_the_rest_is_judged(run: harness.Results) -> None:
    assert run.ok
    rows = [(r.cell.method.name, e) for r in run.cells for e in r.evaluations]
    statuses = {(name, e.evaluation.partition("[")[0]): (e.status, e.reason) for name, e in rows}
    assert statuses["vae", "knn"][0] == "skipped"
    assert "vae learned from too" in statuses["vae", "knn"][1]
    assert statuses["pca", "knn"][0] == "skipped"
    for judged in (("vae", "clustering"), ("vae", "density"), ("pca", "clustering"), ("pixels", "knn")):
        assert statuses[judged] == ("ok", "")
    (trained,) = (r.training for r in run.cells if r.cell.method.name == "vae")
    learned = len(DATA.train) + len(DATA.validation)
    assert trained.examples == 3 * (learned // 128) * 128
    assert "not monitored: it learns from the validation rows too" in trained.note
    assert trained.monitor == ()


def test_it_is_part_of_what_a_cell_is(run: harness.Results) -> None:
    plan = make_plan(make_request(ASKED), Registry(), RunFolder(run.folder.path))
    assert not any(planned.state == "cached" for planned in plan.cells if planned.task.cell.method.name == "vae")
    again = make_plan(make_request(ASKED | {"set": ["train.validation=true"]}), Registry(), RunFolder(run.folder.path))
    assert all(planned.state == "cached" for planned in again.cells)
