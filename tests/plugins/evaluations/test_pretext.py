"""Pretext accuracy of methods whose true accuracy is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from torch import nn

from harness.data.batches import Batch
from harness.data.rows import Dataset
from harness.errors import NotApplicable, TrainingFailed
from harness.plugin.specs import NoConfig
from harness.records import Information
from harness_plugins.evaluations import pretext


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits_dataset()


class Turning(nn.Module):
    """Asks R random turns of each image. Knows the answer to a `skill` share of the questions, and guesses the rest."""

    def __init__(self, turns: int, skill: float) -> None:
        super().__init__()
        self.turns, self.skill = turns, skill
        self.weight = nn.Parameter(torch.eye(turns))
        self.seen: list[torch.Tensor] = []
        self.dtypes: set[torch.dtype] = set()

    def solve(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        assert not self.training
        assert not torch.is_grad_enabled()
        answers = torch.randint(self.turns, (2 * len(batch.inputs),))  # two questions about each image
        known = torch.rand(answers.shape) < self.skill
        guesses = torch.randint(self.turns, answers.shape)
        logits = nn.functional.one_hot(torch.where(known, answers, guesses), self.turns).float() @ self.weight
        self.seen.append(answers)
        self.dtypes.add(logits.dtype)
        return logits, answers


def test_perfect_and_guessing_methods(data: Dataset, tmp_path: Path) -> None:
    perfect = pretext.run(example_subject(Turning(4, skill=1.0), data, tmp_path), NoConfig())["accuracy"]
    n = 2 * len(data.test)
    assert (perfect.value, perfect.n, perfect.chance) == (1.0, n, 0.25)
    assert perfect.note == f"{n} questions with 4 answers each"
    guess = pretext.run(example_subject(Turning(5, skill=0.0), data, tmp_path), NoConfig())["accuracy"]
    assert guess.chance == 0.2
    assert guess.value == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / n) ** 0.5)
    half = pretext.run(example_subject(Turning(4, skill=0.5), data, tmp_path), NoConfig())["accuracy"]
    assert half.value == pytest.approx(0.5 + 0.5 / 4, abs=4 * (0.25 / n) ** 0.5)


def test_questions_about_classes_are_not_posed_where_there_are_others(data: Dataset, tmp_path: Path) -> None:
    other = replace(data.spec, classes=("circle", "square"))
    subject = example_subject(Turning(4, skill=1.0), data, tmp_path, spec=other, uses=("labels",))
    with pytest.raises(NotApplicable, match="its questions are about the classes of digits, digits has others"):
        pretext.run(subject, NoConfig())
    unlabelled = example_subject(Turning(4, skill=1.0), data, tmp_path, spec=other)
    assert pretext.run(unlabelled, NoConfig())["accuracy"].value == 1.0


def test_questions_are_seeded_and_the_global_generator_is_left_alone(data: Dataset, tmp_path: Path) -> None:
    methods = [Turning(4, skill=0.5) for _ in range(3)]
    values = []
    for method, seed in zip(methods, (0, 0, 1), strict=True):
        torch.rand(3)
        state = torch.get_rng_state()
        values.append(pretext.run(example_subject(method, data, tmp_path, seed=seed), NoConfig())["accuracy"].value)
        assert torch.equal(torch.get_rng_state(), state)
    first, again, other = (torch.cat(method.seen) for method in methods)
    assert values[0] == values[1]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(methods[0].seen[0], methods[0].seen[1])  # batches get questions of their own


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_of_the_cell(precision: str, dtype: torch.dtype, data: Dataset, tmp_path: Path) -> None:
    method = Turning(4, skill=1.0)
    scores = pretext.run(example_subject(method, data, tmp_path, precision=precision), NoConfig())
    assert method.dtypes == {dtype}
    assert scores["accuracy"].value == 1.0


class Fixed(nn.Module):
    """Gives the same logits and targets, whatever it is shown."""

    def __init__(self, logits: torch.Tensor, targets: torch.Tensor) -> None:
        super().__init__()
        self.answer = (logits, targets)

    def solve(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return self.answer


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(5).long(), r"solve\(\) gave \(4, 3\) and \(5,\), expected logits"),
        (torch.zeros(4), torch.zeros(4).long(), r"expected logits \(M,K\)"),
        (torch.zeros(4, 1), torch.zeros(4).long(), "at least 2 answers"),
        (torch.full((4, 3), float("nan")), torch.zeros(4).long(), "not finite"),
    ],
)
def test_unusable_answers_are_failures(
    logits: torch.Tensor, targets: torch.Tensor, message: str, data: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(TrainingFailed, match=message):
        pretext.run(example_subject(Fixed(logits, targets), data, tmp_path), NoConfig())


class InBatch(nn.Module):
    """Finds each image among all of its batch: as many answers as the batch has rows."""

    def solve(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        n = len(batch.inputs)
        return torch.eye(n), torch.arange(n)


def test_chance_is_that_of_all_questions_not_of_the_last_batch(data: Dataset, tmp_path: Path) -> None:
    found = pretext.run(example_subject(InBatch(), data, tmp_path), NoConfig())["accuracy"]
    n = len(data.test)  # 359: a batch of 256, and one of 103
    sizes = [256] * 256 + [n - 256] * (n - 256)
    assert found.chance == pytest.approx(sum(1 / size for size in sizes) / n)
    assert found.note == f"{n} questions with {n - 256} to 256 answers each"


class Skewed(nn.Module):
    """Asks for one of five answers, of which the third is right in a share of the questions. Always answers so."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def solve(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        n = len(batch.inputs)
        often = torch.arange(n) < self.share * n
        return torch.eye(5)[torch.full((n,), 2)], torch.where(often, 2, torch.arange(n) % 5)


def test_chance_is_the_commonest_answer_where_answers_are_not_alike(data: Dataset, tmp_path: Path) -> None:
    found = pretext.run(example_subject(Skewed(0.5), data, tmp_path), NoConfig())["accuracy"]
    n = len(data.test)  # 359
    assert found.value == found.chance == pytest.approx(0.5 + 0.5 / 5, abs=0.01)
    assert found.note == (
        f"{n} questions with 5 answers each; chance: always the commonest one, which is right for {found.value:.3f} "
        "of them"
    )
    alike = pretext.run(example_subject(Skewed(0.0), data, tmp_path), NoConfig())["accuracy"]
    assert (alike.chance, alike.note) == (0.2, f"{n} questions with 5 answers each")


def test_of_answers_that_are_drawn_alike_the_commonest_is_an_accident() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (2, 24, 261):
        right = torch.randint(count, (1436,), generator=generator)
        chance, note = pretext.guessing(right, torch.full_like(right, count))
        assert chance == 1 / count < right.bincount().max() / 1436
        assert "commonest" not in note


class Seeing(nn.Module):
    """Notes what it is shown."""

    def solve(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        self.batch = batch
        return torch.eye(2)[torch.zeros(len(batch.inputs)).long()], torch.zeros(len(batch.inputs)).long()


@pytest.mark.parametrize("uses", [(), ("labels",)])
def test_a_method_is_shown_what_its_spec_uses(uses: tuple[Information, ...], data: Dataset, tmp_path: Path) -> None:
    method = Seeing()
    pretext.run(example_subject(method, data, tmp_path, uses=uses), NoConfig())
    assert method.batch.progress == 1.0
    assert method.batch.captions is None
    if uses:
        assert torch.equal(method.batch.labels, data.test.labels[-len(method.batch.inputs) :])
    else:
        assert method.batch.labels is None
