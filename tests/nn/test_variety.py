"""What a batch as a whole tells a discriminator: the spread of each class, by an independent formula."""

from __future__ import annotations

import torch

from harness.nn.variety import SMALLEST, ClassVariety, deviations

LABELS = torch.tensor([0, 2, 0, 2, 2, 0, 1, 1])


def test_deviations_are_those_within_each_class() -> None:
    evidence = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    found = deviations(evidence, LABELS, 4)
    for label in range(3):
        of_class = evidence[label == LABELS]
        torch.testing.assert_close(found[label], (of_class.var(0, unbiased=False) + SMALLEST).sqrt())
    torch.testing.assert_close(found[3], torch.full((5,), SMALLEST**0.5))  # a class that the batch does not have


def test_differences_between_classes_are_no_variety() -> None:
    one_way = torch.eye(3)[LABELS]  # every class looks like itself only
    torch.testing.assert_close(deviations(one_way, LABELS, 3), torch.full((3, 3), SMALLEST**0.5))


def test_images_of_a_class_share_a_verdict_that_has_gradients_at_no_variety() -> None:
    torch.manual_seed(0)
    evidence = torch.randn(8, 5)
    evidence[LABELS == 2] = 1.0
    evidence.requires_grad_()
    said = ClassVariety(5, 3)(evidence, LABELS)
    assert said.shape == (8,)
    assert len(said.unique()) == 3
    said.sum().backward()
    assert evidence.grad is not None
    assert evidence.grad.isfinite().all()
    assert evidence.grad[LABELS == 0].abs().sum() > 0


def test_the_order_of_a_batch_does_not_matter() -> None:
    torch.manual_seed(0)
    variety, evidence, order = ClassVariety(5, 3), torch.randn(8, 5), torch.randperm(8)
    torch.testing.assert_close(variety(evidence[order], LABELS[order]), variety(evidence, LABELS)[order])
