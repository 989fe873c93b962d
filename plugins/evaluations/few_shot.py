"""Few labels: what a linear classifier on the frozen features does with 1, 5, 10 or 100 labels of each class.

For each number S of labels, several seeded draws of S training rows of every class; multinomial logistic regression is
fitted to each (harness.metrics.softmax_regression, scikit-learn's objective with C the inverse penalty), and test is
used once per draw. The score is the mean over draws; its note has their deviation and the 95 % interval of the mean,
which speaks of new draws of labels and of nothing else.

The penalty is chosen on the drawn labels alone, by leaving out parts of them (in at most 5 parts, each with every
class): with a validation split of hundreds of labels a choice would not be one of few labels (Perez et al. 2021,
arXiv:2105.11447). One label per class leaves nothing to choose by: C = 1, which on digits of 16 pixels was within 2.3
points of the best C for rotation, vae, pixels and random-init. A strong penalty makes it a classifier by class means,
so the nearest mean has no place of its own: there it was behind by 0 to 6 points with 1 label, by 6 to 18 with 10.
Features are standardised with the whole training split, which needs no labels.

It takes no part in a request's `--labels`: how many labels there are is its own axis, and it draws them from all, many
times over, where a part of the labels is one draw. It is judged once, whatever parts are asked for.

Differs from the protocol of episodes (Snell et al. 2017, arXiv:1703.05175): all classes at once, all of test.

N examples, D features, K classes, S labels of each class, R draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.fields import PLURALS
from harness.metrics.classification import LEAST_PROBABILITY, majority_share
from harness.metrics.features import standardised
from harness.metrics.softmax_regression import SoftmaxRegression, fit_softmax_regression
from harness.plugin import ANY, EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, Subject, hookimpl

SHOTS = (1, 5, 10, 100)  # S
MANY = 100  # labels of each class from which on fewer draws do: they share most of their rows
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)  # C
UNCHOSEN = 1.0  # C where there is one label of each class
PARTS = 5  # that the drawn labels are left out in, at most
TOLERANCE, MAX_STEPS = 1e-4, 200  # nats per image that another step is expected to gain; steps


@dataclass(frozen=True, kw_only=True)
class Config:
    draws: int = 20  # of the labels
    draws_of_many: int = 5  # of 100 labels per class
    most: int = MANY  # labels of each class at most

    def __post_init__(self) -> None:
        if min(self.draws, self.draws_of_many) < 1 or self.most < 1:
            raise ValueError("draws, draws_of_many and most must be at least 1")


def run(subject: Subject, config: Config) -> Mapping[str, ScoreValue]:
    """Accuracy on the test split for each number of labels that every class has."""
    known, truth = subject.labels("train"), subject.labels("test")
    shown, labels, sizes = known.unique(return_inverse=True, return_counts=True)
    if len(shown) < 2:
        raise NotApplicable("the training split shows fewer than two classes")
    device = subject.device if subject.device.type == "cuda" else torch.device("cpu")  # MPS has no eigenvectors
    train, test = standardised(subject.features("train").to(device), subject.features("test").to(device))
    right: dict[int, Tensor] = {}  # S -> (R,N): which draws get which test examples right
    for shots in SHOTS:
        if shots <= min(config.most, int(sizes.min())):
            draws = config.draws if shots < MANY else config.draws_of_many
            generator = subject.generator(f"few-shot rows {shots}")
            answers = [_answers(train, labels, test, shots, generator) for _ in range(draws)]
            right[shots] = torch.stack([shown[answer] == truth for answer in answers])
    _show(subject, right)
    return {f"accuracy_{shots}": _score(each, truth, len(known)) for shots, each in right.items()}


def _answers(train: Tensor, labels: Tensor, test: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """The class (N,) of each test example by the classifier of one draw of labels."""
    rows = drawn_per_class(labels, shots, generator)  # (S,K)
    features, few = train[rows.to(train.device)], labels[rows].to(train.device)  # (S,K,D), (S,K)
    c = chosen_penalty(features, few)
    return _fit(features, few, [c]).probabilities(test, 0).argmax(1).cpu()


def drawn_per_class(labels: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """`shots` different random rows of each class of the labels (N,), which are 0 to K-1: (S,K).

    >>> rows = drawn_per_class(torch.tensor([0, 1, 0, 1, 1]), 2, torch.Generator().manual_seed(0))
    >>> sorted(rows[:, 0].tolist()), rows.shape
    ([0, 2], torch.Size([2, 2]))
    """
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]  # by class, at random within each
    sizes = labels.bincount()
    starts = sizes.cumsum(0) - sizes  # (K,)
    return order[starts + torch.arange(shots)[:, None]]


def chosen_penalty(features: Tensor, labels: Tensor) -> float:
    """The C of PENALTIES with the lowest loss on labels that were left out, of features (S,K,D) and labels (S,K)."""
    shots = len(features)
    parts = min(PARTS, shots)
    if parts < 2:
        return UNCHOSEN
    place = torch.arange(shots, device=features.device) % parts
    losses = torch.zeros(len(PENALTIES), dtype=torch.float64)
    for part in range(parts):
        model = _fit(features[place != part], labels[place != part], PENALTIES)
        left, truth = features[place == part].flatten(0, 1), labels[place == part].flatten()
        for which in range(len(PENALTIES)):
            shares = model.probabilities(left, which).gather(1, truth[:, None]).double()
            losses[which] -= float(shares.clamp_min(LEAST_PROBABILITY).log().sum())
    return PENALTIES[int(losses.argmin())]


def _fit(features: Tensor, labels: Tensor, penalties: Sequence[float]) -> SoftmaxRegression:
    classes = labels.shape[1]
    return fit_softmax_regression(features.flatten(0, 1), labels.flatten(), classes, penalties, TOLERANCE, MAX_STEPS)


def _score(right: Tensor, truth: Tensor, available: int) -> ScoreValue:
    """right: bool (R,N)."""
    from harness.metrics.statistics import mean_interval  # scipy, which planning does not need

    estimate = mean_interval(right.double().mean(1).tolist())
    note = f"mean of {len(right)} draws from {available} labels"
    if estimate.low is not None and estimate.high is not None:
        deviation = float(right.double().mean(1).std())
        note += f", deviation {deviation:.3f}, 95 % interval of the mean [{estimate.low:.3f}, {estimate.high:.3f}]"
    shares = right.double().mean(0)  # (N,): of the draws that got an example right
    return ScoreValue(value=estimate.mean, chance=majority_share(truth), note=note, outcomes=shares)


def _show(subject: Subject, right: Mapping[int, Tensor]) -> None:
    """Accuracy against the number of labels, with the 95 % interval of the mean over draws."""
    from harness.metrics.statistics import mean_interval

    name = "accuracy of a linear classifier"
    estimates = [mean_interval(each.double().mean(1).tolist()) for each in right.values()]
    ends = [(each.low, each.high) for each in estimates if each.low is not None and each.high is not None]
    subject.show_curves(
        "few-shot",
        list(right),
        {name: [each.mean for each in estimates]},
        low={name: [low for low, _ in ends]} if len(ends) == len(estimates) else {},
        high={name: [high for _, high in ends]} if len(ends) == len(estimates) else {},
        levels={"chance": majority_share(subject.labels("test"))},
        x_label="labels per class",
        y_label="test accuracy",
        log_x=True,
        bounds=(0.0, 1.0),
        caption=f"Accuracy with few labelled {PLURALS[subject.target.spec.kind]}, mean over draws of the labels",
        heading="Few labels",
        place=165,
    )


SCORES = tuple(
    ScoreSpec(
        name=f"accuracy_{shots}",
        unit="fraction",
        better="higher",
        low=0.0,
        high=1.0,
        primary=shots == 5,
        asks="Transfers with few labels" if shots == 5 else "",
        help=f"test accuracy with {shots} label{'s' if shots > 1 else ''} per class, mean over draws",
    )
    for shots in SHOTS
)


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="few-shot",
        run=run,
        takes=ANY,
        scores=SCORES,
        needs=("encode", "labels"),
        config=Config,
        on_request=True,
        source="logistic regression on few labels of frozen features; penalty as arXiv:2105.11447 asks for",
    )
