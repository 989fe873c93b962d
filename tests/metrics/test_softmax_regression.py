"""The batched solver against scikit-learn's LogisticRegression, which has the same objective."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from harness.metrics import softmax_regression
from harness.metrics.features import standardised
from harness.metrics.softmax_regression import fit_softmax_regression, principal_axes

STRENGTHS = [1e-3, 0.1, 10.0]


def digits() -> tuple[Tensor, Tensor]:
    """(N,D) standardised pixels in float64, (N,) labels."""
    data = load_digits()
    (features,) = standardised(torch.from_numpy(data.data)[:900])
    return features, torch.from_numpy(data.target).long()[:900]


def reference(features: Tensor, labels: Tensor, c: float) -> Tensor:
    """scikit-learn's probabilities, solved tightly."""
    model = LogisticRegression(C=c, tol=1e-10, max_iter=5000).fit(features.numpy(), labels.numpy())
    return torch.from_numpy(model.predict_proba(features.numpy()))


def test_coefficients_and_probabilities_are_those_of_scikit_learn() -> None:
    features, labels = digits()
    model = fit_softmax_regression(features, labels, 10, STRENGTHS, tolerance=1e-14, max_steps=2000)
    assert model.converged.all()
    for which, c in enumerate(STRENGTHS):
        theirs = LogisticRegression(C=c, tol=1e-10, max_iter=5000).fit(features.numpy(), labels.numpy())
        torch.testing.assert_close(model.weights[which], torch.from_numpy(theirs.coef_), atol=2e-4, rtol=1e-3)
        bias = torch.from_numpy(theirs.intercept_)
        ours = model.bias[which] - model.bias[which].mean()  # a shift of all biases changes no probability
        torch.testing.assert_close(ours, bias - bias.mean(), atol=2e-4, rtol=1e-3)
        expected = torch.from_numpy(theirs.predict_proba(features.numpy()))
        torch.testing.assert_close(model.probabilities(features, which), expected, atol=1e-5, rtol=0)


def test_single_precision_agrees_to_a_thousandth() -> None:
    features, labels = digits()
    model = fit_softmax_regression(features.float(), labels, 10, STRENGTHS, tolerance=1e-8)
    assert model.converged.all()
    for which, c in enumerate(STRENGTHS):
        expected = reference(features, labels, c)
        got = model.probabilities(features.float(), which).double()
        assert (got - expected).abs().max() < 1e-3


def test_the_default_tolerance_is_what_the_objective_loses() -> None:
    features, labels = digits()
    model = fit_softmax_regression(features.float(), labels, 10, STRENGTHS)
    exact = fit_softmax_regression(features, labels, 10, STRENGTHS, tolerance=1e-14, max_steps=2000)
    for which, c in enumerate(STRENGTHS):
        losses = []
        for fitted in (model, exact):
            logits = features @ fitted.weights[which].double().T + fitted.bias[which].double()
            penalty = float(fitted.weights[which].double().square().sum()) / (2 * c * len(labels))
            losses.append(float(torch.nn.functional.cross_entropy(logits, labels)) + penalty)
        assert -1e-12 < losses[0] - losses[1] < 2e-4  # nats per image, at a tolerance of 1e-5 a step


def test_more_features_than_examples_is_the_same_optimum() -> None:
    features, labels = digits()
    few, kinds = features[:40], labels[:40] % 3
    few = few - few.mean(0)
    model = fit_softmax_regression(few, kinds, 3, [0.1], tolerance=1e-14)
    torch.testing.assert_close(model.probabilities(few, 0), reference(few, kinds, 0.1), atol=1e-5, rtol=0)


def test_without_a_rotation_the_optimum_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax_regression, "LARGEST_ROTATION", 8)
    features, labels = digits()
    assert principal_axes(features)[0] is None
    model = fit_softmax_regression(features, labels, 10, [0.1], tolerance=1e-13, max_steps=1000)
    torch.testing.assert_close(model.probabilities(features, 0), reference(features, labels, 0.1), atol=1e-5, rtol=0)


def test_a_problem_does_not_depend_on_its_company() -> None:
    features, labels = digits()
    together = fit_softmax_regression(features, labels, 10, STRENGTHS, tolerance=1e-12)
    alone = fit_softmax_regression(features, labels, 10, STRENGTHS[1:2], tolerance=1e-12)
    torch.testing.assert_close(together.weights[1], alone.weights[0], atol=1e-4, rtol=1e-3)


def test_an_even_number_of_strengths_in_any_order() -> None:
    features, labels = digits()
    model = fit_softmax_regression(features, labels, 10, [10.0, 1e-3, 1e-3, 0.1], tolerance=1e-14, max_steps=2000)
    for which, c in ((0, 10.0), (1, 1e-3), (2, 1e-3), (3, 0.1)):
        got = model.probabilities(features, which)
        torch.testing.assert_close(got, reference(features, labels, c), atol=1e-5, rtol=0)


def test_a_strong_penalty_leaves_the_class_shares() -> None:
    features, labels = digits()
    model = fit_softmax_regression(features, labels, 10, [1e-12], tolerance=1e-14)
    shares = torch.bincount(labels).double() / len(labels)
    torch.testing.assert_close(model.probabilities(features, 0), shares.expand(len(labels), -1), atol=1e-4, rtol=0)


def test_too_few_steps_are_reported() -> None:
    features, labels = digits()
    model = fit_softmax_regression(features, labels, 10, [1.0], max_steps=2)
    assert not model.converged.any()
    assert model.steps.tolist() == [2]


@pytest.mark.parametrize("shape", [(50, 8), (8, 50)])
def test_principal_axes_diagonalise_the_second_moments(shape: tuple[int, int]) -> None:
    features = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    axes, moments = principal_axes(features)
    assert axes is not None
    turned = features @ axes
    torch.testing.assert_close(turned.T @ turned / shape[0], torch.diag(moments))
    torch.testing.assert_close(axes.T @ axes, torch.eye(8, dtype=torch.float64))
