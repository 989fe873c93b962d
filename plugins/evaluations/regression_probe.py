"""Regression probe: which numbers known of an image (a position, a size) can be read from its frozen features?

r2_linear  ridge regression: |Y - XW - b|^2 + penalty |W|^2, the penalty of each target chosen on validation.
r2_mlp     one hidden layer of ReLUs, trained on all targets together; the epoch is chosen on validation.

R2 = 1 - sum (y - y')^2 / sum (y - mean y)^2 on test, averaged over targets: 1 is exact, 0 is what the mean gives, and
there is no lower limit. Features and targets are standardised by the training split. N images, D features, R targets,
A penalties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.data.rows import Rows
from harness.metrics.features import drawn_rows, standardised
from harness.plugin import ANY, EvaluationSpec, NotApplicable, ScoreSpec, ScoreValue, SplitName, Subject, hookimpl


@dataclass(frozen=True, kw_only=True)
class Config:
    weakest: float = 1e-2  # smallest penalty
    strongest: float = 1e5  # largest penalty
    penalties: int = 8  # between them, evenly in the logarithm
    hidden: int = 64  # units of the MLP's hidden layer
    steps: int = 1_500  # of the MLP's training
    batch_size: int = 128
    learning_rate: float = 3e-3  # at the start, falling to 0 along a cosine
    train_limit: int = 20_000  # training images used at most

    def __post_init__(self) -> None:
        if not 0 < self.weakest <= self.strongest:
            raise ValueError("weakest and strongest are penalties: 0 < weakest <= strongest")
        if min(self.penalties, self.hidden, self.steps, self.batch_size) < 1 or self.train_limit < 2:
            raise ValueError("penalties, hidden, steps and batch_size must be at least 1, train_limit at least 2")
        if self.learning_rate <= 0:
            raise ValueError("learning_rate must be positive")

    @property
    def grid(self) -> list[float]:
        """The penalties, smallest first."""
        ratio = math.log(self.strongest / self.weakest)
        return [self.weakest * math.exp(ratio * i / max(1, self.penalties - 1)) for i in range(self.penalties)]


Pair = tuple[Tensor, Tensor]  # features (N,D) and targets (N,R) of the same images


def run(subject: Subject, config: Config) -> dict[str, ScoreValue]:
    truth = {split: _targets(subject, split) for split in ("train", "validation", "test")}
    varies = [column for column in range(truth["train"].shape[1]) if _varies(truth, column)]
    if not varies:
        raise NotApplicable(f"the targets of {subject.target.name} do not vary")
    rows = drawn_rows(len(truth["train"]), config.train_limit, subject.generator("regression-probe rows"))
    features = standardised(
        subject.features("train")[rows].double(),
        subject.features("validation").double(),
        subject.features("test").double(),
    )
    known = standardised(
        truth["train"][rows][:, varies], *(truth[split][:, varies] for split in ("validation", "test"))
    )
    train, validation, test = zip(features, known, strict=True)
    predicted, penalties = ridge_predictions(train, validation, test[0], config.grid)
    network, step = trained_network(train, validation, config, subject.generator("regression-probe network"))
    with torch.no_grad():
        answers = network(test[0].float()).double()
    names = [_short(subject.target.spec.targets[column]) for column in varies]
    chosen = ", ".join(f"{penalty:.3g}" for penalty in penalties)
    return {
        "r2_linear": _score(test[1], predicted, names, f"penalty {chosen}"),
        "r2_mlp": _score(test[1], answers, names, f"step {step} of {config.steps}"),
    }


def _targets(subject: Subject, split: SplitName) -> Tensor:
    part: Rows = subject.target.split(split)
    if part.targets is None:
        raise NotApplicable(f"{subject.target.name} has no regression targets")
    return part.targets.double()


def _varies(truth: dict[str, Tensor], column: int) -> bool:
    """Of few labels, validation may have one row only."""
    return all(float(truth[split][:, column].std(correction=0)) > 1e-9 for split in ("train", "test"))


def _short(target: str) -> str:
    """`x` of `x in pixels`."""
    return target.split(" in ")[0]


def _score(truth: Tensor, predicted: Tensor, names: list[str], how: str) -> ScoreValue:
    each = r_squared(truth, predicted)
    parts = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, each.tolist(), strict=True))
    spread = (truth - truth.mean(0)).square().mean(0)  # (R,)
    explained = 1 - ((truth - predicted).square() / spread).mean(1)  # (N,): 1 where an example is told exactly
    return ScoreValue(value=float(each.mean()), chance=0.0, note=f"{parts}; {how}", outcomes=explained)


def r_squared(truth: Tensor, predicted: Tensor) -> Tensor:
    """1 - residual over total sum of squares, about the mean of these rows: (N,R) twice -> (R,).

    Own: torchmetrics' r2_score takes any sum of squares below 1e-4 for 0, whatever the unit, and so says 0 or 1 there.

    >>> r_squared(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]]))
    tensor([0.])
    """
    residual = (truth - predicted).square().sum(0)
    return 1 - residual / (truth - truth.mean(0)).square().sum(0)


def ridge_predictions(
    train: Pair, validation: Pair, features: Tensor, grid: Sequence[float]
) -> tuple[Tensor, list[float]]:
    """Predictions (N,R) for `features` (N,D), each target with the penalty (R of them) that did best on validation."""
    weights, bias = ridge(*train, grid)  # (A,D,R), (A,R)
    errors = (validation[0] @ weights + bias[:, None] - validation[1]).square().sum(1)  # (A,R)
    best = errors.argmin(0)  # (R,)
    columns = torch.arange(len(best))
    predicted = features @ weights[best, :, columns].T + bias[best, columns]
    return predicted, [grid[index] for index in best.tolist()]


def ridge(features: Tensor, targets: Tensor, penalties: Sequence[float]) -> tuple[Tensor, Tensor]:
    """argmin |Y - XW - b|^2 + penalty |W|^2 of (N,D) and (N,R) for each penalty: weights (A,D,R) and biases (A,R).

    By the Cholesky factors of X'X + penalty I, or of XX' + penalty I where there are more features than images.
    """
    mean, centre = features.mean(0), targets.mean(0)
    x, y = features - mean, targets - centre
    wide = x.shape[1] > len(x)
    gram = x @ x.T if wide else x.T @ x
    known = y if wide else x.T @ y
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    solved = [torch.cholesky_solve(known, torch.linalg.cholesky(gram + value * identity)) for value in penalties]
    weights = torch.stack([x.T @ part if wide else part for part in solved])  # (A,D,R)
    return weights, centre - mean @ weights


def trained_network(train: Pair, validation: Pair, config: Config, generator: torch.Generator) -> tuple[nn.Module, int]:
    """One hidden layer, as it was after the step with the smallest error on validation, and that step."""
    (features, targets), (chooser, truth) = (tuple(part.float() for part in pair) for pair in (train, validation))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        network = nn.Sequential(
            nn.Linear(features.shape[1], config.hidden), nn.ReLU(), nn.Linear(config.hidden, targets.shape[1])
        )
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    best, kept, chosen = math.inf, network.state_dict(), 0
    looks = max(1, config.steps // 40)
    for step in range(1, config.steps + 1):
        index = torch.randint(len(features), (config.batch_size,), generator=generator)
        optimiser.zero_grad()
        F.mse_loss(network(features[index]), targets[index]).backward()
        optimiser.step()
        schedule.step()
        if step % looks == 0 or step == config.steps:
            with torch.no_grad():
                error = float(F.mse_loss(network(chooser), truth))
            if error < best:
                kept = {name: value.clone() for name, value in network.state_dict().items()}
                best, chosen = error, step
    network.load_state_dict(kept)
    return network, chosen


@hookimpl
def harness_evaluation() -> EvaluationSpec:
    return EvaluationSpec(
        name="regression-probe",
        run=run,
        takes=ANY,
        needs=("encode", "targets"),
        fits_labels=True,
        config=Config,
        source="ridge regression: Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634",
        scores=tuple(
            ScoreSpec(name=name, unit="R2", better="higher", high=1.0, primary=name == "r2_linear", help=text)
            for name, text in (
                ("r2_linear", "Explained variance of the known numbers by ridge regression on the features."),
                ("r2_mlp", "The same by a network with one hidden layer."),
            )
        ),
    )
