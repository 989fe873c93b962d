"""What an evaluation leaves behind fails that one, by name, and changes no number of those after it."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.records import EvaluationResult

LEAVING = Path(__file__).with_name("leaving_judges.py")
ELSEWHERE = Path(__file__).parents[1] / "launchers" / "elsewhere.py"  # one that takes whole cells alone
GOOD = [f"{LEAVING}[way=none]", "knn", "linear-probe", "representation"]
WORDS = {"plugins": "rotation", "references": "none", "seeds": 1, "budget": "2 steps", "progress": False}
FAULTS = {
    "zero_features": "it wrote into the features",
    "zero_features_by_numpy": "it wrote into the features",
    "scale_features": "it wrote into the features",
    "shuffle_labels": "it wrote into the labels",
    "write_images": "it wrote into the images",
    "write_source": "it wrote into the images",
    "zero_weights": "it wrote into the weights",
    "step_weights": "it wrote into the weights",
    "replace_weight": "it replaced weights of the model",
    "train_mode": "it left the model in train mode",
    "trainable": "it left the model's weights trainable",
    "hook": "it left hooks or functions of its own on the model",
    "replace_method": "it replaced the subject's method",
    "replace_target": "it replaced the subject's target",
    "threads": "it set the number of threads to 2",
    "dtype": "it set the default dtype to float64",
    "device": "it set the default device to meta",
    "gradients": "it set gradients to off",
    "deterministic": "it changed deterministic kernels",
    "generator": "it changed numpy's generator",
    "torch_generator": "it changed torch's generator",
    "global_hook": "it changed hooks of all modules",
    "patch_torch": "it replaced torch.nn.functional.normalize",
    "lose_device": "it left cpu unusable: CUDA error: device-side assert triggered",
    "patch_class": "it replaced torch.nn.modules.linear.Linear.forward",
    "patch_harness": "it replaced harness.judging.subject.ENCODING_BATCH and replaced harness.judging.subject.Subject.",
    "patch_random": "it replaced random.seed",
}
HARMLESS = ("environment", "seeds", "thread")  # no number depends on it, or what follows has a process of its own


def judged(ways: list[str], out: Path, **more: str) -> dict[str, EvaluationResult]:
    """The rows of a run in which each of these ways comes before the good ones; all in one file of plugins."""
    bad = [f"{LEAVING}[way={way}]" for way in ways]
    results = harness.bench(**WORDS, evaluations=[*bad, *GOOD], out=out, **more)
    (cell,) = results.cells
    assert cell.training.status == "ok"
    assert len(cell.evaluations) == len(bad) + len(GOOD)
    return {row.evaluation: row for row in cell.evaluations}


def numbers(rows: dict[str, EvaluationResult]) -> dict[tuple[str, str], float]:
    """Those of the good ones; `leaving` is the one that leaves nothing."""
    good = {name: row for name, row in rows.items() if not name.startswith("leaving[")}
    return {(name, score.score): score.value for name, row in good.items() for score in row.scores}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], float]:
    """The numbers of the good ones without any bad one."""
    found = numbers(judged([], tmp_path_factory.mktemp("alone") / "run"))
    assert len(found) > 8
    assert ("leaving", "mean") in found
    return found


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EvaluationResult]:
    return judged([*FAULTS, *HARMLESS], tmp_path_factory.mktemp("beside") / "run")


def test_the_numbers_of_the_others_are_the_same_bit_for_bit(
    rows: dict[str, EvaluationResult], alone: dict[tuple[str, str], float]
) -> None:
    assert numbers(rows) == alone


@pytest.mark.parametrize(("way", "reason"), FAULTS.items())
def test_who_left_it_is_told(rows: dict[str, EvaluationResult], way: str, reason: str) -> None:
    row = rows[f"leaving[way={way}]"]
    assert (row.status, row.scores) == ("failed", ())
    assert row.reason.startswith(reason)


@pytest.mark.parametrize("way", HARMLESS)
def test_what_changes_no_number_is_no_fault(rows: dict[str, EvaluationResult], way: str) -> None:
    row = rows[f"leaving[way={way}]"]
    assert (row.status, row.scores[0].value) == ("ok", rows["leaving"].scores[0].value)


@pytest.mark.parametrize("way", ["zero_features_by_numpy", "patch_harness"])
def test_one_alone(tmp_path: Path, alone: dict[tuple[str, str], float], way: str) -> None:
    rows = judged([way], tmp_path / "run")
    assert rows[f"leaving[way={way}]"].reason.startswith(FAULTS[way])
    assert numbers(rows) == alone


def test_a_launcher_that_takes_whole_cells_alone_gets_the_same_numbers(
    tmp_path: Path, alone: dict[tuple[str, str], float]
) -> None:
    """What was changed is loaded again, in the same process."""
    ways = ["write_images", "zero_weights", "hook", "threads", "patch_harness", "train_mode"]
    rows = judged(ways, tmp_path / "run", launcher=f"{ELSEWHERE}[folder={tmp_path / 'there'}]")
    assert [rows[f"leaving[way={way}]"].reason.startswith(FAULTS[way]) for way in ways] == [True] * len(ways)
    assert numbers(rows) == alone
