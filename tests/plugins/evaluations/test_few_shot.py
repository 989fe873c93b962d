"""Few labels: draws, the choice of the penalty, and the scores against scikit-learn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example_subject import digits_dataset, example_subject
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from harness.data.columns import InMemory
from harness.data.rows import Rows
from harness.errors import NotApplicable
from harness.judging.subject import Subject
from harness.metrics.features import standardised
from harness_plugins.evaluations import few_shot
from harness_plugins.evaluations.few_shot import Config, chosen_penalty, drawn_per_class, run

QUICK = Config(draws=4, draws_of_many=2)


class Flat(nn.Module):
    """Pixels as features."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, dict]:
    subject = example_subject(Flat(), digits_dataset(), tmp_path_factory.mktemp("few"))
    return subject, dict(run(subject, QUICK))


def test_more_labels_do_better(judged: tuple[Subject, dict]) -> None:
    values = [judged[1][f"accuracy_{shots}"].value for shots in (1, 5, 10, 100)]
    assert values == sorted(values)
    assert 0.4 < values[0] < 0.75
    assert values[-1] > 0.9
    assert "mean of 4 draws from 1294 labels, deviation" in judged[1]["accuracy_5"].note
    assert "mean of 2 draws" in judged[1]["accuracy_100"].note


def test_the_same_subject_twice_gives_the_same_bits(judged: tuple[Subject, dict], tmp_path: Path) -> None:
    assert dict(run(example_subject(Flat(), digits_dataset(), tmp_path), QUICK)) == judged[1]


def test_one_label_of_each_class_is_scikit_learns_classifier(judged: tuple[Subject, dict]) -> None:
    subject = judged[0]
    train, test = standardised(subject.features("train"), subject.features("test"))
    labels, truth = subject.labels("train"), subject.labels("test").numpy()
    generator = subject.generator("few-shot rows 1")
    shares = []
    for _ in range(QUICK.draws):
        rows = drawn_per_class(labels, 1, generator).flatten()
        model = LogisticRegression(C=1.0, max_iter=1000, tol=1e-8).fit(train[rows].numpy(), labels[rows].numpy())
        shares.append(model.score(test.numpy(), truth))
    assert judged[1]["accuracy_1"].value == pytest.approx(sum(shares) / len(shares), abs=0.005)


def test_a_draw_has_as_many_different_rows_of_each_class() -> None:
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 2, 0, 1, 0])
    rows = drawn_per_class(labels, 3, torch.Generator().manual_seed(0))
    assert labels[rows].tolist() == [[0, 1, 2]] * 3
    assert len(rows.unique()) == 9
    drawn = torch.stack([drawn_per_class(labels, 1, torch.Generator().manual_seed(s))[0] for s in range(200)])
    assert set(drawn[:, 0].tolist()) == {1, 4, 7, 9}  # every row of a class comes


def test_the_penalty_is_chosen_by_labels_that_were_left_out() -> None:
    """Features of noise want the strongest penalty, and clean ones with many labels a weak one."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).expand(10, 3)  # (S,K)
    noise = torch.randn(10, 3, 40, generator=generator)
    clean = nn.functional.one_hot(labels, 3) * 4.0 + 0.1 * torch.randn(10, 3, 3, generator=generator)
    assert chosen_penalty(noise, labels) == few_shot.PENALTIES[0]
    assert chosen_penalty(clean, labels) == few_shot.PENALTIES[-1]
    assert chosen_penalty(clean[:1], labels[:1]) == few_shot.UNCHOSEN


def test_numbers_of_labels_that_a_class_does_not_have_are_left_out(tmp_path: Path) -> None:
    data = digits_dataset()
    assert data.train.labels is not None
    rare = torch.cat([(data.train.labels != 3).nonzero().flatten(), (data.train.labels == 3).nonzero().flatten()[:7]])
    scores = run(example_subject(Flat(), replace(data, train=data.train.rows(rare)), tmp_path), QUICK)
    assert list(scores) == ["accuracy_1", "accuracy_5"]
    assert list(run(example_subject(Flat(), data, tmp_path), replace(QUICK, most=1))) == ["accuracy_1"]


def test_labels_with_gaps_and_a_class_that_training_does_not_show(tmp_path: Path) -> None:
    data = digits_dataset()
    assert data.train.labels is not None
    without = data.train.rows((data.train.labels != 3).nonzero().flatten())
    subject = example_subject(Flat(), replace(data, train=without), tmp_path)
    whole = run(example_subject(Flat(), data, tmp_path), replace(QUICK, most=5))["accuracy_5"].value
    assert whole - 0.2 < run(subject, replace(QUICK, most=5))["accuracy_5"].value < whole


def test_the_curve_is_that_of_the_scores(judged: tuple[Subject, dict], tmp_path: Path) -> None:
    subject, scores = judged
    (picture,) = [picture for picture in subject.pictures if picture.name == "few-shot"][-1:]
    content = json.loads(Path(picture.file).read_text())
    assert content["x"] == [1, 5, 10, 100]
    (values,) = content["lines"].values()
    assert values == pytest.approx([each.value for each in scores.values()], abs=1e-5)
    (low,), (high,) = content["low"].values(), content["high"].values()
    assert all(one < value < other for one, value, other in zip(low, values, high, strict=True))


def test_what_it_does_not_apply_to(tmp_path: Path) -> None:
    data = digits_dataset()
    with pytest.raises(NotApplicable, match="digits has no labels"):
        run(example_subject(Flat(), replace(data, train=Rows(inputs=data.train.inputs)), tmp_path), QUICK)
    one = Rows(inputs=InMemory(data.train.values), labels=torch.zeros(len(data.train), dtype=torch.int64))
    with pytest.raises(NotApplicable, match="fewer than two classes"):
        run(example_subject(Flat(), replace(data, train=one), tmp_path), QUICK)
    with pytest.raises(ValueError, match="must be at least 1"):
        Config(draws=0)


def test_in_bf16_it_is_as_good_as_in_fp32(tmp_path: Path) -> None:
    """Features of a network are computed in bf16; the same rows are drawn, and the classifier computes as always."""
    torch.manual_seed(0)
    method = nn.Module()
    method.layer = nn.Linear(64, 128)
    method.encode = lambda images: method.layer(images.flatten(1)).relu()
    full, half = (
        dict(run(example_subject(method, digits_dataset(), tmp_path / precision, precision=precision), QUICK))
        for precision in ("fp32", "bf16")
    )
    assert [name for name in full if bool((full[name].outcomes != half[name].outcomes).any())]
    for name, score in full.items():
        assert half[name].value == pytest.approx(score.value, abs=0.02)
