"""`--precision auto`: the choice, its reasons, and that training is what it is without a trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import harness
from harness import trial
from harness.data.columns import InMemory
from harness.data.fields import DataSpec, ImageField
from harness.data.rows import Rows
from harness.records import Cell, TrainConfig, TrainingResult
from harness.trial import Choice, choice_of, chosen_precision, kept_choice

SPEC = DataSpec(inputs=ImageField(channels=1, size=8))
ROWS = Rows(inputs=InMemory(torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)))
CONFIG = TrainConfig(batch_size=16)
IDENTITY = {"method": "simclr", "seed": 0, "budget": "1 epochs", "threads": 1}
PROVENANCE = {"keyed": {"torch": "2"}, "device name": "EPYC"}


class Linear(nn.Module):
    """Its loss is not finite, or fails, where it is told to."""

    def __init__(self, in_bf16: str = "") -> None:
        super().__init__()
        self.layer = nn.Linear(64, 4)
        self.in_bf16 = in_bf16

    def loss(self, batch) -> torch.Tensor:
        z = self.layer(batch.inputs.flatten(1))
        if z.dtype == torch.bfloat16 and self.in_bf16 == "fails":
            raise NotImplementedError("no kernel for BFloat16")
        batch.log("spread", z.std())
        return z.square().mean() * (torch.inf if z.dtype == torch.bfloat16 and self.in_bf16 == "overflows" else 1.0)


def choose(method: nn.Module) -> Choice:
    return chosen_precision(method, ROWS, SPEC, CONFIG, seed=0)


def timed(monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    monkeypatch.setattr(trial, "_fastest", lambda works, device: {"fp32": gain, "bf16": 1.0})


@pytest.mark.parametrize(("gain", "precision"), [(1.6, "bf16"), (1.1, "bf16"), (1.09, "fp32"), (0.5, "fp32")])
def test_bf16_is_taken_where_it_is_clearly_faster(monkeypatch: pytest.MonkeyPatch, gain: float, precision: str) -> None:
    timed(monkeypatch, gain)
    choice = choose(Linear())
    assert choice == choice_of(gain)
    assert choice.precision == precision
    assert f"{gain:.2f} times" in choice.why


@pytest.mark.parametrize(("fault", "words"), [("overflows", "not finite"), ("fails", "no kernel for BFloat16")])
def test_bf16_is_refused_where_its_steps_are_no_good(monkeypatch: pytest.MonkeyPatch, fault: str, words: str) -> None:
    timed(monkeypatch, 9.0)
    choice = choose(Linear(fault))
    assert choice.precision == "fp32"
    assert words in choice.why


def test_what_has_no_steps_computes_in_fp32() -> None:
    assert choose(nn.Identity()) == Choice("fp32", "")


def test_steps_are_timed_in_turns_on_copies() -> None:
    method = Linear()
    before = {name: weight.clone() for name, weight in method.state_dict().items()}
    assert choose(method).precision in ("fp32", "bf16")
    assert all(torch.equal(weight, before[name]) for name, weight in method.state_dict().items())
    calls: list[str] = []
    works = {name: (lambda name=name: calls.append(name)) for name in ("fp32", "bf16")}
    seconds = trial._fastest(works, torch.device("cpu"))
    assert calls == ["fp32", "bf16"] * trial.ROUNDS
    assert set(seconds) == {"fp32", "bf16"}


def test_a_choice_is_made_once_for_all_seeds_and_budgets(tmp_path: Path) -> None:
    first, second = Choice("bf16", "auto: once"), Choice("fp32", "auto: again")
    assert kept_choice(tmp_path, IDENTITY, PROVENANCE, lambda: first) == first
    later = IDENTITY | {"seed": 7, "budget": "9 epochs"}
    assert kept_choice(tmp_path, later, PROVENANCE, lambda: second) == first
    assert kept_choice(tmp_path, IDENTITY | {"threads": 2}, PROVENANCE, lambda: second) == second
    elsewhere = PROVENANCE | {"device name": "Xeon"}
    assert kept_choice(tmp_path, IDENTITY, elsewhere, lambda: second) == second


def bench(out: Path, precision: str) -> harness.Results:
    results = harness.bench(
        "rotation",
        references="random-init",
        precision=precision,
        seeds=2,
        budget="3 steps",
        evaluations="knn",
        out=out,
        progress=False,
    )
    assert results.ok
    return results


def test_a_cell_says_what_it_chose_and_trains_as_if_it_had_been_asked_for_that(tmp_path: Path) -> None:
    asked, auto = (bench(tmp_path / name, name) for name in ("fp32,bf16", "auto"))
    trained = [cell for cell in auto.cells if cell.cell.method.name == "rotation"]
    chosen = {cell.training.precision for cell in trained}
    assert len(chosen) == 1
    assert all(cell.cell.precision == cell.identity["precision"] == "auto" for cell in trained)
    assert all(cell.training.note.startswith("auto: ") for cell in trained)
    expected = {
        cell.cell.seed: cell
        for cell in asked.cells
        if cell.cell.method.name == "rotation" and cell.cell.precision in chosen
    }
    for cell in trained:
        twin = expected[cell.cell.seed]
        assert cell.training.loss == twin.training.loss
        assert [s.value for s in cell.evaluations[0].scores] == [s.value for s in twin.evaluations[0].scores]


def test_the_report_shows_what_was_used_and_still_finds_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the machine finds: here rotation's choice is bf16, and random-init, which has no steps, is fp32."""
    monkeypatch.setattr("harness.report.frame.as_trained", in_bf16)
    results = bench(tmp_path, "auto")
    assert set(results.frame["precision"]) == {"fp32", "bf16"}
    gains = results.table().set_index("method")["gain"]
    assert gains.notna().to_dict() == {"random-init": False, "rotation": True}


def in_bf16(cell: Cell, training: TrainingResult) -> Cell:
    return replace(cell, precision="bf16" if cell.method.name == "rotation" else "fp32")
