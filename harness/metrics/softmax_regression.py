"""Multinomial logistic regression for many strengths of the penalty at once, by a preconditioned, batched L-BFGS.

For every strength C it minimises scikit-learn's objective, C * sum_i -log p(y_i | x_i) + |W|^2 / 2 with the bias free,
here divided by C * N: mean_i -log p(y_i | x_i) + |W|^2 / (2 C N). One matrix product serves many strengths, and a
strength that has converged leaves the batch. Every other strength is solved first; the rest start between their
neighbours, which saves 40 % of the work.

The Hessian of each problem is near M (x) S + I / (C N), with S the second moments of the features and M the mean of
diag(p) - p p^T over the examples (Martens & Grosse 2015, arXiv:1503.05671, for this last layer). Features are turned
to the eigenvectors of S once, so that the inverse is a K x K rotation and a division: the start of every L-BFGS
recursion (Nocedal & Wright 2006, algorithm 7.4). It takes about a third of the steps of plain L-BFGS.

N examples, D features, K classes, R strengths, F = D + 1 weights per class (the last is the bias).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 2**18  # logits held at a time: they stay in the second-level cache
SAMPLE = 2048  # rows that the preconditioner's M is measured on
LARGEST_ROTATION = 4096  # eigenvectors are not worth their cost in more dimensions
SMALLEST_CURVATURE = 1e-6


@dataclass(frozen=True, kw_only=True)
class SoftmaxRegression:
    """The fitted classifiers of R strengths."""

    weights: Tensor  # (R,K,D)
    bias: Tensor  # (R,K)
    steps: Tensor  # (R,) iterations that each took
    converged: Tensor  # (R,) bool

    def probabilities(self, features: Tensor, which: int) -> Tensor:
        """(N,D) -> (N,K) of the strength with that index."""
        return torch.softmax(self.logits(features, which), 1)

    def logits(self, features: Tensor, which: int) -> Tensor:
        """(N,D) -> (N,K) of the strength with that index."""
        return features @ self.weights[which].T + self.bias[which]


def fit_softmax_regression(
    features: Tensor,
    labels: Tensor,
    classes: int,
    strengths: Sequence[float],
    tolerance: float = 1e-5,
    max_steps: int = 300,
) -> SoftmaxRegression:
    """Fit all `strengths` (scikit-learn's C) on centred features (N,D) of about equal scale, and labels (N,) below K.

    Every class must occur, since the free bias of an absent one has no optimum. A problem is converged when its next
    step is expected to lower its objective by less than `tolerance` nats per example. Computes in the precision of
    `features`; the same input gives the same bits.

    >>> features, labels = torch.tensor([[-1.0], [1.0], [-1.0], [1.0]]), torch.tensor([0, 1, 0, 1])
    >>> fitted = fit_softmax_regression(features, labels, 2, [1e-3, 1e3])
    >>> [round(float(fitted.probabilities(features, which)[0, 0]), 2) for which in (0, 1)]
    [0.5, 1.0]
    """
    axes, moments = principal_axes(features)
    rows = features if axes is None else features @ axes  # (N,D')
    rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)  # (N,F)
    problem = _Problem(rows, labels, classes, torch.cat([moments, moments.new_ones(1)]))
    penalties = 1.0 / (torch.tensor(list(strengths), dtype=torch.float64) * len(labels))  # (R,)
    limits = tolerance, max_steps
    start = rows.new_zeros(len(penalties), classes, rows.shape[1])  # (R,K,F)
    first = _minimise(problem, penalties[::2].to(rows), start[::2], *limits)
    later = _minimise(problem, penalties[1::2].to(rows), _between(first[0], len(start[1::2])), *limits)
    solution, steps, converged = (_alternated(one, two) for one, two in zip(first, later, strict=True))
    weights = solution[:, :, :-1]
    weights = weights if axes is None else weights @ axes.T
    return SoftmaxRegression(weights=weights, bias=solution[:, :, -1], steps=steps, converged=converged)


def _between(solved: Tensor, count: int) -> Tensor:
    """Means of neighbours among the solved (R',K,F), as starts for the `count` problems between and after them."""
    return (solved[:count] + torch.cat([solved[1:], solved[-1:]])[:count]) / 2


def _alternated(first: Tensor, later: Tensor) -> Tensor:
    """Rows of both in turn: first[0], later[0], first[1] ..."""
    both = first.new_empty(len(first) + len(later), *first.shape[1:])
    both[::2], both[1::2] = first, later
    return both


def principal_axes(features: Tensor) -> tuple[Tensor | None, Tensor]:
    """Orthonormal axes (D,D') that diagonalise X^T X / N of features X (N,D), and the second moments (D',) along them.

    With D > N the axes span the rows of X only, which loses nothing: a penalised optimum lies in that span. In more
    than LARGEST_ROTATION dimensions there are no axes (None), and the moments are those of the features.
    """
    n, dim = features.shape
    if min(n, dim) > LARGEST_ROTATION:
        return None, features.square().mean(0)
    if dim <= n:
        moments, axes = torch.linalg.eigh(features.T @ features / n)
        return axes, moments.clamp_min(0)
    moments, left = torch.linalg.eigh(features @ features.T / n)  # (N,), (N,N)
    kept = moments > moments.amax() * n * torch.finfo(features.dtype).eps
    axes = features.T @ left[:, kept] / (n * moments[kept]).sqrt()  # (D,D')
    return axes, moments[kept]


class _Problem:
    """The data of all R problems: value and gradient of the objective, and the curvature for the preconditioner."""

    def __init__(self, rows: Tensor, labels: Tensor, classes: int, moments: Tensor) -> None:
        self.rows, self.classes, self.moments = rows, classes, moments  # (N,F), K, (F,)
        answers = F.one_hot(labels, classes).to(rows)  # (N,K)
        self.target = answers.T @ rows / len(rows)  # (K,F) the part of the gradient that never changes
        self.sample = rows[:: max(1, len(rows) // SAMPLE)]
        self.penalised = torch.ones_like(moments)
        self.penalised[-1] = 0.0

    def value_and_gradient(self, weights: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (R,K,F) -> objective (R,) in float64 on the CPU, gradient (R,K,F)."""
        problems, classes, _ = weights.shape
        flat = weights.reshape(problems * classes, -1)
        gradient = torch.zeros_like(flat)
        normalisers = []
        for rows in torch.split(self.rows, max(256, BLOCK // (problems * classes))):
            logits = (flat @ rows.T).view(problems, classes, -1)  # (R,K,n): classes before examples, so sums vectorise
            peak = logits.amax(1, keepdim=True)
            shares = logits.sub_(peak).exp_()
            total = shares.sum(1, keepdim=True)
            shares.div_(total)
            normalisers.append(total.log_().add_(peak).sum((1, 2)))
            gradient.addmm_(shares.view(problems * classes, -1), rows)
        gradient = gradient.view_as(weights).div_(len(self.rows)).sub_(self.target)
        pulled = penalties[:, None, None] * self.penalised * weights
        value = torch.stack(normalisers).cpu().double().sum(0) / len(self.rows)
        value -= (weights * self.target).cpu().double().sum((1, 2))
        value += (pulled * weights).cpu().double().sum((1, 2)) / 2
        return value, gradient.add_(pulled)

    def preconditioner(self, weights: Tensor, penalties: Tensor) -> _Preconditioner:
        shares = torch.softmax((weights @ self.sample.T), 1)  # (R,K,n)
        spread = torch.diag_embed(shares.sum(2)) - shares @ shares.transpose(1, 2)
        curvature, turn = torch.linalg.eigh(spread / len(self.sample))  # (R,K), (R,K,K)
        scale = curvature.clamp_min(0)[:, :, None] * self.moments + penalties[:, None, None] * self.penalised
        return _Preconditioner(turn=turn, scale=scale.clamp_min(SMALLEST_CURVATURE))


@dataclass(frozen=True, kw_only=True)
class _Preconditioner:
    """The inverse of M (x) S + penalty, in the axes of S."""

    turn: Tensor  # (R,K,K) eigenvectors of M
    scale: Tensor  # (R,K,F) eigenvalues of the whole

    def __call__(self, gradient: Tensor) -> Tensor:
        return self.turn @ ((self.turn.transpose(1, 2) @ gradient) / self.scale)

    def __getitem__(self, kept: Tensor) -> _Preconditioner:
        return _Preconditioner(turn=self.turn[kept], scale=self.scale[kept])


class _Memory:
    """The last steps and changes of the gradient of every problem, and the two-loop recursion over them."""

    LENGTH = 10

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # step (R,K,F), change (R,K,F), 1 / their product (R,)

    def add(self, step: Tensor, change: Tensor) -> None:
        product = _dot(step, change)
        usable = product > 1e-10 * _dot(step, step).sqrt() * _dot(change, change).sqrt()
        inverse = torch.where(usable, 1 / product.clamp_min(torch.finfo(product.dtype).tiny), torch.zeros_like(product))
        self.pairs = [*self.pairs, (step, change, inverse)][-self.LENGTH :]

    def keep(self, kept: Tensor) -> None:
        self.pairs = [(step[kept], change[kept], inverse[kept]) for step, change, inverse in self.pairs]

    def direction(self, gradient: Tensor, precondition: _Preconditioner) -> Tensor:
        """Minus the approximate inverse Hessian times the gradient; an unusable pair has inverse 0 and no effect."""
        direction, parts = gradient, []
        for step, change, inverse in reversed(self.pairs):
            part = inverse * _dot(step, direction)
            direction = direction - part[:, None, None] * change
            parts.append(part)
        direction = precondition(direction)
        if self.pairs:
            _, change, inverse = self.pairs[-1]
            curvature = inverse * _dot(change, precondition(change))  # 1 where the preconditioner is exact
            direction = direction / torch.where(inverse > 0, curvature, torch.ones_like(curvature))[:, None, None]
        for (step, change, inverse), part in zip(self.pairs, reversed(parts), strict=True):
            direction = direction + (part - inverse * _dot(change, direction))[:, None, None] * step
        return -direction


def _minimise(
    problem: _Problem, penalties: Tensor, start: Tensor, tolerance: float, max_steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Solve problems from the weights `start` (R,K,F): solution (R,K,F), steps (R,) and converged (R,)."""
    solution = start.clone()
    steps = torch.full((len(penalties),), max_steps)
    converged = torch.zeros(len(penalties), dtype=torch.bool)
    active = torch.arange(len(penalties))
    weights, memory = start, _Memory()
    if len(active) == 0:
        return solution, steps, converged
    value, gradient = problem.value_and_gradient(weights, penalties)
    for count in range(max_steps):
        if count < 4 or count % 4 == 0:  # M moves fast at first
            precondition = problem.preconditioner(weights, penalties)
        direction = memory.direction(gradient, precondition)
        slope = _dot(gradient, direction).cpu().double()
        done = (-0.5 * slope <= tolerance).nonzero().squeeze(1)
        if len(done) > 0:
            kept = (-0.5 * slope > tolerance).nonzero().squeeze(1)
            solution[active[done]], steps[active[done]], converged[active[done]] = weights[done], count, True
            if len(kept) == 0:
                return solution, steps, converged
            active, value, slope = active[kept], value[kept], slope[kept]
            weights, gradient, direction, penalties = (x[kept] for x in (weights, gradient, direction, penalties))
            precondition = precondition[kept]
            memory.keep(kept)
        before = weights, value, gradient
        weights, value, gradient = _line_search(problem, penalties, before, direction, slope)
        memory.add(weights - before[0], gradient - before[2])
    solution[active] = weights
    return solution, steps, converged


def _line_search(
    problem: _Problem, penalties: Tensor, start: tuple[Tensor, Tensor, Tensor], direction: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The full step, halved for those problems alone that it does not help: weights, value and gradient after it.

    A step is taken if it lowers the objective enough (Armijo), or by the sign of the slope after it where the
    objective's change drowns in rounding (Hager & Zhang 2005, the approximate Wolfe conditions).
    """
    weights, before, _ = start
    rounding = 8 * torch.finfo(weights.dtype).eps * (1 + before.abs())
    size = torch.ones_like(before)
    moved = weights + direction
    value, gradient = problem.value_and_gradient(moved, penalties)
    for _ in range(30):
        after = _dot(gradient, direction).cpu().double()
        enough = value <= before + 1e-4 * size * slope
        flat = (value <= before + rounding) & (after <= -0.8 * slope)
        poor = (~(enough | flat)).nonzero().squeeze(1)
        if len(poor) == 0:
            break
        size[poor] /= 2
        moved[poor] = weights[poor] + size[poor].to(weights)[:, None, None] * direction[poor]
        value[poor], gradient[poor] = problem.value_and_gradient(moved[poor], penalties[poor])
    return moved, value, gradient


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Inner product per problem: (R,K,F) twice -> (R,)."""
    return (left * right).sum((1, 2))
