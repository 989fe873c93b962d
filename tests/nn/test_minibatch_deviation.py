"""The minibatch standard deviation of each class, by an independent formula."""

from __future__ import annotations

import torch

from harness.nn.minibatch_deviation import SMALLEST, MinibatchStandardDeviation, deviations

LABELS = torch.tensor([0, 2, 0, 2, 2, 0, 1, 1])


def test_deviations_are_those_within_each_class() -> None:
    features = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    found = deviations(features, LABELS, 4)
    for label in range(3):
        of_class = features[label == LABELS]
        torch.testing.assert_close(found[label], (of_class.var(0, unbiased=False) + SMALLEST).sqrt())
    torch.testing.assert_close(found[3], torch.full((5,), SMALLEST**0.5))  # a class that the batch does not have


def test_differences_between_classes_do_not_count() -> None:
    one_way = torch.eye(3)[LABELS]  # every class looks like itself only
    torch.testing.assert_close(deviations(one_way, LABELS, 3), torch.full((3, 3), SMALLEST**0.5))


def test_images_of_a_class_share_a_logit_that_has_gradients_where_they_are_alike() -> None:
    torch.manual_seed(0)
    features = torch.randn(8, 5)
    features[LABELS == 2] = 1.0
    features.requires_grad_()
    said = MinibatchStandardDeviation(5, 3)(features, LABELS)
    assert said.shape == (8,)
    assert len(said.unique()) == 3
    said.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert features.grad[LABELS == 0].abs().sum() > 0


def test_the_order_of_a_batch_does_not_matter() -> None:
    torch.manual_seed(0)
    term, features, order = MinibatchStandardDeviation(5, 3), torch.randn(8, 5), torch.randperm(8)
    torch.testing.assert_close(term(features[order], LABELS[order]), term(features, LABELS)[order])
